// The pace of generation: when which token is due, where a fault stops it, and when it has to wait for its reader.
import type { Exchange } from "./exchange.ts";
import { type BreakKind, breakOf } from "./faults.ts";

/** Tokens between two looks at the event loop when there is no pace to wait for. */
const BURST = 64;

/** Who takes the tokens. */
export interface Sink {
  /** Tokens [from, to) of every choice are generated. */
  emit(from: number, to: number): void;
  /** Hands what was emitted to the socket; false: wait until it has drained. Null: nothing goes out before the end. */
  readonly flush: (() => boolean) | null;
}

export type Ending = "complete" | "gone" | Exclude<BreakKind, "hang">;

/** How many tokens are due, at most `most`, if the next one is due at `next` and then one every `step` ms. Pure. */
export function dueTokens(next: number, now: number, step: number, most: number): number {
  if (now < next) return 0;
  return step === 0 ? most : Math.min(most, 1 + Math.floor((now - next) / step));
}

/** Generates `count` tokens, the first at `firstAt`. */
export async function produce(
  exchange: Exchange,
  pace: { readonly firstAt: number; readonly msPerToken: number },
  count: number,
  sink: Sink,
): Promise<Ending> {
  let done = 0;
  let next = pace.firstAt;
  while (!exchange.gone) {
    const faults = exchange.faults();
    const fault = breakOf(faults);
    if (fault !== null && done >= fault.tokens) {
      if (fault.kind !== "hang") return fault.kind;
      sink.flush?.();
      await exchange.pause();
      next = performance.now();
      continue;
    }
    if (done >= count) return "complete";

    const limit = Math.min(count, fault?.tokens ?? count);
    const step = faults.slow_ms_per_token ?? pace.msPerToken;
    const due = dueTokens(
      next,
      performance.now(),
      step,
      sink.flush === null ? limit - done : Math.min(BURST, limit - done),
    );
    if (due > 0) {
      sink.emit(done, done + due);
      done += due;
      next += due * step;
      if (done === limit) continue;
    }
    if (sink.flush === null) {
      // Nobody sees the single tokens of a plain answer, so it sleeps until the last one is due.
      await exchange.pause(Math.ceil(next + (limit - done - 1) * step - performance.now()));
      if (exchange.gone) sink.emit(done, done + dueTokens(next, performance.now(), step, limit - done));
    } else if (!sink.flush()) await drained(exchange);
    else if (next <= performance.now()) await exchange.turn();
    else await exchange.pause(Math.ceil(next - performance.now()));
  }
  return "gone";
}

async function drained(exchange: Exchange): Promise<void> {
  while (exchange.response.writableNeedDrain && !exchange.gone) await exchange.pause();
}
