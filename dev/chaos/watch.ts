// What the parts themselves say while it goes on, and when all is quiet: hubs, engines, keys, memory.
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { PoolReport } from "../../shared/wire/messages.ts";
import type { LedgerRow } from "./bill.ts";
import type { Account } from "./lines.ts";
import { KEYS } from "./question.ts";
import { ADMIN_TOKEN, type Site } from "./site.ts";

const LOOK_EVERY_MS = 2_000;
const READY_WITHIN_MS = 20_000;
/** A lease whose connector is gone for good waits a minute. */
const QUIET_WITHIN_MS = 100_000;

export interface MemorySample {
  readonly atMs: number;
  readonly name: string;
  /** Another one is another process: it begins anew. */
  readonly pid: number;
  readonly rssBytes: number;
}

export interface Figures {
  readonly rows: readonly LedgerRow[];
  /** Tokens of the day, of all keys together: what was charged. */
  readonly charged: number;
  /** The day of all keys is the one in which it began. */
  readonly isSameDay: boolean;
  readonly chargedBy: ReadonlyMap<string, number>;
  readonly slotsBusy: number;
  /** Requests that connectors believe to be at an engine or in a queue. */
  readonly inPools: number;
  readonly leases: number;
  readonly exchanges: number;
  readonly heldBytes: number;
  readonly violations: number;
  readonly resumed: number;
  readonly memory: readonly MemorySample[];
  /** ms from the last answer until nothing ran and nothing was owed. */
  readonly quietAfterMs: number;
}

export interface HubView {
  readonly exchanges: number;
  readonly held_bytes: number;
  readonly violations: number;
  readonly resumed: number;
  readonly links: readonly {
    readonly connector: string;
    readonly live: boolean;
    readonly pools: readonly PoolReport[];
  }[];
  readonly gate: { readonly leases: number };
}

export class Watch {
  readonly #site: Site;
  readonly #clock: () => number;
  readonly #seen = new Map<number, number>();
  readonly #rows = new Map<string, LedgerRow>();
  readonly #memory: MemorySample[] = [];
  #isOn = false;
  #resumedBefore: readonly number[] = [];
  /** Answers that went on over another socket, as far as it was seen: a hub that is lost forgets its count. */
  resumed = 0;
  #chargedBefore = new Map<string, number>();
  #looking: Promise<void> = Promise.resolve();
  readonly #began: number;
  readonly #day = dayNow();

  /** @param clock ms; what memory is told against. */
  constructor(site: Site, clock = () => performance.now()) {
    this.#site = site;
    this.#clock = clock;
    this.#began = clock();
  }

  async ready(): Promise<void> {
    await this.#until(async () => (await fetch(`${this.#site.stack.url}/health/ready`)).ok, READY_WITHIN_MS, "ready");
    // What an earlier run in the same folder has left.
    this.#chargedBefore = await this.#charged();
  }

  start(): void {
    this.#isOn = true;
    this.#looking = (async () => {
      while (this.#isOn) {
        await this.#look();
        await this.#countResumed().catch(() => {});
        await sleep(LOOK_EVERY_MS);
      }
    })();
  }

  /** @param accounts what the edge has said, if that matters: it is waited for until each exchange has its cost. */
  async quiet(accounts: ReadonlyMap<string, Account> = new Map()): Promise<Figures> {
    this.#isOn = false;
    await this.#looking;
    const since = performance.now();
    let hubs: HubView[] = [];
    await this.#until(
      async () => {
        hubs = await this.hubs();
        const isIdle = hubs.every((hub) => hub.exchanges === 0 && hub.gate.leases === 0) && inPools(hubs) === 0;
        const isTold = [...accounts.values()].every(({ bills }) => bills.length > 0);
        if (!isIdle || !isTold || (await this.#slotsBusy()) > 0) return false;
        await this.#look();
        return accounts.size === 0 || this.#haveAllLines(accounts);
      },
      QUIET_WITHIN_MS,
      "quiet",
    ).catch(() => {});
    const quietAfterMs = performance.now() - since;
    await this.#look();
    const after = await this.#charged();
    const chargedBy = new Map(KEYS.map((key) => [key, (after.get(key) ?? 0) - (this.#chargedBefore.get(key) ?? 0)]));
    const sum = (of: (hub: HubView) => number) => hubs.reduce((total, hub) => total + of(hub), 0);
    return {
      rows: [...this.#rows.values()],
      charged: [...chargedBy.values()].reduce((total, tokens) => total + tokens, 0),
      chargedBy,
      isSameDay: this.#day === dayNow(),
      slotsBusy: await this.#slotsBusy(),
      inPools: inPools(hubs),
      leases: sum((hub) => hub.gate.leases),
      exchanges: sum((hub) => hub.exchanges),
      heldBytes: sum((hub) => hub.held_bytes),
      violations: sum((hub) => hub.violations),
      resumed: sum((hub) => hub.resumed),
      memory: this.#memory,
      quietAfterMs,
    };
  }

  /** What ran without a lease that outlived its hub is owed by nobody until its connector has said END once more. */
  #haveAllLines(accounts: ReadonlyMap<string, Account>): boolean {
    return [...this.#rows.values()].every(({ request_id: id }) => id === null || accounts.has(id));
  }

  async #look(): Promise<void> {
    for (const port of this.#site.enginePorts) {
      const since = this.#seen.get(port) ?? 0;
      const rows = await this.#engine<readonly (LedgerRow & { seq: number })[]>(port, "ledger", `&since=${since}`);
      if (rows.length > 0 && rows[0]!.seq !== since + 1) throw new Error(`the ledger of ${port} ran over`);
      for (const row of rows) this.#rows.set(`${port}/${row.seq}`, row);
      this.#seen.set(port, rows.at(-1)?.seq ?? since);
    }
    for (const [name, pid] of Object.entries(this.#site.processes)) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const kib = /^VmRSS:\s+(\d+)/m.exec(status)?.[1];
      if (kib === undefined) continue;
      this.#memory.push({ atMs: this.#clock() - this.#began, name, pid, rssBytes: Number(kib) * 1024 });
    }
  }

  async #countResumed(): Promise<void> {
    const counts = (await this.hubs()).map((hub) => hub.resumed);
    for (const [shard, count] of counts.entries()) {
      const before = this.#resumedBefore[shard] ?? 0;
      this.resumed += count >= before ? count - before : count;
    }
    this.#resumedBefore = counts;
  }

  async hubs(): Promise<HubView[]> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const response = await fetch(`${this.#site.stack.url}/admin/status`, { headers });
    return ((await response.json()) as { shards: HubView[] }).shards;
  }

  async #slotsBusy(): Promise<number> {
    let busy = 0;
    for (const port of this.#site.enginePorts) {
      busy += (await this.#engine<{ slots_busy: number; deferred: number }>(port, "state")).slots_busy;
    }
    return busy;
  }

  async #charged(): Promise<Map<string, number>> {
    const charged = new Map<string, number>();
    for (const key of KEYS) {
      const response = await fetch(`${this.#site.stack.url}/v1/usage`, { headers: { authorization: `Bearer ${key}` } });
      const { limits } = (await response.json()) as { limits: { tokens_per_day: { used: number } } };
      charged.set(key, limits.tokens_per_day.used);
    }
    return charged;
  }

  async #engine<T>(port: number, what: string, more = ""): Promise<T> {
    const any = this.#site.stack.chatPorts.at(-1)!;
    return (await fetch(`http://127.0.0.1:${any}/sim/${what}?port=${port}${more}`)).json() as Promise<T>;
  }

  async #until(condition: () => Promise<boolean>, withinMs: number, what: string): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!(await condition().catch(() => false))) {
      if (performance.now() > deadline) throw new Error(`not ${what} within ${withinMs / 1_000} s`);
      await sleep(200);
    }
  }
}

function inPools(hubs: readonly HubView[]): number {
  const pools = hubs.flatMap(({ links }) => links.flatMap((link) => link.pools));
  return pools.reduce((sum, { in_flight: running, queued }) => sum + running + queued, 0);
}

/** UTC: a new day begins a new count. */
function dayNow(): string {
  return new Date().toISOString().slice(0, 10);
}
