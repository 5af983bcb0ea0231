// Answers of a real llama-server, headers and all, byte for byte.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Captured {
  readonly status: number;
  readonly body: Uint8Array;
}

export function captured(name: string): Captured {
  const file = readFileSync(join(import.meta.dirname, "fixtures", `${name}.http`));
  const head = file.indexOf("\r\n\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(file.subarray(0, head).toString("latin1"))?.[1]);
  return { status, body: new Uint8Array(file.subarray(head + 4)) };
}
