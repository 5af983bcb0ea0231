// What doctor says to do about what it has found: one table, and a test provokes each row. `{name}` is filled in. No I/O.

export const REMEDIES = {
  config: "mend it and try again",
  configMore: "{count} more: connector validate tells them all",
  poolName:
    "mend `model` of the pool: the edge asks for {known}; where the edge is newer than this connector, it may be right",
  late: "something holds it up: try again; if it stays so, compare the load of this machine",
  defect: "try again; if it stays so, report it with this line",

  name: "compare edge.url; try: getent hosts {name}; look at /etc/resolv.conf",
  tcpSilent: "a firewall drops it on the way: let this machine open TCP connections to {host}:{port}",
  tcpRefused: "nothing listens there: compare the port of edge.url, and whether the edge runs",
  tcp: "let this machine open TCP connections to {host}:{port}",
  tlsSilent: "something on the way lets the connection open and then holds it: ask for an exception in the firewall",
  tlsSoon: "renew the edge's certificate; when it expires no connector gets through",
  tlsExpired: "renew the edge's certificate, and compare this machine's clock",
  tlsEarly: "compare this machine's clock: the edge's certificate is not valid yet",
  tlsHost: "edge.url must have the host name that is in the certificate",
  tlsIssuer:
    "if a proxy of yours opens TLS, or the edge has a private CA: set NODE_EXTRA_CA_CERTS to the CA's PEM file",
  tlsNone: "what listens there does not speak TLS as expected: compare the port and the ws:// or wss:// of edge.url",
  tlsPlain: "use wss:// in edge.url, and a TLS proxy before a self-hosted edge",
  http: "edge.url must name the host and port of HeartCode Edge, with /uplink as its path",
  clock: "set this machine's clock by NTP: timedatectl set-ntp true, then timedatectl timesync-status",

  tokenUnknown:
    "add the public key that keygen printed to the `keys` of the edge's CONNECTOR_KEYS; the service is back by itself then",
  tokenClock: "set this machine's clock by NTP: timedatectl set-ntp true",
  tokenAddress:
    "edge.url must be the very host and path under which the edge is reached; a proxy before it passes Host on",
  tokenId: "edge.id must be what keygen was given with --id",
  tokenElse: "make a new key with keygen and add its public half to the edge",
  tokenPath: "the path of edge.url must be /uplink",
  tokenAnswer: "look at the edge's log; a proxy on the way may answer in its place",
  upgrade: "a proxy on the way may not let WebSockets through: it must pass Upgrade on /uplink",

  shardBusy: "another doctor of this connector runs: let one end",
  shardVersion: "edge and connector have no version of the wire in common: update the older one",
  shard: "try again; if it stays so, look at the edge's log",

  backendDown: "start the backend, or mend backend.url; until then the edge answers 503 auth_unavailable to new keys",
  backendHealth: "mend backend.health_path",
  backendLog: "look at the backend's log",
  backendAnyKey: "the backend takes any key: what listens at backend.url is not what it should be",
  backendPath: "see that {path} is the backend's path: a wrong backend.verify_path looks like an unknown key",
  backendHeaders: "see that it is the key that is refused, and not this connector: compare backend.headers",
  backendContract: "expected 200 with valid: false, 401 or 404; anything else counts as a backend that is down",

  engineDown: "start the engine, or take it out of its pool",
  engineLoads: "wait for its model",
  engineElse: "see that an engine listens there",
  engineBusy:
    "busy or stuck: look at the engine's /slots and its log, and compare `slots` of the pool with its --parallel",
  engineKind: "see that the pool's kind ({kind}) is what the engine was started for",
  engineName:
    "start the engine with the name {model} (llama.cpp --alias, vLLM --served-model-name), or rename the pool",
  engineShape: "see that an OpenAI-compatible engine listens there",
} as const;

export type Remedy = keyof typeof REMEDIES;

export function remedy(name: Remedy, values: Readonly<Record<string, string | number>> = {}): string {
  return REMEDIES[name].replace(/\{(\w+)\}/g, (_, value: string) => String(values[value]));
}
