// The reference backend: the contract of key lookups over the table of keys, and what tests need to see and to break.
import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { z } from "zod";
import { FaultBox, Faults } from "./faults.ts";
import { Rejection, readJson, say, sayRejection } from "./http.ts";
import { digestOf, GivenKey, stored, verdict } from "./keys.ts";
import type { KeyStore } from "./store.ts";

export interface BackendOptions {
  readonly store: KeyStore;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Asked of whoever looks a key up; null: nobody is asked. */
  readonly token: string | null;
  readonly now: () => number;
}

export interface Backend {
  readonly port: number;
  close(): Promise<void>;
}

const Lookup = z.object({ api_key: z.string().max(4096) });
const KeyOrder = z
  .strictObject({
    /** Adds a key, or replaces what is known of it. */
    add: GivenKey.optional(),
    /** The key itself or its id. */
    revoke: z.string().optional(),
  })
  .refine(({ add, revoke }) => (add === undefined) !== (revoke === undefined), "give either add or revoke");

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
type Methods = Readonly<Record<string, Handler>>;

/** @throws the listen error. */
export async function startBackend({ store, host, port, token, now }: BackendOptions): Promise<Backend> {
  const faults = new FaultBox();
  const calls = new Map<string, number>();
  let verifyCalls = 0;
  let unknownKeys = 0;

  async function verify(request: IncomingMessage, response: ServerResponse): Promise<void> {
    verifyCalls += 1;
    const given = await readJson(request, Lookup);
    if (given === null) return;
    authorize(request, token);
    const key = store.find(digestOf(given.api_key));
    if (key === null) unknownKeys += 1;
    else calls.set(key.keyId, (calls.get(key.keyId) ?? 0) + 1);
    const answer = verdict(key, now());

    const { hang, delay_ms: delay, status, garbage } = faults.draw();
    if (hang === true || delay !== undefined) {
      await faults.wait(hang === true ? null : (delay ?? 0), (release) => response.once("close", release));
    }
    if (status !== undefined) throw new Rejection(status, "simulated_fault", `simulated fault ${status}`);
    if (garbage === true) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('<!doctype html>{"valid":tru');
      return;
    }
    say(response, 200, answer);
  }

  const routes: ReadonlyMap<string, Methods> = new Map<string, Methods>([
    ["/api/v1/api-keys/verify", { POST: verify }],
    ["/api/v1/health", { GET: (_request, response) => say(response, 200, { status: "ok" }) }],
    [
      "/sim/state",
      {
        GET: (_request, response) =>
          say(response, 200, {
            verify_calls: verifyCalls,
            calls_by_key_id: Object.fromEntries(calls),
            unknown_keys: unknownKeys,
            waiting: faults.waiting,
            faults: faults.current,
          }),
      },
    ],
    [
      "/sim/faults",
      {
        POST: async (request, response) => {
          const given = await readJson(request, Faults);
          if (given === null) return;
          faults.set(given);
          say(response, 200, given);
        },
      },
    ],
    [
      "/sim/keys",
      {
        POST: async (request, response) => {
          const order = await readJson(request, KeyOrder);
          if (order !== null) say(response, 200, changeKeys(store, order));
        },
      },
    ],
  ]);

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    route(routes, request, response).catch((error: unknown) => {
      if (error instanceof Rejection) return sayRejection(response, error);
      console.error(`backend: ${request.method} ${request.url}:`, error);
      response.destroy();
    });
  });
  await listen(server, port, host);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function route(
  routes: ReadonlyMap<string, Methods>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "GET", url = "/" } = request;
  const methods = routes.get(url.split("?", 1)[0] ?? url);
  if (methods === undefined) throw new Rejection(404, "not_found", "There is nothing at this address.");
  const handler = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (handler === undefined) {
    const allow = Object.keys(methods).join(", ");
    throw new Rejection(405, "method_not_allowed", `This method is not allowed here; ${allow} is.`, { allow });
  }
  await handler(request, response);
}

/** Digests have one length, whatever the secrets have. */
function authorize(request: IncomingMessage, token: string | null): void {
  if (token === null) return;
  const given = Buffer.from(digestOf(request.headers.authorization ?? ""));
  if (timingSafeEqual(given, Buffer.from(digestOf(`Bearer ${token}`)))) return;
  throw new Rejection(401, "unauthorized", "The bearer token is missing or wrong.", { "www-authenticate": "Bearer" });
}

function changeKeys(store: KeyStore, { add, revoke = "" }: z.infer<typeof KeyOrder>): unknown {
  if (add !== undefined) {
    const key = stored(add);
    store.put(key);
    return { key_id: key.keyId, key_sha256: key.digest };
  }
  if (store.revoke(revoke) || store.revoke(digestOf(revoke))) return { revoked: true };
  throw new Rejection(404, "not_found", "There is no such key.");
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
}
