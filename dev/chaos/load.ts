// The load: clients in a closed loop, and a prober whose small requests tell how long each fault is felt.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type Outcome } from "./client.ts";
import { draw, embeddingOf, KEYS } from "./question.ts";
import type { Random } from "./random.ts";

const PROBE_EVERY_MS = 50;

export class Load {
  readonly outcomes: Outcome[] = [];
  readonly probes: Outcome[] = [];
  readonly #client: Client;
  #isOn = true;
  #running: Promise<unknown>[] = [];

  constructor(port: number) {
    this.#client = new Client(port);
  }

  start(random: Random, clients: number): void {
    this.#running = Array.from({ length: clients }, () => this.#loop(random.fork()));
    this.#running.push(this.#probe());
  }

  /** Lets what runs come to its end. */
  async stop(): Promise<void> {
    this.#isOn = false;
    await Promise.all(this.#running);
    this.#client.close();
  }

  async #loop(random: Random): Promise<void> {
    while (this.#isOn) {
      const outcome = await this.#client.ask(draw(random));
      this.outcomes.push(outcome);
      // A client that was refused comes back in a while, as the SDK's does.
      if (outcome.kind === "refused" || outcome.kind === "lost") await sleep(200);
    }
  }

  async #probe(): Promise<void> {
    const asked: Promise<unknown>[] = [];
    for (let turn = 0; this.#isOn; turn += 1) {
      const question = embeddingOf(KEYS[turn % KEYS.length]!, ["probe"]);
      asked.push(this.#client.ask(question).then((outcome) => this.probes.push(outcome)));
      await sleep(PROBE_EVERY_MS);
    }
    await Promise.all(asked);
  }
}
