// What the log calls an address. A path is the client's own text, and some write their key into it: a line names the route
// that was asked for, and nothing of a path that is none. Pure.
import { ENDPOINTS } from "../shared/openai.ts";

/** Every address that something is at; `:id` stands for one step. A test holds it against the router. */
export const ROUTES: readonly string[] = [
  ...ENDPOINTS.map(({ path }) => path),
  ...["/v1/models", "/v1/models/:id", "/v1/usage", "/health", "/health/ready", "/uplink"],
  ...["/admin/status", "/admin/metrics", "/admin/keys/purge", "/admin/dev/abort-hub"],
];

export const NO_ROUTE = "-";

/** Of a request's URL, as the client wrote it. No parser of URLs: with some values of `Host` it is none (`http://x, y/v1/models`). */
export function pathOf({ url }: { readonly url: string }): string {
  const from = url.indexOf("/", url.indexOf("://") + "://".length);
  if (from === -1) return "/";
  const end = url.indexOf("?", from);
  return end === -1 ? url.slice(from) : url.slice(from, end);
}

export function routeOf(path: string): string {
  return ROUTES.find((route) => isAt(route, path)) ?? NO_ROUTE;
}

/** Whether `path` is one of the `route`. */
export function isAt(route: string, path: string): boolean {
  const steps = path.split("/");
  const wanted = route.split("/");
  return (
    steps.length === wanted.length &&
    wanted.every((step, i) => step === steps[i] || (step.startsWith(":") && steps[i] !== ""))
  );
}

/** The address that was meant where only the base URL is wrong: no `/v1`, two of them, a slash too many. Null: nobody can tell. */
export function meantBy(path: string): string | null {
  const bare = path
    .replace(/\/+/g, "/")
    .replace(/(?<=.)\/$/, "")
    .replace(/^(?:\/v1)*/, "");
  const route = ROUTES.find((row) => isAt(row, `/v1${bare}`));
  return route?.replace(":id", "{id}") ?? null;
}
