// What each exchange has cost, from the gate's word on until a line of the log tells it: the exchange's own if it is over by
// then, or one that follows when that is written already, or will be by another life of the hub. Pure.
import type { End } from "../../shared/wire/messages.ts";
import type { Forfeit } from "./gatekeeper.ts";

export interface Receipt {
  readonly id: string;
  /** Tokens that its key has paid. */
  readonly charged: number;
  /** Null: nobody has said what it used. */
  readonly end: Pick<End, "outcome" | "usage"> | null;
  /** Since its admission, where it was closed without the END that was waited for. */
  readonly ageMs?: number;
}

export class Receipts {
  readonly #due = new Map<string, Receipt>();

  /** @param charged null: this changed nothing. */
  note(id: string, charged: number | null, end: End | null): void {
    if (charged !== null) this.#due.set(id, { id, charged, end });
  }

  noteUnserved(cost: Forfeit | null): void {
    if (cost === null) return;
    const { id, tokens, told, ageMs } = cost;
    this.#due.set(id, { id, charged: tokens, end: told, ageMs });
  }

  /** Its own line is written now. @returns null if the gate has not spoken yet, or long ago. */
  take(id: string): number | null {
    const charged = this.#due.get(id)?.charged ?? null;
    this.#due.delete(id);
    return charged;
  }

  /** What no line has told; to be called when it is written down. */
  rest(): Receipt[] {
    if (this.#due.size === 0) return [];
    const rest = [...this.#due.values()];
    this.#due.clear();
    return rest;
  }
}
