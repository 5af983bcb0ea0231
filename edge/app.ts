// The composition root of the public side: routes, and the only place where a failure becomes an answer.
import { type Context, Hono } from "hono";
import { z } from "zod";
import { errorBody, errorHead, Failure, type PublicFailure } from "../shared/errors.ts";
import type { Credentials } from "../shared/hop.ts";
import { ENDPOINTS, type Endpoint } from "../shared/openai.ts";
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
import { isAt, meantBy, pathOf, routeOf } from "./routes.ts";
import { readSettings, type Settings } from "./settings.ts";

/** A request on its way to its answer. */
interface Visit {
  readonly request: Request;
  readonly env: Env;
  /** Its id: in its answer, in every log line of both sides, and the id of its exchange. */
  readonly id: string;
  /** ms */
  readonly startedAt: number;
}

interface App {
  Bindings: Env;
  Variables: { visit: Visit };
}

export interface PublicSide {
  fetch(request: Request, env: Env, context?: ExecutionContext): Response | Promise<Response>;
}

const AbortHub = z.object({ shard: z.number().int().min(0) });
const Purge = z.object({ key_sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export function createApp(): PublicSide {
  const app = new Hono<App>();
  const shield = new Shield();
  let settings: Settings | undefined;
  const settingsOf = ({ env }: Visit): Settings => {
    settings ??= readSettings(env);
    return settings;
  };
  const hub = (visit: Visit, credentials: Credentials) =>
    hubOf(visit.env, shardOf(credentials, settingsOf(visit).shards));

  for (const endpoint of ENDPOINTS) {
    app.on(endpoint.method, endpoint.path, (c) => exchange(visitOf(c), endpoint));
  }

  app.get("/v1/models", async (c) => {
    const visit = visitOf(c);
    return answered(visit, listModels(await isAgeVerified(visit)));
  });
  app.get("/v1/models/:id", async (c) => {
    const visit = visitOf(c);
    const ageVerified = await isAgeVerified(visit);
    return answered(visit, oneModel(c.req.param("id"), ageVerified, settingsOf(visit).authMode === "master-key"));
  });
  app.get("/v1/usage", async (c) => {
    const visit = visitOf(c);
    const credentials = credentialsOf(visit);
    const { usage } = await shielded(visit, credentials, async () =>
      told(await hub(visit, credentials).usage(credentials)),
    );
    return answered(visit, describeUsage(usage, Date.now()));
  });

  app.get("/health", (c) => c.json({ status: "ok" }, 200, { "x-request-id": visitOf(c).id }));
  app.get("/health/ready", async (c) => {
    const visit = visitOf(c);
    const ready = readiness(await statuses(visit));
    return c.json(ready, ready.status === "ok" ? 200 : 503, { "x-request-id": visit.id });
  });
  app.get("/uplink", (c) => uplink(c.req.raw, c.env, settingsOf(visitOf(c))));

  app.use("/admin/*", async (c, next) => {
    const { adminToken } = settingsOf(visitOf(c));
    const token = bearer(c.req.header("authorization") ?? null);
    if (adminToken !== "" && token !== null && isSame(token, adminToken)) return next();
    throw new Failure("invalid_api_key", { message: "Incorrect admin token." });
  });
  app.get("/admin/status", async (c) => answered(visitOf(c), { shards: await statuses(visitOf(c)) }));
  app.get("/admin/metrics", async (c) => {
    const visit = visitOf(c);
    const page = renderMetrics(await statuses(visit));
    return c.body(page, 200, { "content-type": METRICS_TYPE, "x-request-id": visit.id });
  });
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
    const visit = visitOf(c);
    await hub(visit, { mode: "backend", key: "", digest }).purge(digest);
    return answered(visit, { purged: true });
  });

  // Development only; without DEV_FAULTS there is no such path.
  app.post("/admin/dev/abort-hub", async (c) => {
    const visit = visitOf(c);
    const { devFaults, shards } = settingsOf(visit);
    if (!devFaults) throw new Failure("not_found");
    const asked = AbortHub.safeParse(await c.req.json().catch(() => null));
    if (!asked.success || asked.data.shard >= shards) throw new Failure("invalid_request", { param: "shard" });
    // An object that aborts answers nobody.
    await hubOf(c.env, asked.data.shard)
      .devAbort()
      .catch(() => {});
    return answered(visit, { aborted: asked.data.shard });
  });

  app.notFound((c) => {
    const allowed = app.routes.filter((route) => isAt(route.path, c.req.path) && route.method !== "ALL");
    const visit = visitOf(c);
    if (allowed.length === 0) return fail(visit, nothingAt(c.req.path));
    const response = fail(visit, new Failure("method_not_allowed"));
    response.headers.set("allow", allowed.map((route) => route.method).join(", "));
    return response;
  });

  app.onError((error, c) => failed(visitOf(c), error));

  async function exchange(visit: Visit, endpoint: Endpoint): Promise<Response> {
    const { id, request, env } = visit;
    try {
      const credentials = credentialsOf(visit);
      const asked = { id, request, endpoint, credentials, settings: settingsOf(visit), env };
      return await shielded(visit, credentials, () => proxy(asked, resumable));
    } catch (error) {
      return failed(visit, error);
    }
  }

  function credentialsOf(visit: Visit): Credentials {
    const credentials = readCredentials(visit.request, settingsOf(visit), { bearer, digestOf, isKey, isSame });
    if (credentials.mode === "master-key" || shield.isIdle) return credentials;
    const waitMs = shield.waitMs(addressOf(visit), credentials.digest, Date.now());
    if (waitMs === 0) return credentials;
    throw new Failure("rate_limit_exceeded", {
      retryAfterMs: waitMs,
      message: "Too many unknown API keys came from this address. Please try again later.",
    });
  }

  /** Counts the keys that the backend does not know by the address that brought them. */
  function shielded<T>(visit: Visit, credentials: Credentials, work: () => Promise<T>): Promise<T> {
    return credentials.mode === "master-key" ? work() : counted(visit, credentials.digest, work);
  }

  async function counted<T>(visit: Visit, digest: string, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      shield.passed(digest);
      return result;
    } catch (error) {
      if (error instanceof HubFailure && error.code === "invalid_api_key") {
        shield.revoked(digest);
        await countFailure(visit);
      }
      throw error;
    }
  }

  /** By the platform's own counter where it is bound; it counts for a whole location, ours for an isolate. */
  async function countFailure(visit: Visit): Promise<void> {
    const address = addressOf(visit);
    const now = Date.now();
    const { SHIELD: counter } = visit.env;
    if (counter === undefined) return shield.failed(address, now);
    const { success } = await counter.limit({ key: address });
    if (!success) shield.block(address, now + SHIELD_WINDOW_MS);
  }

  function addressOf(visit: Visit): string {
    return shieldName(clientAddress(visit.request, settingsOf(visit)));
  }

  async function isAgeVerified(visit: Visit): Promise<boolean> {
    const credentials = credentialsOf(visit);
    if (credentials.mode === "master-key") return true;
    const { account } = await shielded(visit, credentials, async () =>
      told(await hub(visit, credentials).account(credentials)),
    );
    return account.ageVerified;
  }

  function statuses(visit: Visit) {
    const shards = Array.from({ length: settingsOf(visit).shards }, (_, shard) => shard);
    return Promise.all(shards.map((shard) => hubOf(visit.env, shard).status()));
  }

  return {
    // What goes to an engine does not pass the router, which would cost a small request a twentieth of its CPU.
    fetch(request, env, context) {
      const endpoint = endpointOf(request);
      return endpoint === undefined ? app.fetch(request, env, context) : exchange(newVisit(request, env), endpoint);
    },
  };
}

const ENGINE_ROUTES = new Map(ENDPOINTS.map((endpoint) => [`${endpoint.method} ${endpoint.path}`, endpoint]));

function endpointOf(request: Request): Endpoint | undefined {
  return ENGINE_ROUTES.get(`${request.method} ${pathOf(request)}`);
}

/** SDKs have calls for much more, and some programs begin with `/v1/responses`. */
const NOT_SERVED = `This API serves ${ENDPOINTS.map(({ path }) => `\`${path}\``).join(", ")}, \`/v1/models\` and \`/v1/usage\`; there is nothing at this address.`;

function nothingAt(path: string): Failure {
  const meant = meantBy(path);
  if (meant !== null) {
    const message = `There is nothing at this address; \`${meant}\` is one. The base URL ends in /v1, without a slash behind it.`;
    return new Failure("not_found", { message });
  }
  return path.startsWith("/v1/") ? new Failure("not_found", { message: NOT_SERVED }) : new Failure("not_found");
}

/** @throws HubFailure where a hub's answer is one. */
function told<T extends object>(answer: T): Exclude<T, { failure: unknown }> {
  if ("failure" in answer) throw new HubFailure((answer as T & { failure: PublicFailure }).failure);
  return answer as Exclude<T, { failure: unknown }>;
}

function newVisit(request: Request, env: Env): Visit {
  return { request, env, id: newRequestId(), startedAt: Date.now() };
}

function visitOf(c: Context<App>): Visit {
  const given = c.get("visit");
  if (given !== undefined) return given;
  const visit = newVisit(c.req.raw, c.env);
  c.set("visit", visit);
  return visit;
}

function answered(visit: Visit, body: object): Response {
  log(visit, 200, null);
  return Response.json(body, { headers: { "x-request-id": visit.id } });
}

function failed(visit: Visit, error: unknown): Response {
  if (error instanceof Failure) return fail(visit, error);
  // The client left: there is nobody to answer, and nothing went wrong.
  if (visit.request.signal.aborted) return new Response(null, { status: 499 });
  logDefect(visit.id, error);
  return fail(visit, new Failure("internal_error"));
}

function fail(visit: Visit, failure: Failure): Response {
  const { status, headers } = errorHead(failure.public);
  const isExchange = visit.request.method === "POST" && failure instanceof HubFailure;
  if (!isExchange) log(visit, status, failure.code);
  return Response.json(errorBody(failure.public), { status, headers: { ...headers, "x-request-id": visit.id } });
}

/** For requests that no exchange speaks of. */
function log({ id, request, startedAt }: Visit, status: number, code: string | null): void {
  const path = routeOf(pathOf(request));
  logRequest({ request_id: id, method: request.method, path, status, code, total_ms: Date.now() - startedAt });
}
