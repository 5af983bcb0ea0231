// What can be made to go wrong with one engine, and which requests it meets.
import { z } from "zod";

const place = z.int().min(0);
const isOn = (value: unknown) => value !== undefined && value !== false;

/** Strict: a misspelt fault that does nothing would let a test pass that tested nothing. */
export const Faults = z
  .strictObject({
    /** Everything answers 503 "Loading model". */
    loading: z.boolean().optional(),
    /** Every generation request gets this status. */
    status: z.int().min(400).max(599).optional(),
    /** So many generation requests meet the faults given with it; then all is well again. */
    count: z.int().min(1).optional(),
    hang_before_head: z.boolean().optional(),
    /** Of an answer with `answer_bytes`: its head goes out, and nothing behind it. */
    hang_after_head: z.boolean().optional(),
    /** Connection reset before a byte of the answer. */
    reset_before_head: z.boolean().optional(),
    hang_after_tokens: place.optional(),
    /** A well-formed end of the HTTP message without `[DONE]`; a plain answer is closed half-way. */
    truncate_after_tokens: place.optional(),
    /** The socket is closed, in order, in the middle of the HTTP message. */
    cut_after_tokens: place.optional(),
    /** RST. What the client has not read yet may be lost with it. */
    reset_after_tokens: place.optional(),
    /** An SSE event with an error; a plain answer becomes a 500. */
    error_event_after_tokens: place.optional(),
    /** A stream says `[DONE]`, and its HTTP message does not end: its client must. */
    open_after_done: z.boolean().optional(),
    /** Instead of the engine's own pace. */
    slow_ms_per_token: z.number().min(0).optional(),
    /** A plain answer is padded to so many bytes. */
    answer_bytes: z.int().min(1).max(1_000_000_000).optional(),
    /** Connections are destroyed: until cleared, or only the next so many. */
    refuse: z.union([z.boolean(), z.int().min(1)]).optional(),
    /** The whole process ends with code 1. */
    exit: z.boolean().optional(),
  })
  .refine(({ count, loading, refuse, exit, ...met }) => count === undefined || Object.values(met).some(isOn), {
    message: "counts the generation requests that meet a fault, and none is given with it that a request could meet",
    path: ["count"],
  });
export type Faults = z.infer<typeof Faults>;

export type BreakKind = "hang" | "truncate" | "cut" | "reset" | "error";

export interface Break {
  readonly kind: BreakKind;
  readonly tokens: number;
}

/** Where an answer breaks first, if it does. */
export function breakOf(faults: Faults): Break | null {
  const found: Break[] = [];
  const add = (kind: BreakKind, tokens: number | undefined) => {
    if (tokens !== undefined) found.push({ kind, tokens });
  };
  add("hang", faults.hang_after_tokens);
  add("truncate", faults.truncate_after_tokens);
  add("cut", faults.cut_after_tokens);
  add("reset", faults.reset_after_tokens);
  add("error", faults.error_event_after_tokens);
  return found.reduce<Break | null>(
    (first, next) => (first === null || next.tokens < first.tokens ? next : first),
    null,
  );
}

const NONE: Faults = {};

export class FaultBox {
  #current: Faults = NONE;
  /** Requests that the faults will still meet; null: all. */
  #left: number | null = null;
  #refusals = 0;

  get current(): Faults {
    return this.#current;
  }

  set(faults: Faults): void {
    this.#current = faults;
    this.#left = faults.count ?? null;
    this.#refusals = faults.refuse === true ? Number.POSITIVE_INFINITY : Number(faults.refuse ?? 0);
  }

  /**
   * The faults that one generation request meets, asked for as it goes on: faults without a count come and go under
   * running requests too, those with a count stay with the requests that drew them.
   */
  draw(): () => Faults {
    if (this.#left === null) return () => (this.#left === null ? this.#current : NONE);
    const drawn = this.#current;
    this.#left -= 1;
    if (this.#left === 0) this.set(NONE);
    return () => drawn;
  }

  /** Whether to destroy this connection; counts it. */
  refuses(): boolean {
    if (this.#refusals === 0) return false;
    this.#refusals -= 1;
    return true;
  }
}
