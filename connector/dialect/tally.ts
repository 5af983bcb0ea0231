// What a stream has used. Engines say it in different places:
// - vLLM: one chunk without choices at the end, all choices together; with `continuous_usage_stats` also on every chunk,
//   there for the chunk's own choice alone.
// - llama.cpp chat: one chunk without choices for each choice, each with the whole prompt (the same for all).
// - llama.cpp completions: on the last chunk of each choice.
// So figures of chunks without choices are summed; figures that ride on a choice are the latest word on that choice and
// summed over choices; the prompt is counted once. Where an engine says nothing, events with content are counted.
import type { Usage } from "../../shared/wire/messages.ts";
import { type Tokens, usageOf } from "./answer.ts";

/** More choices than any request may ask for; a hostile engine does not make the tally grow. */
const MAX_CHOICES = 256;

export class Tally {
  readonly #promptEstimate: number;
  #closing: Tokens | null = null;
  readonly #riding = new Map<number, Tokens>();
  #events = 0;
  #generated = 0;
  #isOver = false;

  constructor(promptEstimate: number) {
    this.#promptEstimate = promptEstimate;
  }

  /** An event of the completion. */
  event(hasContent: boolean): void {
    this.#events++;
    if (hasContent) this.#generated++;
  }

  /** Figures of a chunk without choices. */
  closing({ prompt, completion }: Tokens): void {
    const before = this.#closing ?? { prompt: 0, completion: 0 };
    this.#closing = { prompt: Math.max(before.prompt, prompt), completion: before.completion + completion };
  }

  /** Figures that ride on the chunk of a choice. */
  riding(choice: number, tokens: Tokens): void {
    if (this.#riding.size < MAX_CHOICES || this.#riding.has(choice)) this.#riding.set(choice, tokens);
  }

  /** The engine has said its last word: from now on its figures are the whole truth. */
  over(): void {
    this.#isOver = true;
  }

  /** What the engine has said until now of all choices together. */
  get told(): Tokens | null {
    return this.#closing ?? this.#ridingTotal();
  }

  usage(): Usage | null {
    if (this.#events === 0) return null;
    const engine = this.told;
    if (engine === null) return this.#counted(this.#promptEstimate);
    // Of several choices some may be closed and others still run: what has gone out is then the better figure.
    if (!this.#isOver && this.#generated > engine.completion) return this.#counted(engine.prompt);
    return usageOf(engine, "engine");
  }

  #counted(prompt: number): Usage {
    return usageOf({ prompt, completion: this.#generated }, "counted");
  }

  #ridingTotal(): Tokens | null {
    if (this.#riding.size === 0) return null;
    const total = { prompt: 0, completion: 0 };
    for (const { prompt, completion } of this.#riding.values()) {
      total.prompt = Math.max(total.prompt, prompt);
      total.completion += completion;
    }
    return total;
  }
}
