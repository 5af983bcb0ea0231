// What tests of the gate need of the world around it: keys of their own, requests, and how a key stands.
import { createHash, randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Stack } from "../../dev/start/stack.ts";
import type { UsageObject } from "../../edge/api/usage.ts";
import type { HubStatus } from "../../shared/hop.ts";
import { ADMIN_TOKEN } from "./stack.ts";

export interface Limits {
  readonly rpm?: number;
  readonly tpm?: number;
  readonly tokens_per_day?: number;
  readonly default_max_tokens?: number;
  readonly max_tokens?: number;
}

export interface BackendState {
  readonly verify_calls: number;
  readonly unknown_keys: number;
  readonly waiting: number;
}

/** A small request that any engine answers. */
export const CHAT = { model: "heartcode-default", max_tokens: 2, messages: [{ role: "user", content: "hi" }] };
const JSON_TYPE = { "content-type": "application/json" };

export const digestOf = (key: string): string => createHash("sha256").update(key).digest("hex");
export const someKey = (): string => `hc-sk-${randomBytes(12).toString("hex")}`;
export const codeOf = async (answer: Response): Promise<string> => (await errorOf(answer)).code;
export const errorOf = async (
  answer: Response,
): Promise<{ code: string; type: string; param: string | null; message: string }> =>
  ((await answer.json()) as { error: { code: string; type: string; param: string | null; message: string } }).error;

/** A stack as its clients and its operator see it. */
export class World {
  readonly #stack: () => Stack;

  constructor(stack: () => Stack) {
    this.#stack = stack;
  }

  get url(): string {
    return this.#stack().url;
  }

  post(path: string, key: string | null, body: unknown): Promise<Response> {
    const headers = { ...JSON_TYPE, ...(key === null ? {} : { authorization: `Bearer ${key}` }) };
    return fetch(`${this.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  chat(key: string | null, body: object = {}): Promise<Response> {
    return this.post("/v1/chat/completions", key, { ...CHAT, ...body });
  }

  /** A request by hand: its client leaves by RST, since workerd does not notice a FIN before the head or during silence. */
  byHand(path: string, key: string, body: unknown): { readonly socket: Socket; readonly received: () => string } {
    const text = JSON.stringify(body);
    const { port, hostname } = new URL(this.url);
    const socket = connect(Number(port), hostname);
    let received = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      received += piece;
    });
    socket.on("error", () => {});
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${key}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
    return { socket, received: () => received };
  }

  get(path: string, key: string): Promise<Response> {
    return fetch(`${this.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
  }

  async usage(key: string): Promise<NonNullable<UsageObject["limits"]>> {
    const answer = await this.get("/v1/usage", key);
    if (!answer.ok) throw new Error(await answer.text());
    return ((await answer.json()) as UsageObject).limits!;
  }

  /** What the reference backend is told or asked beside its contract. */
  async backend(path: "state"): Promise<BackendState>;
  async backend(path: "faults" | "keys", body: object): Promise<void>;
  async backend(path: string, body?: object): Promise<unknown> {
    const answer = await fetch(
      `http://127.0.0.1:${this.#stack().backendPort}/sim/${path}`,
      body === undefined ? {} : { method: "POST", headers: JSON_TYPE, body: JSON.stringify(body) },
    );
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  /** A key that nobody has used. */
  async newKey(tier: "free" | "premium" | "admin" = "premium", limits?: Limits, more: object = {}): Promise<string> {
    const key = someKey();
    await this.backend("keys", { add: { api_key: key, tier, ...(limits === undefined ? {} : { limits }), ...more } });
    return key;
  }

  purge(key: string): Promise<Response> {
    return this.post("/admin/keys/purge", ADMIN_TOKEN, { key_sha256: digestOf(key) });
  }

  async shards(): Promise<HubStatus[]> {
    return ((await (await this.get("/admin/status", ADMIN_TOKEN)).json()) as { shards: HubStatus[] }).shards;
  }

  async leases(): Promise<number> {
    return (await this.shards()).reduce((sum, { gate }) => sum + gate.leases, 0);
  }
}

/** As a client does that was told how long. */
export const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
