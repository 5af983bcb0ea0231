// Mutated requests against a running edge, a bounded number at once, and what every answer must be like: of the table, with
// an id, and with nothing of the inside in it.
import { Pool } from "undici";
import { ERRORS, isErrorCode } from "../../shared/errors.ts";
import { type Mutant, mutant } from "./mutations.ts";
import { firstAnswer, say } from "./raw.ts";

export interface BarrageOptions {
  readonly port: number;
  readonly key: string;
  readonly seed: number;
  readonly requests: number;
  /** At once. */
  readonly concurrency: number;
  /** More that no answer may hold: ports, names of files. */
  readonly secrets: readonly string[];
}

/** How many answers of each status; 0 are bytes that were no request at all. */
export type Tally = Map<number, number>;

export class Finding extends Error {
  constructor(seed: number, what: string, asked: Mutant, said: string) {
    const body = asked.raw ?? asked.body ?? new Uint8Array(0);
    super(
      `seed ${seed}: ${what}\n  ${asked.method} ${asked.path} ${JSON.stringify(asked.headers).slice(0, 400)}\n` +
        `  ${Buffer.from(body).toString("latin1").slice(0, 2_000)}\n  answer: ${said.slice(0, 1_000)}`,
    );
    this.name = "Finding";
  }
}

/** What no client may read, whatever it sent. */
const INTERNAL =
  /heartcode-chat-|127\.0\.0\.1|localhost|Bearer|\bat [\w.<>]+ \(|\.ts\b|\.js:\d|node_modules|durable|\bzod\b|internal_error|\/tmp\//i;

/** What workerd's server says by itself to what is no HTTP for it. */
const PLATFORM = new Set([400, 413, 414, 431, 501]);

interface Answer {
  readonly status: number;
  readonly id: string | null;
  readonly type: string;
  readonly text: string;
}

/** @throws Finding for the first answer that is not as it must be. */
export async function barrage(options: BarrageOptions): Promise<Tally> {
  const { port, requests, concurrency, seed, key, secrets } = options;
  const pool = new Pool(`http://127.0.0.1:${port}`, {
    connections: concurrency,
    headersTimeout: 30_000,
    bodyTimeout: 30_000,
  });
  const tally: Tally = new Map();
  const ids = new Set<string>();
  let next = 0;
  let isOver = false;
  const work = async (): Promise<void> => {
    while (next < requests && !isOver) {
      const own = seed + next;
      next += 1;
      const asked = mutant(own, key);
      const complain = (what: string, said = ""): never => {
        isOver = true;
        throw new Finding(own, what, asked, said);
      };
      const answer = await (asked.raw === null ? byClient(pool, asked) : bySocket(port, asked.raw)).catch(
        (error: unknown) => complain(`no answer: ${String(error)}`),
      );
      const status = answer?.status ?? 0;
      tally.set(status, (tally.get(status) ?? 0) + 1);
      if (answer === null) continue;
      const wrong = wrongWith(answer, asked, secrets);
      if (wrong !== null) complain(wrong, `${status} ${answer.text}`);
      if (answer.id !== null && ids.has(answer.id)) complain(`the id ${answer.id} was there before`);
      if (answer.id !== null) ids.add(answer.id);
    }
  };
  try {
    await Promise.all(Array.from({ length: concurrency }, work));
  } finally {
    await pool.destroy();
  }
  return tally;
}

async function byClient(pool: Pool, { method, path, headers, body }: Mutant): Promise<Answer> {
  const answer = await pool.request({ method, path, headers: headers.flat(), body });
  const text = await answer.body.text();
  const header = (name: string) => String(answer.headers[name] ?? "");
  return { status: answer.statusCode, id: header("x-request-id") || null, type: header("content-type"), text };
}

async function bySocket(port: number, bytes: Uint8Array): Promise<Answer | null> {
  const answer = firstAnswer(await say(port, bytes, { half: true, withinMs: 30_000 }));
  if (answer === null) return null;
  const { status, headers, body } = answer;
  return { status, id: headers.get("x-request-id"), type: headers.get("content-type") ?? "", text: body };
}

function wrongWith({ status, id, type, text }: Answer, asked: Mutant, secrets: readonly string[]): string | null {
  const leak = INTERNAL.exec(text)?.[0] ?? secrets.find((secret) => text.includes(secret));
  if (leak !== undefined) return `the answer holds ${leak}`;
  if (id === null) return asked.raw !== null && PLATFORM.has(status) ? null : "no x-request-id";
  if (!/^req_[0-9a-f]{32}$/.test(id)) return `an odd id: ${id}`;
  if (asked.method === "HEAD") return null;
  if (status === 200) return type.startsWith("text/event-stream") ? wrongWithEvents(text) : wrongWithJson(text);
  return wrongWithError(status, type, text);
}

function wrongWithJson(text: string): string | null {
  const value = parsed(text);
  return typeof value === "object" && value !== null && !("error" in value) ? null : "a 200 that is no answer";
}

function wrongWithEvents(text: string): string | null {
  const events = text.split("\n\n").filter((event) => event !== "");
  if (events.at(-1) !== "data: [DONE]") return "a stream without its end";
  for (const event of events.slice(0, -1)) {
    if (event.startsWith(":")) continue;
    const value = event.startsWith("data: ") ? parsed(event.slice(6)) : undefined;
    if (typeof value !== "object" || value === null || "error" in value) return `an odd event: ${event.slice(0, 200)}`;
  }
  return null;
}

/** An engine's own refusal keeps its status; there is no other reason to leave the table. */
function wrongWithError(status: number, type: string, text: string): string | null {
  if (!type.startsWith("application/json")) return `an error of type ${type}`;
  const value = parsed(text) as { error?: Record<string, unknown> } | undefined;
  const error = value?.error;
  if (error === undefined || Object.keys(error).join() !== "message,type,param,code")
    return "an error of another shape";
  const { message, code, param } = error;
  if (typeof message !== "string" || message === "") return "an error without a message";
  if (param !== null && typeof param !== "string") return "an error with an odd param";
  if (typeof code !== "string" || !isErrorCode(code)) return `an error with the code ${String(code)}`;
  if (status >= 500) return `a ${status}`;
  const isEngines = code === "invalid_request" && status >= 400 && status < 500;
  const isTooMany = code === "request_too_large" && status === 429;
  return status === ERRORS[code].status || isEngines || isTooMany ? null : `${code} with the status ${status}`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
