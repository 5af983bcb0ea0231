import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { meantBy, NO_ROUTE, pathOf, ROUTES, routeOf } from "../../edge/routes.ts";
import { ENDPOINTS } from "../../shared/openai.ts";

test("every address of the router has its name in the log", () => {
  const source = readFileSync(new URL("../../edge/app.ts", import.meta.url), "utf8");
  const paths = [...source.matchAll(/\bapp\.(?:get|post)\("([^"]+)"/g)].map((match) => match[1]!);
  expect(paths.length).toBeGreaterThan(5);
  expect(new Set([...ENDPOINTS.map(({ path }) => path), ...paths])).toEqual(new Set(ROUTES));
});

test.each([
  ["/v1/chat/completions", "/v1/chat/completions"],
  ["/v1/models/hc-sk-written-into-a-path", "/v1/models/:id"],
  ["/v1/models/", NO_ROUTE],
  ["/v1/hc-sk-written-into-a-path", NO_ROUTE],
  ["/v1/chat/completions/", NO_ROUTE],
  ["/", NO_ROUTE],
])("%s is %s", (path, route) => expect(routeOf(path)).toBe(route));

test.each([
  ["/chat/completions", "/v1/chat/completions"],
  ["/v1/v1/chat/completions", "/v1/chat/completions"],
  ["//v1/embeddings", "/v1/embeddings"],
  ["/v1//completions", "/v1/completions"],
  ["/v1/models/", "/v1/models"],
  ["/models/hc-sk-written-into-a-path", "/v1/models/{id}"],
  ["/usage", "/v1/usage"],
  ["/", null],
  ["/v1", null],
  ["/v1/", null],
  ["/health/", null],
  ["/v1/admin/status", null],
  ["/v1beta/models", null],
  ["/v1/images/generations", null],
])("by %s is meant %s", (path, meant) => expect(meantBy(path)).toBe(meant));

test.each([
  ["http://127.0.0.1:4000/v1/models", "/v1/models"],
  ["https://edge.example.com/v1/models?limit=2", "/v1/models"],
  ["http://x/?/v1/models", "/"],
  ["http://x", "/"],
  ["http://x, y/v1/models", "/v1/models"],
])("the path of %s is %s", (url, path) => expect(pathOf({ url })).toBe(path));
