// Pages of other origins may call the API with a key of their own: keys travel in a header and never in a cookie, so there is
// nothing that a foreign page could borrow. Whether a request comes from a page its `Origin` says; without one nothing is done.
import { LIMIT_HEADERS } from "./gate/headers.ts";
import { pathOf } from "./routes.ts";

const API = "/v1/";
/** What else a page may read of an answer. It sees the usual few (`content-type`, …) anyway. */
const EXPOSED = ["x-request-id", "retry-after", "retry-after-ms", "x-should-retry", ...LIMIT_HEADERS].join(", ");
const SHARED = { "access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED };
/** Browsers cut it down to what they think right: Chrome to two hours. */
const PREFLIGHT_S = 86_400;

/** What an answer at `path` has on top, where the request names an origin. */
export function sharedAt(path: string): Readonly<Record<string, string>> {
  return path.startsWith(API) ? SHARED : {};
}

/** For requests with `Origin`: answers a preflight, which needs neither key nor hub, and opens what `answer` gives. */
export async function shared(request: Request, answer: () => Response | Promise<Response>): Promise<Response> {
  if (!pathOf(request).startsWith(API)) return answer();
  const { headers, method } = request;
  if (method === "OPTIONS" && headers.has("access-control-request-method")) {
    return preflight(headers.get("access-control-request-headers"));
  }
  const response = await answer();
  // The body goes through as it is: who cancels it cancels the hub's.
  const open = new Response(response.body, response);
  for (const [name, value] of Object.entries(SHARED)) open.headers.set(name, value);
  return open;
}

/** `*` would not cover `Authorization`: what is asked for is named. */
function preflight(asked: string | null): Response {
  const headers = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": asked ?? "authorization, content-type",
    "access-control-max-age": String(PREFLIGHT_S),
  };
  return new Response(null, { status: 204, headers });
}
