// The composition root of the public side: routes, and the only place where a failure becomes an answer.
import { type Context, Hono } from "hono";
import { z } from "zod";
import { errorBody, errorHead, Failure, type PublicFailure } from "../shared/errors.ts";
import type { Credentials } from "../shared/hop.ts";
import { ENDPOINTS } from "../shared/openai.ts";
import { METRICS_TYPE, renderMetrics } from "./admin/metrics.ts";
import { readiness } from "./admin/status.ts";
import { clientAddress, shieldName } from "./api/client-address.ts";
import { readCredentials } from "./api/credentials.ts";
import { hubOf, shardOf } from "./api/hubs.ts";
import { listModels, oneModel } from "./api/models.ts";
import { HubFailure, proxy } from "./api/proxy.ts";
import { uplink } from "./api/uplink.ts";
import { describeUsage } from "./api/usage.ts";
import type { Env } from "./env.ts";
import { bearer, digestOf, isKey } from "./gate/key.ts";
import { isSame } from "./gate/secret.ts";
import { SHIELD_WINDOW_MS, Shield } from "./gate/shield.ts";
import { logDefect, logRequest, newRequestId } from "./log.ts";
import { resumable } from "./resume/stream.ts";
import { isAt, meantBy, routeOf } from "./routes.ts";
import { readSettings, type Settings } from "./settings.ts";

interface App {
  Bindings: Env;
  Variables: { id: string; startedAt: number };
}

const AbortHub = z.object({ shard: z.number().int().min(0) });
const Purge = z.object({ key_sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export function createApp(): Hono<App> {
  const app = new Hono<App>();
  const shield = new Shield();
  let settings: Settings | undefined;
  const settingsOf = (c: Context<App>): Settings => {
    settings ??= readSettings(c.env);
    return settings;
  };
  const hub = (c: Context<App>, credentials: Credentials) => hubOf(c.env, shardOf(credentials, settingsOf(c).shards));

  for (const endpoint of ENDPOINTS) {
    app.on(endpoint.method, endpoint.path, async (c) => {
      const id = requestId(c);
      const credentials = credentialsOf(c);
      const asked = { id, request: c.req.raw, endpoint, credentials, settings: settingsOf(c), env: c.env };
      return shielded(c, credentials, () => proxy(asked, resumable));
    });
  }

  app.get("/v1/models", async (c) => answered(c, listModels(await isAgeVerified(c))));
  app.get("/v1/models/:id", async (c) => {
    const ageVerified = await isAgeVerified(c);
    return answered(c, oneModel(c.req.param("id"), ageVerified, settingsOf(c).authMode === "master-key"));
  });
  app.get("/v1/usage", async (c) => {
    const credentials = credentialsOf(c);
    const { usage } = await shielded(c, credentials, async () => told(await hub(c, credentials).usage(credentials)));
    return answered(c, describeUsage(usage, Date.now()));
  });

  app.get("/health", (c) => c.json({ status: "ok" }, 200, { "x-request-id": requestId(c) }));
  app.get("/health/ready", async (c) => {
    const ready = readiness(await statuses(c));
    return c.json(ready, ready.status === "ok" ? 200 : 503, { "x-request-id": requestId(c) });
  });
  app.get("/uplink", (c) => uplink(c.req.raw, c.env, settingsOf(c)));

  app.use("/admin/*", async (c, next) => {
    const { adminToken } = settingsOf(c);
    const token = bearer(c.req.header("authorization") ?? null);
    if (adminToken !== "" && token !== null && isSame(token, adminToken)) return next();
    throw new Failure("invalid_api_key", { message: "Incorrect admin token." });
  });
  app.get("/admin/status", async (c) => answered(c, { shards: await statuses(c) }));
  app.get("/admin/metrics", async (c) =>
    c.body(renderMetrics(await statuses(c)), 200, { "content-type": METRICS_TYPE, "x-request-id": requestId(c) }),
  );
  app.post("/admin/keys/purge", async (c) => {
    const asked = Purge.safeParse(await c.req.json().catch(() => null));
    if (!asked.success) {
      throw new Failure("invalid_request", {
        param: "key_sha256",
        message: "'key_sha256' must be the SHA-256 of the key, as 64 lower-case hexadecimal digits.",
      });
    }
    const digest = asked.data.key_sha256;
    shield.revoked(digest);
    // The raw key is not known here, and a purge does not need it.
    await hub(c, { mode: "backend", key: "", digest }).purge(digest);
    return answered(c, { purged: true });
  });

  // Development only; without DEV_FAULTS there is no such path.
  app.post("/admin/dev/abort-hub", async (c) => {
    const { devFaults, shards } = settingsOf(c);
    if (!devFaults) throw new Failure("not_found");
    const asked = AbortHub.safeParse(await c.req.json().catch(() => null));
    if (!asked.success || asked.data.shard >= shards) throw new Failure("invalid_request", { param: "shard" });
    // An object that aborts answers nobody.
    await hubOf(c.env, asked.data.shard)
      .devAbort()
      .catch(() => {});
    return answered(c, { aborted: asked.data.shard });
  });

  app.notFound((c) => {
    const allowed = app.routes.filter((route) => isAt(route.path, c.req.path) && route.method !== "ALL");
    if (allowed.length === 0) return fail(c, nothingAt(c.req.path));
    const response = fail(c, new Failure("method_not_allowed"));
    response.headers.set("allow", allowed.map((route) => route.method).join(", "));
    return response;
  });

  app.onError((error, c) => {
    if (error instanceof Failure) return fail(c, error);
    // The client left: there is nobody to answer, and nothing went wrong.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    logDefect(requestId(c), error);
    return fail(c, new Failure("internal_error"));
  });

  function credentialsOf(c: Context<App>): Credentials {
    c.set("startedAt", Date.now());
    const credentials = readCredentials(c.req.raw, settingsOf(c), { bearer, digestOf, isKey, isSame });
    if (credentials.mode === "master-key" || shield.isIdle) return credentials;
    const waitMs = shield.waitMs(addressOf(c), credentials.digest, Date.now());
    if (waitMs === 0) return credentials;
    throw new Failure("rate_limit_exceeded", {
      retryAfterMs: waitMs,
      message: "Too many unknown API keys came from this address. Please try again later.",
    });
  }

  /** Counts the keys that the backend does not know by the address that brought them. */
  async function shielded<T>(c: Context<App>, credentials: Credentials, work: () => Promise<T>): Promise<T> {
    if (credentials.mode === "master-key") return work();
    try {
      const result = await work();
      shield.passed(credentials.digest);
      return result;
    } catch (error) {
      if (error instanceof HubFailure && error.code === "invalid_api_key") {
        shield.revoked(credentials.digest);
        await countFailure(c);
      }
      throw error;
    }
  }

  /** By the platform's own counter where it is bound; it counts for a whole location, ours for an isolate. */
  async function countFailure(c: Context<App>): Promise<void> {
    const address = addressOf(c);
    const now = Date.now();
    const { SHIELD: counter } = c.env;
    if (counter === undefined) return shield.failed(address, now);
    const { success } = await counter.limit({ key: address });
    if (!success) shield.block(address, now + SHIELD_WINDOW_MS);
  }

  function addressOf(c: Context<App>): string {
    return shieldName(clientAddress(c.req.raw, settingsOf(c)));
  }

  async function isAgeVerified(c: Context<App>): Promise<boolean> {
    const credentials = credentialsOf(c);
    if (credentials.mode === "master-key") return true;
    const { account } = await shielded(c, credentials, async () =>
      told(await hub(c, credentials).account(credentials)),
    );
    return account.ageVerified;
  }

  function statuses(c: Context<App>) {
    const shards = Array.from({ length: settingsOf(c).shards }, (_, shard) => shard);
    return Promise.all(shards.map((shard) => hubOf(c.env, shard).status()));
  }

  return app;
}

function nothingAt(path: string): Failure {
  const meant = meantBy(path);
  if (meant === null) return new Failure("not_found");
  const message = `There is nothing at this address; \`${meant}\` is one. The base URL ends in /v1, without a slash behind it.`;
  return new Failure("not_found", { message });
}

/** @throws HubFailure where a hub's answer is one. */
function told<T extends object>(answer: T): Exclude<T, { failure: unknown }> {
  if ("failure" in answer) throw new HubFailure((answer as T & { failure: PublicFailure }).failure);
  return answer as Exclude<T, { failure: unknown }>;
}

/** The id of a request: in its answer, in every log line of both sides, and the id of its exchange. */
function requestId(c: Context<App>): string {
  const given = c.get("id");
  if (given !== undefined) return given;
  const id = newRequestId();
  c.set("id", id);
  return id;
}

function answered(c: Context<App>, body: object): Response {
  log(c, 200, null);
  return Response.json(body, { headers: { "x-request-id": requestId(c) } });
}

function fail(c: Context<App>, failure: Failure): Response {
  const { status, headers } = errorHead(failure.public);
  const isExchange = c.req.method === "POST" && failure instanceof HubFailure;
  if (!isExchange) log(c, status, failure.code);
  return Response.json(errorBody(failure.public), { status, headers: { ...headers, "x-request-id": requestId(c) } });
}

/** For requests that no exchange speaks of. */
function log(c: Context<App>, status: number, code: string | null): void {
  const startedAt = c.get("startedAt") ?? Date.now();
  const path = routeOf(c.req.path);
  logRequest({ request_id: requestId(c), method: c.req.method, path, status, code, total_ms: Date.now() - startedAt });
}
