// The connector's command line, as a person would use it.
import { spawn } from "node:child_process";
import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export async function connectorWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Said> {
  const program = ["dev/node.mjs", "connector/main.ts", ...args];
  const child = spawn(process.execPath, program, { cwd: ROOT, env: { ...process.env, ...env } });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, ...said };
}

export const connector = (...args: string[]): Promise<Said> => connectorWith({}, ...args);
