import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MOST_IN_VAIN, resumable } from "../../../edge/resume/stream.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const INTERRUPTED = encode('data: {"error":"cut"}\n\n');

/** Gives `chunks`, then ends, or breaks as a lost hub does. */
function source(chunks: Uint8Array[], breaks: boolean): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const chunk = chunks[at];
      at += 1;
      if (chunk !== undefined) {
        controller.enqueue(chunk);
      } else if (breaks) {
        controller.error(new Error("the hub was reset"));
      } else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  });
}

const gone = async (): Promise<never> => {
  throw new Error("nobody knows it");
};

async function text(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new TextDecoder().decode(Buffer.concat(await Array.fromAsync(stream)));
}

describe("a resumable stream", () => {
  test("is one stream to its reader, however often the source breaks and wherever it is cut", async () => {
    const answer = Array.from({ length: 40 }, (_, i) => `data: event ${i} ${"x".repeat(i)}\n\n`).join("");
    const bytes = encode(answer);
    const cuts = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(cuts, fc.integer({ min: 1, max: 300 }), fc.boolean(), async (given, size, isEvents) => {
        const breaks = [...new Set(given)].sort((a, b) => a - b);
        const from = (offset: number) => {
          const end = breaks.find((cut) => cut > offset) ?? bytes.length;
          const chunks = [];
          for (let at = offset; at < end; at += size) chunks.push(bytes.slice(at, Math.min(at + size, end)));
          return source(chunks, end < bytes.length);
        };
        const stream = await resumable({
          first: from(0),
          reopen: async (offset) => from(offset),
          interrupted: isEvents ? INTERRUPTED : null,
        });
        expect(await text(stream)).toBe(answer);
      }),
    );
  });

  test("that cannot go on ends with whole events and then the error, never with half an event", async () => {
    const stream = await resumable({
      first: source([encode("data: one\n\ndata: tw")], true),
      reopen: gone,
      interrupted: INTERRUPTED,
    });
    expect(await text(stream)).toBe('data: one\n\ndata: {"error":"cut"}\n\n');
  });

  test("of a plain body that cannot go on breaks, and never looks complete", async () => {
    const stream = await resumable({ first: source([encode('{"a":')], true), reopen: gone, interrupted: null });
    await expect(text(stream)).rejects.toThrow("nobody knows it");
  });

  test("of a plain body is not there before its first bytes, and then does not wait for more", async () => {
    const begin = Promise.withResolvers<void>();
    const first = new ReadableStream({
      type: "bytes",
      async pull(controller) {
        await begin.promise;
        controller.enqueue(encode("{"));
      },
    });
    let isHere = false;
    const stream = resumable({ first, reopen: gone, interrupted: null }).then((made) => {
      isHere = true;
      return made;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isHere).toBe(false);
    begin.resolve();
    const reader = (await stream).getReader();
    expect((await reader.read()).value).toEqual(encode("{"));
  });

  test("of a plain body is not there at all where it is lost before its first byte", async () => {
    const again = [source([], true), source([], true)];
    const reopen = async () => again.pop() ?? gone();
    await expect(resumable({ first: source([], true), reopen, interrupted: null })).rejects.toThrow("nobody knows it");
  });

  test("of an empty plain body is empty", async () => {
    expect(await text(await resumable({ first: source([], false), reopen: gone, interrupted: null }))).toBe("");
  });

  test("is cancelled with its reader", async () => {
    let cancelled = false;
    const first = new ReadableStream({
      type: "bytes",
      pull: (controller) => controller.enqueue(encode("data: x\n\n")),
      cancel: () => {
        cancelled = true;
      },
    });
    const reader = (await resumable({ first, reopen: gone, interrupted: INTERRUPTED })).getReader();
    await reader.read();
    await reader.cancel();
    expect(cancelled).toBe(true);
  });

  test("whose reader leaves while it is on its way to go on elsewhere is left there too", async () => {
    let cancelled = false;
    const again = new ReadableStream({
      type: "bytes",
      cancel: () => {
        cancelled = true;
      },
    });
    const asked = Promise.withResolvers<void>();
    const hub = Promise.withResolvers<ReadableStream<Uint8Array>>();
    const reopen = () => {
      asked.resolve();
      return hub.promise;
    };
    const reader = (await resumable({ first: source([], true), reopen, interrupted: INTERRUPTED })).getReader();
    const read = reader.read();
    await asked.promise;
    await reader.cancel().catch(() => {});
    hub.resolve(again);
    await read;
    await new Promise((resolve) => setImmediate(resolve));
    expect(cancelled).toBe(true);
  });

  test("is not resumed without end where it breaks again and again and nothing comes", async () => {
    let resumed = 0;
    const reopen = async () => {
      resumed += 1;
      if (resumed > 1_000) throw new Error("without end");
      return source([], true);
    };
    const stream = await resumable({
      first: source([encode("data: one\n\n")], true),
      reopen,
      interrupted: INTERRUPTED,
    });
    expect(await text(stream)).toBe('data: one\n\ndata: {"error":"cut"}\n\n');
    expect(resumed).toBe(MOST_IN_VAIN);
  });
});
