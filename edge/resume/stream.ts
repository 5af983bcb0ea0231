// The Worker's end of an answer: it counts what it has, and when its hub is lost it goes on at that offset elsewhere.
// The client sees one stream. Knows nothing of hubs: how to go on is a function.

const NEWLINE = 0x0a;
/** What one read may bring. Without a buffer of our own a read brings 4 KiB at most (workerd 1.20261023), a turn of the event loop each. */
const READ_BYTES = 128 * 1024;
/** So often an answer is resumed without a byte of it in between: hubs are not lost in such a row, it is something else. */
export const MOST_IN_VAIN = 20;
/** Below this a copy is cheaper than a new buffer for the next read. */
const SMALL_BYTES = 16 * 1024;

export interface ResumableOptions {
  readonly first: ReadableStream<Uint8Array>;
  /** Goes on behind `offset`; throws where that is not possible any more. */
  readonly reopen: (offset: number) => Promise<ReadableStream<Uint8Array>>;
  /**
   * What a client of an event stream reads when the answer cannot go on; null for a plain body, whose only honest end,
   * once it has begun, is a broken connection.
   */
  readonly interrupted: Uint8Array | null;
}

/**
 * A plain body comes with its first bytes, since before them its loss can be told by a status.
 * @throws what `reopen` throws, or the error of the stream: the loss of a plain body of which nothing has come.
 */
export async function resumable({ first, reopen, interrupted }: ResumableOptions): Promise<ReadableStream<Uint8Array>> {
  let reader = first.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(READ_BYTES);
  let offset = 0;
  let isLeft = false;
  let inVain = 0;
  /** The beginning of an event whose end is not here yet: a client must never see half an event before an error. */
  let tail: Uint8Array | null = null;

  const next = async (): Promise<Uint8Array | null> => {
    for (;;) {
      try {
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done) return null;
        offset += value.byteLength;
        inVain = 0;
        const isSmall = value.byteLength < SMALL_BYTES;
        const chunk = isSmall ? value.slice() : value;
        buffer = isSmall ? value.buffer : new ArrayBuffer(READ_BYTES);
        return chunk;
      } catch (error) {
        const isOver = isLeft || inVain === MOST_IN_VAIN;
        inVain += 1;
        if (isOver) throw error;
        const again = await reopen(offset);
        reader = again.getReader({ mode: "byob" });
        if (isLeft) {
          await reader.cancel();
          throw error;
        }
        // The buffer went down with the read that failed.
        buffer = new ArrayBuffer(READ_BYTES);
      }
    }
  };

  let beginning = interrupted === null ? { chunk: await next() } : null;

  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    try {
      for (;;) {
        const chunk = beginning === null ? await next() : beginning.chunk;
        beginning = null;
        if (chunk === null) {
          if (tail !== null) controller.enqueue(tail);
          return controller.close();
        }
        if (interrupted === null) return controller.enqueue(chunk);
        const whole = join(tail, chunk);
        const end = lastEventEnd(whole);
        tail = end === whole.byteLength ? null : whole.slice(end);
        if (end > 0) return controller.enqueue(whole.subarray(0, end));
      }
    } catch (error) {
      if (isLeft) return;
      if (interrupted === null) return controller.error(error);
      controller.enqueue(interrupted);
      controller.close();
    }
  };
  const cancel = (reason: unknown) => {
    isLeft = true;
    return reader.cancel(reason);
  };
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}

function join(tail: Uint8Array | null, chunk: Uint8Array): Uint8Array {
  if (tail === null) return chunk;
  const whole = new Uint8Array(tail.byteLength + chunk.byteLength);
  whole.set(tail);
  whole.set(chunk, tail.byteLength);
  return whole;
}

/** Offset behind the last blank line. */
function lastEventEnd(bytes: Uint8Array): number {
  for (let at = bytes.lastIndexOf(NEWLINE); at > 0; at = bytes.lastIndexOf(NEWLINE, at - 1)) {
    if (bytes[at - 1] === NEWLINE) return at + 1;
  }
  return 0;
}
