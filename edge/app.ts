// The composition root of the public side: routes, and the only place where a failure becomes an answer.
import { type Context, Hono } from "hono";
import { errorBody, errorHead, Failure } from "../shared/errors.ts";
import { ENDPOINTS } from "../shared/openai.ts";
import { readiness } from "./admin/status.ts";
import { readCredentials } from "./api/credentials.ts";
import { hubOf, shardOf } from "./api/hubs.ts";
import { listModels, oneModel } from "./api/models.ts";
import { proxy } from "./api/proxy.ts";
import { uplink } from "./api/uplink.ts";
import type { Env } from "./env.ts";
import { bearer, digestOf, isKey } from "./gate/key.ts";
import { isSame } from "./gate/secret.ts";
import { resumable } from "./resume/stream.ts";
import { readSettings, type Settings } from "./settings.ts";

interface App {
  Bindings: Env;
  Variables: { id: string };
}

export function createApp(): Hono<App> {
  const app = new Hono<App>();
  let settings: Settings | undefined;
  const settingsOf = (c: Context<App>): Settings => {
    settings ??= readSettings(c.env);
    return settings;
  };
  const credentialsOf = (c: Context<App>) =>
    readCredentials(c.req.raw, settingsOf(c), { bearer, digestOf, isKey, isSame });

  for (const endpoint of ENDPOINTS) {
    app.on(endpoint.method, endpoint.path, async (c) => {
      const id = requestId(c);
      const credentials = await credentialsOf(c);
      const asked = { id, request: c.req.raw, endpoint, credentials, settings: settingsOf(c), env: c.env };
      return proxy(asked, resumable);
    });
  }

  app.get("/v1/models", async (c) => c.json(listModels(await isAgeVerified(c)), 200, { "x-request-id": requestId(c) }));
  app.get("/v1/models/:id", async (c) => {
    const ageVerified = await isAgeVerified(c);
    const model = oneModel(c.req.param("id"), ageVerified, settingsOf(c).authMode === "master-key");
    return c.json(model, 200, { "x-request-id": requestId(c) });
  });

  app.get("/health", (c) => c.json({ status: "ok" }));
  app.get("/health/ready", async (c) => {
    const ready = readiness(await statuses(c));
    return c.json(ready, ready.status === "ok" ? 200 : 503);
  });
  app.get("/uplink", (c) => uplink(c.req.raw, c.env, settingsOf(c)));
  app.get("/admin/status", async (c) => {
    const { adminToken } = settingsOf(c);
    const token = bearer(c.req.header("authorization") ?? null);
    if (adminToken === "" || token === null || !(await isSame(token, adminToken))) {
      throw new Failure("invalid_api_key", { message: "Incorrect admin token." });
    }
    return c.json({ shards: await statuses(c) });
  });

  app.notFound((c) => {
    const allowed = app.routes.filter((route) => route.path === c.req.path && route.method !== "ALL");
    if (allowed.length === 0) return fail(c, new Failure("not_found"));
    const response = fail(c, new Failure("method_not_allowed"));
    response.headers.set("allow", allowed.map((route) => route.method).join(", "));
    return response;
  });

  app.onError((error, c) => {
    if (error instanceof Failure) return fail(c, error);
    // The client left: there is nobody to answer, and nothing went wrong.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    console.error(JSON.stringify({ level: "error", request: requestId(c), error: String(error) }));
    return fail(c, new Failure("internal_error"));
  });

  async function isAgeVerified(c: Context<App>): Promise<boolean> {
    const credentials = await credentialsOf(c);
    if (credentials.mode === "master-key") return true;
    const hub = hubOf(c.env, shardOf(credentials, settingsOf(c).shards));
    const answer = await hub.account(credentials);
    if ("failure" in answer) throw new Failure(answer.failure.code, answer.failure);
    return answer.account.ageVerified;
  }

  function statuses(c: Context<App>) {
    const shards = Array.from({ length: settingsOf(c).shards }, (_, shard) => shard);
    return Promise.all(shards.map((shard) => hubOf(c.env, shard).status()));
  }

  return app;
}

/** The id of a request: in its answer, in every log line of both sides, and the id of its exchange. */
function requestId(c: Context<App>): string {
  const given = c.get("id");
  if (given !== undefined) return given;
  const id = `req_${crypto.randomUUID().replaceAll("-", "")}`;
  c.set("id", id);
  return id;
}

function fail(c: Context<App>, failure: Failure): Response {
  const { status, headers } = errorHead(failure.public);
  return Response.json(errorBody(failure.public), { status, headers: { ...headers, "x-request-id": requestId(c) } });
}
