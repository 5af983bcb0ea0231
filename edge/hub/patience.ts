// How long the hub waits for what. Pure.
import { BACKEND } from "../../shared/openai.ts";
import type { Exchange } from "./exchange.ts";

export const ACCEPT_WITHIN_MS = 2_000;
/** How long an exchange waits for a connector that could serve it. */
export const HOLD_MS = 2_000;
/** How long an answer waits for its connector to come back. One that saw nothing of the loss needs 25 s to notice. */
export const REATTACH_WITHIN_MS = 30_000;
/** What has not begun waits so long for its connector's first redial before another one may have it. */
const MOVE_AFTER_MS = 1_000;
/** A socket that missed so many ACCEPTs in a row is closed. */
export const MISSED_ACCEPTS = 2;

/** ms that an exchange without its socket waits for it alone. A lookup may be made anywhere, and as often as it takes. */
export function patienceFor({ hasNotBegun, target }: Exchange): number {
  if (!hasNotBegun) return REATTACH_WITHIN_MS;
  return target === BACKEND ? 0 : MOVE_AFTER_MS;
}
