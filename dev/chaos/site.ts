// The real processes of two sites and one edge, each road between them breakable, and what can be done to them.
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { FaultProxy } from "../../test/support/fault-proxy.ts";
import type { Child, Crew } from "../crew.ts";
import { type Stack, startStack } from "../start/stack.ts";
import { ACTIONS, type Came } from "./actions.ts";
import type { Presence } from "./presence.ts";
import { CHAOS_KEYS, FLEET_DIMENSIONS, SHARDS } from "./question.ts";
import { FAULTS, type Fault, type FaultKind } from "./schedule.ts";

export const ADMIN_TOKEN = "chaos-admin-token";
export const SITES: readonly string[] = ["site-a", "site-b"];
/** Limits that the load does not reach: what is checked is what is charged, not what is refused. */
const WIDE = { rpm: 1e9, tpm: 1e9, tokens_per_day: 1e12, max_tokens: 1e9 };
const EDGE = {
  ADMIN_TOKEN,
  DEV_FAULTS: "1",
  HUB_SHARDS: String(SHARDS),
  TIERS: JSON.stringify({ free: WIDE, premium: WIDE, admin: WIDE }),
};
/** Engines that hang are given up soon, or every fault of that kind would take two minutes. */
const DRAIN_MS = 20_000;
const CONFIG = `timeouts: { first_byte_s: 10, whole_s: 10, idle_s: 10 }\ndrain_s: ${DRAIN_MS / 1_000}\n`;
const DRAIN_WITHIN_MS = 30_000;
const PACE = { tokensPerSecond: 150, slots: 32 };
/** An engine that has failed may be left alone for so long. */
const SICK_MS = 35_000;
/** Requests come several times a second. */
const MET_WITHIN_MS = 10_000;
/** Long enough that two signals are two. */
const IMPATIENCE_MS = 100;

export interface SiteOptions {
  /** Of each engine, and how much each connector gives it at once. */
  readonly pace?: { readonly tokensPerSecond: number; readonly slots: number };
  /** More lines of each connector's configuration. */
  readonly config?: string;
  readonly drainWithinMs?: number;
  /** Is told what the edge prints. */
  readonly edgeSaid?: (text: string) => void;
  /** Is told when which connector is there. */
  readonly presence?: Presence;
}

export class Site {
  readonly #crew: Crew;
  readonly #proxies: readonly FaultProxy[];
  readonly stack: Stack;
  readonly #connectors: Child[];
  #edge: Child;
  #workerd: number;
  /** Parts that are being stopped or started: they are left alone meanwhile. */
  readonly #busy = new Set<string>();
  /** ms; until when a site may be out of service. One of two is always left: with none there is nobody to take over. */
  readonly #outUntil = SITES.map(() => 0);
  /** ms; by port of an engine. */
  readonly #sickUntil = new Map<number, number>();
  readonly problems: string[] = [];
  readonly #drainWithinMs: number;
  readonly #presence: Presence | undefined;

  private constructor(crew: Crew, stack: Stack, proxies: readonly FaultProxy[], options: SiteOptions) {
    this.#drainWithinMs = options.drainWithinMs ?? DRAIN_WITHIN_MS;
    this.#presence = options.presence;
    this.#crew = crew;
    this.stack = stack;
    this.#proxies = proxies;
    this.#connectors = [...stack.connectors];
    this.#edge = stack.parts.edge;
    this.#workerd = stack.workerdPid;
  }

  static async start(crew: Crew, directory: string, options: SiteOptions = {}): Promise<Site> {
    const { pace: { tokensPerSecond, slots } = PACE, config = CONFIG, drainWithinMs = DRAIN_WITHIN_MS } = options;
    const proxies: FaultProxy[] = [];
    const engines = ["--tokens-per-second", String(tokensPerSecond), "--slots", String(slots * SITES.length)];
    const pace = [...engines, "--first-token-ms", "20"];
    const stack = await startStack(crew, {
      directory,
      connectors: SITES,
      slots,
      edge: EDGE,
      heard: (part, text) => {
        if (part === "edge") options.edgeSaid?.(text);
        else if (SITES.includes(part)) options.presence?.feed(part, text);
      },
      config,
      fleet: ["--chat", "0x4", "--embed", "0x2", "--dimensions", FLEET_DIMENSIONS, ...pace],
      uplinkPort: async (edgePort) => {
        const proxy = await FaultProxy.to(edgePort);
        proxies.push(proxy);
        return proxy.port;
      },
    });
    const site = new Site(crew, stack, proxies, { ...options, drainWithinMs });
    for (const add of CHAOS_KEYS) await site.#post(`http://127.0.0.1:${stack.backendPort}/sim/keys`, { add });
    return site;
  }

  /** Pids of what should not grow. */
  get processes(): Readonly<Record<string, number>> {
    const connectors = SITES.map((name, index) => [name, this.#connectors[index]!.pid] as const);
    return {
      workerd: this.#workerd,
      launcher: this.#edge.pid,
      backend: this.stack.parts.backend.pid,
      ...Object.fromEntries(connectors),
    };
  }

  /** Between a connector and the edge. */
  road(index: number): FaultProxy {
    return this.#proxies[index]!;
  }

  /** It is being stopped or started. */
  isBusy(index: number): boolean {
    return this.#busy.has(SITES[index]!);
  }

  /** @returns null if its target is in no state for it now; else whether it came, or what it came to be. */
  cause(fault: Fault): Promise<Came> | null {
    const { target, kind } = fault;
    const { outMs } = FAULTS[kind];
    const now = performance.now();
    // A process that takes longer to stop or to start than was thought is out as well.
    const out = SITES.findIndex((_, site) => now < this.#outUntil[site]! || this.isBusy(site));
    // One of two is always left.
    const index = outMs > 0 && out !== -1 ? out : target % SITES.length;
    const part = kind.startsWith("connector")
      ? SITES[index]!
      : kind === "edge restart" || kind === "hub reset"
        ? "edge"
        : null;
    if (part !== null && this.#busy.has(part)) return null;
    if (outMs > 0) this.#outUntil[index] = Math.max(this.#outUntil[index]!, now + outMs);
    const proxy = this.#proxies[index]!;
    const engine = this.#engineFor(kind, target, now);
    return Promise.resolve(ACTIONS[kind](this, fault, { index, proxy, engine }));
  }

  get enginePorts(): readonly number[] {
    return this.#pools.flat();
  }

  /** Ports of the engines of each pool that is asked. */
  get #pools(): readonly (readonly number[])[] {
    const { chatPorts, embedPorts } = this.stack;
    return [chatPorts.slice(0, Math.ceil(chatPorts.length / 2)), embedPorts];
  }

  /** One engine of each pool is always well: with none there is nobody to go to. */
  #engineFor(kind: FaultKind, target: number, now: number): number {
    const ports = this.enginePorts;
    const chosen = ports[target % ports.length]!;
    if (!kind.startsWith("engine")) return chosen;
    const pool = this.#pools.find((one) => one.includes(chosen)) ?? [];
    const sick = pool.find((port) => now < (this.#sickUntil.get(port) ?? 0)) ?? chosen;
    this.#sickUntil.set(sick, now + SICK_MS);
    return sick;
  }

  heal(): void {
    for (const proxy of this.#proxies) proxy.heal();
  }

  async close(): Promise<void> {
    await this.#crew.dismiss();
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }

  async resetHub(shard: number): Promise<boolean> {
    const response = await fetch(`${this.stack.url}/admin/dev/abort-hub`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ shard: shard % SHARDS }),
    }).catch(() => null);
    return response?.ok === true;
  }

  /**
   * Stops a connector in its own way and starts it again. @param how `twice`: who stops it has no patience.
   * @returns also `connector forced to stop`, where its patience was at an end: what was not said by then, never is.
   */
  async restartConnector(index: number, how: "SIGTERM" | "SIGKILL" | "twice", pauseMs: number): Promise<Came> {
    let drainedMs = 0;
    const came = await this.#alone(SITES[index]!, async () => {
      const from = performance.now();
      const child = this.#connectors[index]!;
      const name = SITES[index]!;
      this.#presence?.left(name, performance.now());
      child.kill(how === "twice" ? "SIGTERM" : how);
      if (how === "twice") {
        await sleep(IMPATIENCE_MS);
        child.kill("SIGTERM");
      }
      const late = sleep(this.#drainWithinMs, "late" as const, { ref: false });
      const code = await Promise.race([child.exited, late]);
      if (how !== "SIGKILL" && code !== 0) this.problems.push(`${name} drained with ${code}`);
      if (code === "late") child.kill("SIGKILL");
      await child.exited;
      drainedMs = performance.now() - from;
      await sleep(pauseMs);
      this.#presence?.back(name, performance.now());
      this.#connectors[index] = await this.stack.startConnector(index);
    });
    return came && how === "SIGTERM" && drainedMs >= DRAIN_MS ? "connector forced to stop" : came;
  }

  freezeConnector(index: number, ms: number): Promise<boolean> {
    return this.#alone(SITES[index]!, async () => {
      const { pid } = this.#connectors[index]!;
      process.kill(pid, "SIGSTOP");
      await sleep(ms);
      process.kill(pid, "SIGCONT");
    });
  }

  /** Its pools are replaced, and what runs in the old ones goes on. */
  reloadConnector(index: number): Promise<boolean> {
    return this.#alone(SITES[index]!, async () => {
      const file = this.stack.configs[index]!;
      const text = await readFile(file, "utf8");
      await writeFile(
        file,
        text.replaceAll(/slots: (\d+)/g, (_, slots) => `slots: ${Number(slots) ^ 1}`),
      );
      process.kill(this.#connectors[index]!.pid, "SIGHUP");
    });
  }

  restartEdge(): Promise<boolean> {
    return this.#alone("edge", async () => {
      const edge = this.#edge;
      edge.kill("SIGKILL");
      process.kill(this.#workerd, "SIGKILL");
      await edge.exited;
      const { edge: again, workerdPid } = await this.stack.startEdge();
      this.#edge = again;
      this.#workerd = workerdPid;
    });
  }

  /** @param ms 0: until so many requests have met it as it counts. */
  async engineFault(port: number, faults: object, ms = 0): Promise<boolean> {
    const url = `http://127.0.0.1:${this.#fleetPort}/sim/faults?port=${port}`;
    await this.#post(url, faults);
    const isCounting = async () => ((await (await fetch(url)).json()) as { count?: number }).count !== undefined;
    if (ms > 0) await sleep(ms);
    else for (let turn = 0; turn < MET_WITHIN_MS / 100 && (await isCounting()); turn += 1) await sleep(100);
    await this.#post(url, {});
    return true;
  }

  async backendFault(faults: object, ms: number): Promise<boolean> {
    await this.#post(`http://127.0.0.1:${this.stack.backendPort}/sim/faults`, faults);
    await sleep(ms);
    await this.#post(`http://127.0.0.1:${this.stack.backendPort}/sim/faults`, {});
    return true;
  }

  /** An engine that no pool uses answers for all of them: one that refuses connections cannot be told to stop. */
  get #fleetPort(): number {
    return this.stack.chatPorts.at(-1)!;
  }

  async #alone(name: string, work: () => Promise<void>): Promise<boolean> {
    if (this.#busy.has(name)) return false;
    this.#busy.add(name);
    try {
      await work();
      return true;
    } finally {
      this.#busy.delete(name);
    }
  }

  async #post(url: string, body: object): Promise<void> {
    const headers = { "content-type": "application/json" };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${url}: ${await response.text()}`);
  }
}
