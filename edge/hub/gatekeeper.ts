// The gate, as the hub needs it. Types only: the entry of the Worker puts the two together.
import type { PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { ExchangeRequest, GateStatus } from "../../shared/hop.ts";
import type { End } from "../../shared/wire/messages.ts";
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
      /** To be sent with OPEN; it comes back with END. */
      readonly lease?: string;
    }
  | { readonly failure: PublicFailure; readonly tier?: string; readonly tenant?: string };

/** A lease that was not settled by the END that counts, and what it cost. */
export interface Forfeit {
  readonly id: string;
  readonly tokens: number;
  /** An earlier attempt's END, if that is what it costs. */
  readonly told: Pick<End, "outcome" | "usage"> | null;
  /** Since its admission. */
  readonly ageMs: number;
}

export interface HubGate extends Omit<SettlementEvents, "over" | "settle" | "unserved"> {
  /** False: nothing may be written, and nobody is to be let in. */
  readonly isWritable: boolean;
  /** An END has come. @returns the tokens that it cost; null: it was settled before, or this is not the END that counts. */
  settle(end: End): number | null;
  /**
   * It is over, and no connector answers for it now.
   * @param unheard the last attempt that may have reached one that has said nothing; 0: none
   * @returns null: it was settled before, or one that may have run it is waited for
   */
  unserved(id: string, unheard?: number): Forfeit | null;
  /** To be called before an answer leaves: who was let in must be on disk. Of whom nobody has heard anything, END knows enough. */
  commitAdmissions(): void;
  /** Its Worker goes on with it after the loss of a hub. */
  resumed(id: string): void;
  admit(request: ExchangeRequest): Promise<Admission> | Admission;
  /** @param isResting nothing runs: this may be the last call for long. @returns what nobody is waited for any more. */
  tick(now: number, isResting: boolean): readonly Forfeit[];
  /** ms; when something runs out although nothing runs, or null. */
  nextExpiry(): number | null;
  status(now: number): GateStatus;
}
