// What each kind of fault does to a site: a row each.
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultProxy } from "../../test/support/fault-proxy.ts";
import type { Fault, FaultKind } from "./schedule.ts";
import type { Site } from "./site.ts";

/** Longer than a connector waits for an engine that hangs. */
const PATIENCE_MS = 12_000;

export interface Targets {
  readonly index: number;
  readonly proxy: FaultProxy;
  readonly engine: number;
}
/** Whether it came, or which other kind it came to be. */
export type Came = boolean | FaultKind;
type Action = (site: Site, fault: Fault, targets: Targets) => Came | Promise<Came>;

const done = (_: unknown): boolean => true;

export const ACTIONS: Readonly<Record<FaultKind, Action>> = {
  "uplink RST": (_site, _fault, { proxy }) => done(proxy.cut("rst")),
  "uplink FIN": (_site, _fault, { proxy }) => done(proxy.cut("fin")),
  "uplink cut inside a frame": async (_site, { amount }, { proxy }) => {
    // Where nothing moves the cut never comes.
    await Promise.race([proxy.cutAfter(1 + amount * 7, amount % 2 === 0 ? "down" : "up"), sleep(2_000)]);
    return true;
  },
  "uplink stall": async (_site, { amount }, { proxy }) => {
    proxy.stall();
    await sleep(500 + amount);
    proxy.release();
    return true;
  },
  "uplink black hole": (_site, _fault, { proxy }) => done(proxy.blackHole(undefined, { newOnes: false })),
  "cable pulled": async (_site, { amount }, { proxy }) => {
    proxy.blackHole();
    await sleep(1_000 + amount * 5);
    proxy.heal();
    return true;
  },
  "hub reset": (site, { target }) => site.resetHub(target),
  "connector drain": (site, { amount }, { index }) => site.restartConnector(index, "SIGTERM", amount),
  "connector killed": (site, { amount }, { index }) => site.restartConnector(index, "SIGKILL", amount * 2),
  "connector forced to stop": (site, { amount }, { index }) => site.restartConnector(index, "twice", amount),
  "connector reloaded": (site, _fault, { index }) => site.reloadConnector(index),
  "connector frozen": (site, { amount }, { index }) => site.freezeConnector(index, 1_000 + amount * 3),
  "edge restart": (site) => site.restartEdge(),
  "engine refuses": (site, { amount }, { engine }) => site.engineFault(engine, { refuse: true }, 1_000 + amount),
  "engine 500 burst": (site, _fault, { engine }) => site.engineFault(engine, { status: 500, count: 6 }),
  "engine resets before the head": (site, _fault, { engine }) =>
    site.engineFault(engine, { reset_before_head: true, count: 2 }),
  "engine breaks off": (site, { amount }, { engine }) =>
    site.engineFault(engine, { cut_after_tokens: amount % 20, count: 3 }),
  // Until their connectors have no patience any more.
  "engine hangs before the head": (site, _fault, { engine }) =>
    site.engineFault(engine, { hang_before_head: true, count: 2 }, PATIENCE_MS),
  "engine hangs in its answer": (site, { amount }, { engine }) =>
    site.engineFault(engine, { hang_after_tokens: amount % 20, count: 2 }, PATIENCE_MS),
  "engine loads": (site, { amount }, { engine }) => site.engineFault(engine, { loading: true }, 1_000 + amount),
  "engine slow": (site, { amount }, { engine }) => site.engineFault(engine, { slow_ms_per_token: 50 }, 1_000 + amount),
  "backend away": (site, { amount }) => site.backendFault({ status: 503 }, 1_000 + amount * 2),
};
