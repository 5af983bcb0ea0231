// What of an exchange is worth a line. The hub writes it, because it alone knows who asked, what it cost and how it ended.
import { ERRORS } from "../../shared/errors.ts";
import type { ExchangeRequest } from "../../shared/hop.ts";
import { logRequest, logSettled } from "../log.ts";
import type { Exchange } from "./exchange.ts";
import type { Admission, Forfeit } from "./gatekeeper.ts";
import type { Receipt } from "./receipts.ts";

/** Clients that leave before their answer began; nginx's number for it. */
const CLIENT_CLOSED = 499;

/** @param charged null: not known yet. */
export function logExchange(exchange: Exchange, charged: number | null, now: number): void {
  const { id, order, end, failure, head, openedAt } = exchange;
  const refused = failure === null ? null : (failure.status ?? ERRORS[failure.code].status);
  // A head that never reached its client was not its answer.
  const answered = failure !== null && exchange.isUntold ? null : (head?.status ?? null);
  logRequest({
    request_id: id,
    method: order?.method ?? "POST",
    path: order?.path ?? "",
    status: answered ?? refused ?? CLIENT_CLOSED,
    code: failure?.code ?? null,
    tenant: order?.tenant ?? null,
    tier: order?.tier ?? null,
    model: order?.dialect?.model ?? null,
    outcome: outcomeOf(exchange),
    gate_ms: exchange.gateMs,
    queue_ms: end?.timings.queue_ms ?? null,
    first_byte_ms: end?.timings.first_byte_ms ?? null,
    total_ms: now - openedAt + exchange.gateMs,
    prompt_tokens: end?.usage?.prompt_tokens ?? null,
    completion_tokens: end?.usage?.completion_tokens ?? null,
    usage_source: end?.usage?.source ?? null,
    charged,
    bytes: exchange.wanted,
  });
}

export function logReceipt({ id, charged, end, ageMs }: Receipt): void {
  logSettled({
    request_id: id,
    charged,
    outcome: end?.outcome ?? "unserved",
    ...(ageMs === undefined ? {} : { total_ms: ageMs }),
    prompt_tokens: end?.usage?.prompt_tokens ?? null,
    completion_tokens: end?.usage?.completion_tokens ?? null,
    usage_source: end?.usage?.source ?? null,
  });
}

export function logForfeit({ id, tokens, told, ageMs }: Forfeit): void {
  logSettled({
    request_id: id,
    charged: tokens,
    outcome: told?.outcome ?? "expired",
    total_ms: ageMs,
    prompt_tokens: told?.usage?.prompt_tokens ?? null,
    completion_tokens: told?.usage?.completion_tokens ?? null,
    usage_source: told?.usage?.source ?? null,
  });
}

/** END's word, or ours where there is none. */
export function outcomeOf({ end, failure }: Exchange): string {
  return end?.outcome ?? (failure === null ? "cancelled" : "refused");
}

export function logRefusal(
  { id, method, path, dialect }: ExchangeRequest,
  { failure, tenant, tier }: Extract<Admission, { failure: unknown }>,
  gateMs: number,
): void {
  logRequest({
    request_id: id,
    method,
    path,
    status: failure.status ?? ERRORS[failure.code].status,
    code: failure.code,
    tenant: tenant ?? null,
    tier: tier ?? null,
    model: dialect.model,
    gate_ms: gateMs,
    total_ms: gateMs,
  });
}
