// What pages of other origins get; over the network it is in test/e2e/browsers.test.ts.
import { expect, test } from "vitest";
import { shared, sharedAt } from "../../edge/cors.ts";
import { limitHeaders } from "../../edge/gate/headers.ts";
import { Leaving } from "../../edge/leaving.ts";

const ORIGIN = { origin: "https://app.example" };
const ASKED = { ...ORIGIN, "access-control-request-method": "POST" };
const at = (path: string, init: RequestInit = {}) => new Request(`http://edge${path}`, { headers: ORIGIN, ...init });
const never = (): never => {
  throw new Error("nobody was to be asked");
};
const opened = ({ headers }: Response) => [...headers.keys()].filter((name) => name.startsWith("access-control-"));

test("a preflight is answered by itself and names what was asked for", async () => {
  const headers = { ...ASKED, "access-control-request-headers": "authorization,content-type,x-stainless-lang" };
  const answer = await shared(at("/v1/chat/completions", { method: "OPTIONS", headers }), never);
  expect([answer.status, answer.body]).toEqual([204, null]);
  expect(Object.fromEntries(answer.headers)).toEqual({
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
    "access-control-max-age": "86400",
  });
});

test("a preflight is answered while the edge is leaving, and so is readable what refuses the request behind it", async () => {
  const leaving = new Leaving();
  await leaving.look([]);
  const answer = (request: Request) => shared(request, () => leaving.refusal(request)!);
  const path = "/v1/embeddings";
  expect((await answer(at(path, { method: "OPTIONS", headers: ASKED }))).status).toBe(204);
  const refused = await answer(at(path, { method: "POST" }));
  expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([503, "*"]);
  expect(refused.headers.get("retry-after")).toBe("1");
});

test("all that the gate tells a client of its limits may be read", async () => {
  const allowance = { limit: 1, remaining: 1, resetMs: 0 };
  const told = limitHeaders({ requests: allowance, tokens: allowance, day: allowance }).map(([name]) => name);
  const { headers } = await shared(
    at("/v1/usage"),
    () => new Response("", { headers: told.map((name) => [name, "1"]) }),
  );
  const exposed = headers.get("access-control-expose-headers")!.split(", ");
  expect(exposed).toEqual(expect.arrayContaining([...told, "x-request-id", "retry-after", "retry-after-ms"]));
});

test.each(["/health", "/health/ready", "/admin/status", "/uplink", "/", "/v1"])("%s is not opened", async (path) => {
  const own = new Response("own");
  expect(await shared(at(path), () => own)).toBe(own);
  expect(await shared(at(path, { method: "OPTIONS", headers: ASKED }), () => own)).toBe(own);
  expect(sharedAt(path)).toEqual({});
  expect(opened(own)).toEqual([]);
});

test("an OPTIONS that is no preflight is the app's to answer", async () => {
  const answer = await shared(at("/v1/models", { method: "OPTIONS" }), () => new Response(null, { status: 405 }));
  expect([answer.status, opened(answer).length]).toEqual([405, 2]);
});

test("who cancels a stream cancels the one behind it", async () => {
  const reasons: unknown[] = [];
  const body = new ReadableStream({ cancel: (reason) => void reasons.push(reason) }, { highWaterMark: 0 });
  const answer = await shared(at("/v1/completions", { method: "POST" }), () => new Response(body));
  await answer.body!.cancel("left");
  expect(reasons).toEqual(["left"]);
});
