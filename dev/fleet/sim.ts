// What no engine has: its own account for tests, and faults on demand. Reached on the engine's port, or with `?port=` on
// that of any other engine of the fleet, because an engine that refuses connections can no longer be told to stop.
import type { ServerResponse } from "node:http";
import { complaint } from "../complaint.ts";
import { Faults } from "./faults.ts";
import type { Entry } from "./ledger.ts";
import type { Parts } from "./parts.ts";

export interface Simulated extends Parts {
  readonly port: number;
  readonly connections: number;
  readonly loading: boolean;
  setFaults(faults: Faults): void;
}

function state(engine: Simulated): unknown {
  const { settings, slots, account, faults } = engine;
  return {
    port: engine.port,
    kind: settings.kind,
    model: settings.model,
    loading: engine.loading,
    connections: engine.connections,
    slots: slots.count,
    slots_busy: slots.busy,
    deferred: slots.deferred,
    requests: account.requests,
    probes: account.probes,
    cancelled: account.cancelled,
    completion_tokens_total: account.completionTokens,
    prompt_tokens_total: account.promptTokens,
    faults: faults.current,
    last_requests: account.arrivals(),
  };
}

/** @param find the engine on a port of this fleet. */
export function serveSim(
  own: Simulated,
  find: (port: number) => Simulated | undefined,
  request: { readonly method: string; readonly url: string; readonly body: string },
  response: ServerResponse,
): void {
  const { pathname, searchParams } = new URL(request.url, "http://engine");
  const port = searchParams.get("port");
  const engine = port === null ? own : find(Number(port));
  const route = ROUTES.get(`${request.method} ${pathname}`);
  if (engine === undefined) say(response, 404, { error: { message: `no engine on port ${port}` } });
  else if (route === undefined) say(response, 404, { error: { message: `nothing at ${request.method} ${pathname}` } });
  else route(engine, request.body, response, searchParams);
}

type Route = (engine: Simulated, body: string, response: ServerResponse, query: URLSearchParams) => void;

const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ["GET /sim/state", (engine, _body, response) => say(response, 200, state(engine))],
  ["GET /sim/ledger", ledger],
  ["GET /sim/faults", (engine, _body, response) => say(response, 200, engine.faults.current)],
  ["POST /sim/faults", setFaults],
]);

/** `?since=SEQ`: only what came behind it. */
function ledger(engine: Simulated, _body: string, response: ServerResponse, query: URLSearchParams): void {
  const since = Number(query.get("since") ?? 0);
  const entries: readonly Entry[] = engine.account.entries();
  say(
    response,
    200,
    entries.filter(({ seq }) => seq > since),
  );
}

function setFaults(engine: Simulated, body: string, response: ServerResponse): void {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    say(response, 400, { error: { message: "not JSON" } });
    return;
  }
  const parsed = Faults.safeParse(value);
  if (!parsed.success) {
    say(response, 400, { error: { message: complaint(parsed.error) } });
    return;
  }
  // Answered first: `exit` leaves nobody to answer.
  say(response, 200, parsed.data);
  engine.setFaults(parsed.data);
}

function say(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
