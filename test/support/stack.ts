// The real processes for a file of tests: started before the first, gone after the last.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { type Stack, type StackOptions, startStack } from "../../dev/start/stack.ts";
import { indiscretions } from "./discreet.ts";

export const ADMIN_TOKEN = "test-admin-token";
/** Limits that no test reaches which is not about limits. */
const WIDE = { rpm: 1e9, tpm: 1e9, tokens_per_day: 1e12, max_tokens: 1e9 };
const WIDE_TIERS = JSON.stringify({ free: WIDE, premium: WIDE, admin: WIDE });

/** @returns a function that gives the running stack. */
export function useStack(options: Omit<StackOptions, "directory"> = {}): () => Stack {
  const crew = new Crew();
  let directory: string;
  let stack: Stack | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    stack = await startStack(crew, {
      ...options,
      directory,
      edge: { ADMIN_TOKEN, TIERS: WIDE_TIERS, ...options.edge },
    });
    await until(async () => (await fetch(`${stack!.url}/health/ready`)).ok);
  });
  afterAll(async () => {
    await crew.dismiss();
    // Whatever a file of tests was about, and whatever it sent.
    const told = await indiscretions(directory, /^(?:edge|onprem)/);
    await rm(directory, { recursive: true, force: true });
    if (told.length > 0) throw new Error(`a log tells what it must not:\n${told.join("\n")}`);
  });
  return () => {
    if (stack === undefined) throw new Error("the stack is not up");
    return stack;
  };
}

/** Waits for a condition of another process, which no event tells. Bounded. */
export async function until(condition: () => Promise<boolean> | boolean, withinMs = 15_000): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

export interface EngineState {
  readonly slots_busy: number;
  readonly deferred: number;
  readonly requests: number;
  readonly cancelled: number;
  readonly completion_tokens_total: number;
  readonly prompt_tokens_total: number;
  readonly last_requests: readonly {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body_bytes: number;
  }[];
}

/** What the engines themselves say. */
export class Engines {
  readonly ports: readonly number[];
  readonly #through: number | undefined;

  /** @param through port of an engine that is asked for the others: one that refuses connections cannot be. */
  constructor(ports: readonly number[], through?: number) {
    this.ports = ports;
    this.#through = through;
  }

  async states(): Promise<EngineState[]> {
    return Promise.all(
      this.ports.map(async (port) => (await fetch(this.#sim(port, "state"))).json() as Promise<EngineState>),
    );
  }

  async sum(field: "slots_busy" | "deferred" | "requests" | "cancelled" | "completion_tokens_total"): Promise<number> {
    return (await this.states()).reduce((sum, state) => sum + state[field], 0);
  }

  async fault(faults: object, ports = this.ports): Promise<void> {
    for (const port of ports) {
      const response = await fetch(this.#sim(port, "faults"), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(faults),
      });
      if (!response.ok) throw new Error(`faults refused: ${await response.text()}`);
    }
  }

  #sim(port: number, what: string): string {
    return `http://127.0.0.1:${this.#through ?? port}/sim/${what}?port=${port}`;
  }
}
