// The load of whole answers without wrk: raw sockets in a thread of their own, so that the judge of a stream next to
// it is not held up.
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { requestBytes } from "./connection.ts";
import type { PlainLoad } from "./load-plain.ts";
import { loop } from "./loop.ts";
import type { Slice } from "./measure.ts";

const CLOSING_BRACE = 0x7d;
const SPACE = 0x20;

export async function loadByRawSockets(load: PlainLoad, signal: AbortSignal): Promise<Slice> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { rawLoad: load } });
  const end = () => void worker.terminate();
  signal.addEventListener("abort", end);
  try {
    return await new Promise<Slice>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new Error("the load thread ended")));
    });
  } finally {
    signal.removeEventListener("abort", end);
    await worker.terminate();
  }
}

async function work(load: PlainLoad): Promise<Slice> {
  const { path, authorization, body, size, connections, port, ms } = load;
  const request = requestBytes({ method: "POST", path, authorization, body });
  const samples: number[] = [];
  let read = 0;
  const result = await loop({ port, connections, ms, signal: new AbortController().signal }, async (connection) => {
    const start = performance.now();
    let bytes = 0;
    let last = 0;
    const status = await connection.ask(request, (piece) => {
      bytes += piece.length;
      read += piece.length;
      for (let at = piece.length - 1; at >= 0; at--) {
        const byte = piece[at] ?? 0;
        if (byte <= SPACE) continue;
        last = byte;
        break;
      }
    });
    if (status !== 200) throw new Error(`status ${status}`);
    if (bytes < size.min || bytes > size.max || last !== CLOSING_BRACE) throw new Error("wrong size");
    samples.push(performance.now() - start);
  });
  return { ...result, bytes: read, samples, weight: 1 };
}

if (!isMainThread && workerData !== null && typeof workerData === "object" && "rawLoad" in workerData) {
  parentPort?.postMessage(await work(workerData.rawLoad as PlainLoad));
}
