// Clients in a closed loop: each asks, reads to the end, and asks the next. Of each request is kept what the bill needs.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type Outcome } from "../chaos/client.ts";
import type { Question } from "../chaos/question.ts";
import type { Random } from "../chaos/random.ts";
import type { Pause } from "./pause.ts";
import type { Asked } from "./verdict.ts";

export type Draw = (random: Random) => Question;
/** A client that was refused comes back in a while, as the SDK's does. */
const BACK_AFTER_MS = 200;

export class Load {
  readonly asked: Asked[] = [];
  readonly #client: Client;
  readonly #draw: Draw;
  readonly #pause: Pause;
  #isOn = true;
  #running: Promise<void>[] = [];

  constructor(port: number, draw: Draw, pause: Pause) {
    this.#client = new Client(port);
    this.#draw = draw;
    this.#pause = pause;
  }

  start(random: Random, clients: number): void {
    this.#running = Array.from({ length: clients }, () => this.#loop(random.fork()));
  }

  /** Lets what runs come to its end. */
  async stop(): Promise<void> {
    this.#isOn = false;
    await Promise.all(this.#running);
    this.#client.close();
  }

  async #loop(random: Random): Promise<void> {
    while (this.#isOn) {
      await this.#pause.over();
      const outcome = await this.#client.ask(this.#draw(random));
      this.asked.push(noted(outcome));
      if (outcome.kind === "refused" || outcome.kind === "lost") await sleep(BACK_AFTER_MS);
    }
  }
}

function noted({ question, kind, detail, id, startedAt, endedAt }: Outcome): Asked {
  const { key, path, stream, cost } = question;
  const tokens = cost.prompt + cost.completion;
  return { what: `${path}${stream ? " stream" : ""}`, key, kind, detail, id, tokens, startedAt, endedAt };
}
