// What a Worker asks its hub for: one small chat answer.
import type { ExchangeRequest } from "../../shared/hop.ts";

/** @param given what a test is about. */
export function askedOf(id: string, given: Partial<ExchangeRequest> = {}): ExchangeRequest {
  return {
    id,
    credentials: { mode: "master-key" },
    method: "POST",
    path: "/v1/chat/completions",
    target: "m",
    ageRestricted: false,
    headers: [],
    dialect: { model: "m", stream: false, usage: false },
    demand: { promptBytes: 40, generates: true, maxTokens: 50, choices: 1 },
    ...given,
  };
}
