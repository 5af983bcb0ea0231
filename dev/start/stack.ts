// The whole product on loopback, each part a process of its own: backend, fleet, edge, connector. For `npm start`, and for
// every test that wants the real thing.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, type Crew, run } from "../crew.ts";

const program = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const BACKEND = program("dev/backend/main.ts");
const FLEET = program("dev/fleet/main.ts");
const EDGE = program("dev/edge/main.ts");
const CONNECTOR = program("connector/main.ts");

const READY_MS = 30_000;
/** A first start builds the Worker. */
const EDGE_READY_MS = 60_000;

export interface StackOptions {
  /** Keys, configuration and state; must exist. */
  readonly directory: string;
  /** 0: a free one. */
  readonly edgePort?: number;
  /** Settings of the edge. */
  readonly edge?: Readonly<Record<string, string>>;
  /** More arguments of the edge. */
  readonly edgeArgs?: readonly string[];
  /** A command that becomes the edge, whose own command follows it. */
  readonly edgeUnder?: (directory: string) => readonly string[];
  /** The edge has TLS with a certificate that this PEM file vouches for. */
  readonly ca?: string;
  /** Only what the connectors dial has, and this file vouches for it. */
  readonly uplinkCa?: string;
  /** Arguments of the fleet; by default four chat engines and two for embeddings. */
  readonly fleet?: readonly string[];
  /** Engines that the connector's pools use; by default half of the chat engines for each chat model. */
  readonly slots?: number;
  /** Another connector than the one of this tree. */
  readonly connectorProgram?: string;
  /** Is told what each part prints. */
  readonly heard?: (part: string, text: string) => void;
  /** Ids of the connectors. */
  readonly connectors?: readonly string[];
  /** Where a connector dials instead of the edge itself: a road that a test can break. */
  readonly uplinkPort?: (edgePort: number, connector: string) => Promise<number>;
  /** More lines of each connector's configuration; a function where they are known only at the start. */
  readonly config?: string | (() => string);
  /** More arguments of each connector. */
  readonly connectorArgs?: readonly string[];
}

export interface Stack {
  readonly url: string;
  readonly port: number;
  readonly backendPort: number;
  readonly chatPorts: readonly number[];
  readonly embedPorts: readonly number[];
  readonly parts: { readonly backend: Child; readonly fleet: Child; readonly edge: Child };
  readonly connectors: Child[];
  readonly configs: readonly string[];
  /** What each connector writes. */
  readonly connectorLogs: readonly string[];
  /** Pid of workerd, whose parent is the edge. */
  readonly workerdPid: number;
  /** Starts one more connector, or one that was stopped. */
  startConnector(index: number): Promise<Child>;
  /** Starts the edge again, on its port and with what it kept; the one before must have ended. */
  startEdge(): Promise<{ readonly edge: Child; readonly workerdPid: number }>;
}

/** @throws Error in the words of the part that did not start. */
export async function startStack(crew: Crew, options: StackOptions): Promise<Stack> {
  const { directory, connectors = ["onprem-1"] } = options;
  const node = process.execPath;
  const start = (
    name: string,
    args: string[],
    env?: Record<string, string>,
    [command = node, ...under]: readonly string[] = [],
  ): Child =>
    crew.start({
      name,
      command,
      args: command === node ? args : [...under, node, ...args],
      ipc: true,
      graceMs: 5_000,
      logFile: join(directory, `${name}.log`),
      ...(options.heard === undefined ? {} : { heard: (text: string) => options.heard?.(name, text) }),
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    });

  const keys = await Promise.all(connectors.map((id) => publicKey(directory, id)));
  const keysFile = join(directory, "connectors.json");
  await writeFile(keysFile, JSON.stringify({ keys }));

  const fleet = start("fleet", [FLEET, ...(options.fleet ?? ["--chat", "0x4", "--embed", "0x2"])]);
  const backend = start("backend", [BACKEND, "--port", "0"]);
  const edgeOn = (port: number): Child =>
    start(
      "edge",
      [
        EDGE,
        ...["--port", String(port), "--state", join(directory, "edge"), "--connector-keys", keysFile],
        // Whoever ends all of it waits for nobody.
        ...["--drain", "0", ...(options.edgeArgs ?? [])],
      ],
      { AUTH_MODE: "backend", ...options.edge },
      options.edgeUnder?.(directory),
    );
  const edge = edgeOn(options.edgePort ?? 0);
  const [engines, { port: backendPort }, { port, pid }] = await Promise.all([
    fleet.ready(READY_MS) as Promise<{ chat: number[]; embed: number[] }>,
    backend.ready(READY_MS) as Promise<{ port: number }>,
    edge.ready(EDGE_READY_MS) as Promise<{ port: number; pid: number }>,
  ]);

  const configs = await Promise.all(
    connectors.map(async (id) => {
      const file = join(directory, `${id}.yaml`);
      const uplinkPort = (await options.uplinkPort?.(port, id)) ?? port;
      await writeFile(file, configOf(id, uplinkPort, backendPort, engines, options));
      return file;
    }),
  );
  const startConnector = async (index: number): Promise<Child> => {
    const args = [
      options.connectorProgram ?? CONNECTOR,
      "run",
      "--config",
      configs[index]!,
      ...(options.connectorArgs ?? []),
    ];
    const ca = options.uplinkCa ?? options.ca;
    const env = ca === undefined ? undefined : { NODE_EXTRA_CA_CERTS: ca };
    const child = start(connectors[index]!, args, env);
    await child.ready(READY_MS);
    return child;
  };
  const running = await Promise.all(connectors.map((_, index) => startConnector(index)));
  return {
    url: `http${options.ca === undefined ? "" : "s"}://127.0.0.1:${port}`,
    port,
    backendPort,
    chatPorts: engines.chat,
    embedPorts: engines.embed,
    parts: { backend, fleet, edge },
    connectors: running,
    configs,
    connectorLogs: connectors.map((id) => join(directory, `${id}.log`)),
    workerdPid: pid,
    startConnector,
    startEdge: async () => {
      const again = edgeOn(port);
      const { pid: workerdPid } = (await again.ready(EDGE_READY_MS)) as { pid: number };
      return { edge: again, workerdPid };
    },
  };
}

/** The public half of a connector's key; made once and kept. */
async function publicKey(directory: string, id: string): Promise<unknown> {
  const file = join(directory, `${id}.jwk`);
  const known = await readFile(file, "utf8").catch(() => null);
  if (known !== null) return JSON.parse(known);
  await mkdir(directory, { recursive: true });
  await rm(join(directory, `${id}.key`), { force: true });
  const args = [CONNECTOR, "keygen", "--id", id, "--out", join(directory, `${id}.key`)];
  const jwk = await run({ name: "keygen", command: process.execPath, args });
  await writeFile(file, jwk);
  return JSON.parse(jwk);
}

function configOf(
  id: string,
  port: number,
  backendPort: number,
  engines: { chat: number[]; embed: number[] },
  { slots = 4, config = "", ca, uplinkCa = ca }: StackOptions,
): string {
  const half = Math.ceil(engines.chat.length / 2);
  const list = (ports: number[]): string => ports.map((one) => `"http://127.0.0.1:${one}"`).join(", ");
  const pools = [
    ["heartcode-chat-sfw", "chat", engines.chat.slice(0, half)],
    ["heartcode-chat-nsfw", "chat", engines.chat.slice(half)],
    ["heartcode-embed", "embedding", engines.embed],
  ] as const;
  const rows = pools
    .filter(([, , ports]) => ports.length > 0)
    .map(
      ([model, kind, ports]) => `  - { model: ${model}, kind: ${kind}, upstreams: [${list(ports)}], slots: ${slots} }`,
    );
  return `edge: { url: "ws${uplinkCa === undefined ? "" : "s"}://127.0.0.1:${port}/uplink", id: ${id}, key_file: ./${id}.key }
backend: { url: "http://127.0.0.1:${backendPort}" }
pools:
${rows.join("\n")}
${typeof config === "string" ? config : config()}`;
}
