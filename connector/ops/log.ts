// The connector's log: one JSON object a line, on standard output. What goes wrong with the log never becomes the
// exchanges' trouble: lines are written by another thread, and what does not fit the buffer is dropped and counted.
import pino, { type Level, type Logger } from "pino";

/** Lines that wait for a reader who does not read; about 2,000 exchanges. */
const BUFFER_BYTES = 1024 * 1024;
/** Lines leave together, at once if they are so long and else after so many ms: a write for each costs about twice as much. */
const TOGETHER_BYTES = 8 * 1024;
const TOGETHER_MS = 200;
const STDOUT = 1;

export interface Logging {
  readonly log: Logger;
  /** Lines that were never written. */
  dropped(): number;
}

export function openLog(level: Level, file: number | string = STDOUT): Logging {
  // `sync: true`, pino's default, would let the reader of a pipe stop the event loop. What is left at exit pino writes itself.
  const destination = pino.destination({
    dest: file,
    sync: false,
    minLength: TOGETHER_BYTES,
    periodicFlush: TOGETHER_MS,
    maxLength: BUFFER_BYTES,
  });
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: withoutWords },
    },
    destination,
  );
  let dropped = 0;
  let told = 0;
  destination.on("drop", () => {
    dropped += 1;
  });
  destination.on("drain", () => {
    if (dropped === told) return;
    const lines = dropped - told;
    told = dropped;
    log.warn({ lines, dropped }, "lines of the log were dropped: its reader is too slow");
  });
  // A full disk is no reason to stop. The line stays in the buffer and is tried again with the next one.
  destination.on("error", () => {});
  return { log, dropped: () => dropped };
}

/**
 * An error as far as it may be logged: what it is and where it was thrown, not what it says. V8's own messages quote what they
 * could not read, and that may be a prompt.
 */
export function withoutWords(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error };
  const code: unknown = Reflect.get(error, "code");
  return { type: error.name, ...(typeof code === "string" ? { code } : {}), stack: framesOf(error) };
}

/** A stack begins with the words, which may have lines that look like frames. */
function framesOf({ stack = "", message }: Error): string[] {
  const at = stack.indexOf(message);
  if (at < 0) return [];
  const lines = stack.slice(at + message.length).split("\n");
  return lines.filter((line) => line.startsWith("    at ")).map((line) => line.trim());
}
