// What the handlers of an engine work with.
import type { Exchange } from "./exchange.ts";
import type { FaultBox } from "./faults.ts";
import type { Account } from "./ledger.ts";
import type { EngineSettings } from "./settings.ts";
import type { Seat, Slots } from "./slots.ts";
import type { Vectors } from "./vectors.ts";

export interface Parts {
  readonly settings: EngineSettings;
  readonly slots: Slots;
  readonly faults: FaultBox;
  readonly account: Account;
  readonly vectors: Vectors;
  /** Null: the client left before it was its turn. */
  admit(exchange: Exchange, need: number): Promise<Seat | null>;
}
