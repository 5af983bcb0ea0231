// Answers of any size without holding them: a plain answer, padded where it may grow, goes out in blocks at its reader's pace.
import { plainHead } from "./answer.ts";
import type { Exchange } from "./exchange.ts";

/** `head`, then `copies` times the 16 bytes of `unit`, then `tail`. */
export interface Padded {
  readonly head: string;
  readonly unit: string;
  readonly copies: number;
  readonly tail: string;
}

export const UNIT_BYTES = 16;
/** Where a built answer may grow. Stands in no answer of its own accord. */
export const GROWS = "<grows-here>";
/** Padding that keeps its place well-formed: text in a string or base64, and members of an array of numbers. */
export const FILL = { text: "0123456789abcdef", base64: "AAAAAAAAAAAAAAAA", floats: ",0.25,-0.5,0.125" } as const;

const BLOCK_COPIES = 4096;

/** Pads `body` at its mark to exactly `bytes`; what no whole unit fills is white space at the end. Pure. */
export function pad(body: string, unit: string, bytes: number): Padded {
  const at = body.indexOf(GROWS);
  const head = body.slice(0, at);
  const rest = body.slice(at + GROWS.length);
  const room = Math.max(0, bytes - Buffer.byteLength(head) - Buffer.byteLength(rest));
  return { head, unit, copies: Math.floor(room / UNIT_BYTES), tail: rest + " ".repeat(room % UNIT_BYTES) };
}

export function paddedLength({ head, copies, tail }: Padded): number {
  return Buffer.byteLength(head) + copies * UNIT_BYTES + Buffer.byteLength(tail);
}

/** The part of a socket that pouring needs. */
export interface Drain {
  /** False: wait. */
  write(chunk: string | Uint8Array): boolean;
  end(chunk: string): unknown;
}

/** @param drained resolves when there is room again; false: nobody is there any more. */
export async function pour(padded: Padded, into: Drain, drained: () => Promise<boolean>): Promise<boolean> {
  const block = Buffer.from(padded.unit.repeat(Math.min(BLOCK_COPIES, padded.copies)));
  let open = into.write(padded.head);
  for (let left = padded.copies; left > 0; left -= BLOCK_COPIES) {
    if (!open && !(await drained())) return false;
    open = into.write(left >= BLOCK_COPIES ? block : block.subarray(0, left * UNIT_BYTES));
  }
  into.end(padded.tail);
  return true;
}

/** A padded answer; it is complete when its last byte was written. */
export async function pourWhole(exchange: Exchange, body: string, unit: string, bytes: number): Promise<void> {
  const { response } = exchange;
  const padded = pad(body, unit, bytes);
  plainHead(response, paddedLength(padded));
  while (exchange.faults().hang_after_head === true && !exchange.gone) {
    response.flushHeaders();
    await exchange.pause();
  }
  if (exchange.gone) return;
  const end = (chunk: string) => {
    exchange.settle("complete");
    response.end(chunk);
  };
  await pour(padded, { write: (chunk) => response.write(chunk), end }, async () => {
    while (response.writableNeedDrain && !exchange.gone) await exchange.pause();
    return !exchange.gone;
  });
}
