// The units of a self-hosted edge: one that holds the ports, and one that serves what comes to them. No I/O.
//
// systemd opens the ports. So the edge needs no capability for 443, and no network at all: it dials nobody, its uplinks are
// connections that came in. And while it starts anew, clients wait in the queue of the socket instead of being refused.
import { type Command, hardening, MARK, start, type Unit } from "./units.ts";

export interface EdgeUnitOptions extends Command {
  /** The repository. */
  readonly folder: string;
  /** An address, not a name. Null: every one. */
  readonly host: string | null;
  readonly port: number;
  /** The JWK set of the connectors. */
  readonly keys: string;
  /** Settings and secrets, one NAME=value a line. */
  readonly env: string;
  readonly tls?: EdgeTls;
}

export interface EdgeTls {
  readonly cert: string;
  readonly key: string;
  readonly redirectPort?: number;
  readonly acmeWebroot?: string;
}

const NAME = "heartcode-edge";
/** Of the service alone; renewed files are put into it on reload. */
const RUNTIME = `%t/${NAME}`;

/** The socket first: the service needs it. */
export function edgeUnits(options: EdgeUnitOptions): readonly Unit[] {
  return [socketUnit(options), serviceUnit(options)];
}

function socketUnit({ host, port, tls }: EdgeUnitOptions): Unit {
  const at = (one: number) =>
    `ListenStream=${host === null ? "" : `${host.includes(":") ? `[${host}]` : host}:`}${one}`;
  const redirect = tls?.redirectPort === undefined ? [] : [at(tls.redirectPort)];
  const isLocal = host !== null && (host === "::1" || host.startsWith("127."));
  return {
    name: `${NAME}.socket`,
    text: `${MARK} To change it: systemctl edit ${NAME}.socket
[Unit]
Description=Ports of HeartCode Edge

[Socket]
# The first is the edge${redirect.length > 0 ? ", the second sends plain HTTP to it" : ""}.
${[at(port), ...redirect].join("\n")}
NoDelay=yes
${isLocal ? "# For a proxy on this machine.\nIPAddressDeny=any\nIPAddressAllow=localhost\n" : ""}
[Install]
WantedBy=sockets.target
`,
  };
}

function serviceUnit(options: EdgeUnitOptions): Unit {
  const { folder, port, keys, env, tls } = options;
  const args = [
    `--port ${port}`,
    ...(tls === undefined ? [] : [`--tls-cert ${RUNTIME}/tls.crt --tls-key ${RUNTIME}/tls.key`]),
    ...(tls?.redirectPort === undefined ? [] : [`--redirect-port ${tls.redirectPort}`]),
    ...(tls?.acmeWebroot === undefined ? [] : [`--acme-webroot ${tls.acmeWebroot}`]),
    `--state %S/${NAME} --connector-keys %d/connector-keys.json --env-file %d/edge.env`,
  ].join(" ");
  return {
    name: `${NAME}.service`,
    text: `${MARK} To change it: systemctl edit ${NAME}
[Unit]
Description=HeartCode Edge on workerd
Requires=${NAME}.socket
StartLimitIntervalSec=0

[Service]
Type=notify
${start(options, args)}
WorkingDirectory=${folder}
# Read by root, for the service alone: settings and secrets (NAME=value), and the connectors' public keys.
LoadCredential=edge.env:${env}
LoadCredential=connector-keys.json:${keys}
${tls === undefined ? "" : certificate(tls)}# What the gate keeps: limits, leases, accounts.
StateDirectory=${NAME}
StateDirectoryMode=0700

# Fed while the Worker answers.
WatchdogSec=60
TimeoutStartSec=60
# Answers in flight may finish (EDGE_DRAIN, 30 s). The signal is for the front: workerd lives until the last answer is out.
TimeoutStopSec=45
KillMode=mixed
Restart=always
RestartSec=2
# Its only network are the connections that come to its ports.
PrivateNetwork=yes
IPAddressDeny=any
${hardening("AF_UNIX")}

[Install]
WantedBy=multi-user.target
`,
  };
}

/** A credential is read once, at the start: a certificate is renewed while streams run, so root copies it on reload as well. */
function certificate({ cert, key }: EdgeTls): string {
  const copies = [
    `+/usr/bin/install -m 0444 ${cert} ${RUNTIME}/tls.crt`,
    `+/usr/bin/install -m 0444 ${key} ${RUNTIME}/tls.key`,
  ];
  return `# The certificate, in a folder that only the service can enter. After a renewal: systemctl reload ${NAME}
RuntimeDirectory=${NAME}
RuntimeDirectoryMode=0700
${copies.map((copy) => `ExecStartPre=${copy}`).join("\n")}
${copies.map((copy) => `ExecReload=${copy}`).join("\n")}
ExecReload=/bin/kill -HUP $MAINPID
`;
}
