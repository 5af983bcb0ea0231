// Ports that nobody uses at this moment, and the wait until somebody answers on one.
import { once } from "node:events";
import { createServer } from "node:net";
import { Connection, requestBytes } from "./connection.ts";
import { pause } from "./pause.ts";

export async function freePorts(count: number): Promise<number[]> {
  // All are held before the first is let go, so that they differ.
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    ports.push(address.port);
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}

/** Waits for 200 on `GET path`. */
export async function answers(port: number, path: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const connection = new Connection(port);
    const late = setTimeout(() => connection.destroy(), 1_000);
    try {
      if ((await connection.ask(requestBytes({ method: "GET", path }), () => {})) === 200) return;
      throw new Error("is not 200");
    } catch (error) {
      if (performance.now() > until) {
        throw new Error(`no answer on port ${port} ${path} after ${timeoutMs} ms`, { cause: error });
      }
    } finally {
      clearTimeout(late);
      connection.destroy();
    }
    await pause(50, signal);
  }
}
