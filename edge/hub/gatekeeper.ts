// The gate, as the hub needs it. Types only: the entry of the Worker puts the two together.
import type { PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { ExchangeRequest, GateStatus } from "../../shared/hop.ts";
import type { SettlementEvents } from "./settlement.ts";

/** What the gate says of a request. A denial is a value. */
export type Admission =
  | {
      readonly tier: string;
      readonly tenant: string;
      /** Sent to the engine where the client named none. */
      readonly maxTokens: number | undefined;
      /** How the caller stands with its limits. */
      readonly headers: HeaderPairs;
    }
  | { readonly failure: PublicFailure; readonly tier?: string; readonly tenant?: string };

export interface HubGate extends Omit<SettlementEvents, "over"> {
  admit(request: ExchangeRequest): Promise<Admission> | Admission;
  /** @param isResting nothing runs: this may be the last call for long. */
  tick(now: number, isResting: boolean): void;
  /** ms; when something runs out although nothing runs, or null. */
  nextExpiry(): number | null;
  status(now: number): GateStatus;
}
