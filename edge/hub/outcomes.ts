// How exchanges ended, counted by model and outcome. Pure; bounded, since a model is a word of the configuration.
import type { OutcomeCount } from "../../shared/hop.ts";

const MOST_ROWS = 256;

export class Outcomes {
  readonly #counts = new Map<string, { readonly model: string; readonly outcome: string; count: number }>();

  add(model: string, outcome: string): void {
    const key = `${model} ${outcome}`;
    const row = this.#counts.get(key);
    if (row !== undefined) row.count += 1;
    else if (this.#counts.size < MOST_ROWS) this.#counts.set(key, { model, outcome, count: 1 });
  }

  list(): OutcomeCount[] {
    return [...this.#counts.values()].map((row) => ({ ...row }));
  }
}
