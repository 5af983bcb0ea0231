// Moves a large request body from the Worker to the connector, never far ahead of what the connector takes.
import type { Answer } from "./answer.ts";
import { pushBody } from "./boarding.ts";
import type { Exchange } from "./exchange.ts";

/** What is held of a large request body before its connector takes it. */
export const BODY_AHEAD_BYTES = 256 * 1024;
/** One read of a body. A read without a buffer of our own brings 4 KiB at most (workerd 1.20261023). */
const PUMP_BYTES = 64 * 1024;

interface Board {
  cancel(exchange: Exchange): void;
}

export async function pump(
  source: ReadableStream<Uint8Array>,
  exchange: Exchange,
  answer: Answer,
  board: Board,
): Promise<void> {
  const reader = source.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(PUMP_BYTES);
  try {
    for (;;) {
      while (exchange.body.retained >= BODY_AHEAD_BYTES && exchange.state !== "over") {
        await new Promise<void>((resolve) => {
          answer.onRoom = resolve;
        });
      }
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done || exchange.state === "over") return;
      exchange.body.append(value);
      buffer = value.buffer;
      pushBody(exchange);
    }
  } catch {
    board.cancel(exchange);
  } finally {
    reader.releaseLock();
  }
}
