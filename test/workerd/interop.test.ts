// A Worker and hubs of other versions, as they meet while a deploy is under way.
import { expect, test } from "vitest";
import { createApp } from "../../edge/app.ts";
import type { Env } from "../../edge/env.ts";
import {
  CONNECTOR_HEADER,
  EXCHANGE_HEADER,
  type ExchangeRequest,
  type ResumeRequest,
  WHOLE_HEADER,
  wholeHeaders,
} from "../../shared/hop.ts";

const encoder = new TextEncoder();
const EVENTS = ["data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n"] as const;

/** How a version says that an answer is streamed, and by whom. */
const VERSIONS: [version: string, status: number, served: unknown[]][] = [
  ["the status of the answer", 200, ["site", "i-1"]],
  ["a status that means no more than streamed", 299, ["site", "i-1", 200]],
];

/** @param breaks after what was said, as a hub that is reset does. */
function saying(events: readonly string[], breaks: boolean): ReadableStream<Uint8Array> {
  const rest = events.map((event) => encoder.encode(event));
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const event = rest.shift();
      if (event !== undefined) controller.enqueue(event);
      else if (breaks) controller.error(new Error("reset"));
      else controller.close();
      // A read that waits is answered by nothing but this.
      if (event === undefined) controller.byobRequest?.respond(0);
    },
  });
}

/** A namespace whose hubs answer the first call and the one that resumes it. */
function hubs(first: (request: Request) => Response, resumes: ResumeRequest[]): Env["HUB"] {
  const stub = {
    async fetch(url: string, init: RequestInit): Promise<Response> {
      const request = new Request(url, init);
      if (request.headers.has(EXCHANGE_HEADER)) return first(request);
      resumes.push(await request.json());
      return new Response(saying(EVENTS.slice(1), false), { headers: { [CONNECTOR_HEADER]: '["site","i-1"]' } });
    },
  };
  return { idFromName: (name: string) => name, get: () => stub } as unknown as Env["HUB"];
}

function ask(hub: Env["HUB"]): Promise<Response> {
  const request = new Request("http://edge/v1/chat/completions", {
    method: "POST",
    headers: { authorization: "Bearer hc-sk-master-0001", "content-type": "application/json" },
    body: JSON.stringify({ model: "heartcode-default", stream: true, messages: [{ role: "user", content: "hi" }] }),
  });
  const env: Env = { HUB: hub, AUTH_MODE: "master-key", MASTER_KEY: "hc-sk-master-0001", HUB_SHARDS: "1" };
  return Promise.resolve(createApp().fetch(request, env));
}

const internal = (response: Response) => [...response.headers.keys()].filter((name) => name.startsWith("x-heartcode"));

test.each(VERSIONS)(
  "a stream of a hub that says %s is whole, resumed, and shows nothing of the hop",
  async (_, status, served) => {
    const resumes: ResumeRequest[] = [];
    const headers = {
      "content-type": "text/event-stream",
      [CONNECTOR_HEADER]: JSON.stringify(served),
      "x-heartcode-tomorrow": "of a later version",
    };
    const hub = hubs(() => new Response(saying(EVENTS.slice(0, 1), true), { status, headers }), resumes);
    const response = await ask(hub);
    expect(response.status).toBe(200);
    expect(internal(response)).toEqual([]);
    expect(await response.text()).toBe(EVENTS.join(""));
    expect(resumes).toMatchObject([{ connector: "site", instance: "i-1", offset: EVENTS[0].length }]);
  },
);

test("an engine's own 299 is a status like any other", async () => {
  const response = await ask(hubs(() => Response.json({ ok: true }, { status: 299 }), []));
  expect(response.status).toBe(299);
  expect(await response.json()).toEqual({ ok: true });
});

const WHOLE = wholeHeaders({ headers: { "content-type": "application/json" }, body: btoa('{"ok":true}') });
test.each([
  ["as this version writes it", WHOLE],
  ["escaped, as an earlier version does", { ...WHOLE, [WHOLE_HEADER]: encodeURIComponent(WHOLE[WHOLE_HEADER] ?? "") }],
])("a whole answer comes out of the head, and nothing of the hop with it: %s", async (_, headers) => {
  const response = await ask(hubs(() => new Response(null, { status: 200, headers }), []));
  expect(internal(response)).toEqual([]);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual({ ok: true });
});

test("a whole answer whose hub is lost behind its head is asked for once more", async () => {
  const calls: ExchangeRequest[] = [];
  const hub = hubs((request) => {
    calls.push(JSON.parse(request.headers.get(EXCHANGE_HEADER) ?? ""));
    const isFirst = calls.length === 1;
    return new Response(saying(['{"ok":', ...(isFirst ? [] : ["true}"])], isFirst), {
      headers: { "content-type": "application/json" },
    });
  }, []);
  const response = await ask(hub);
  expect(await response.json()).toEqual({ ok: true });
  const [first, second] = calls;
  expect(calls).toHaveLength(2);
  expect(second?.id).toBe(first?.id);
  expect(second?.attempts).toBeGreaterThan(0);
});
