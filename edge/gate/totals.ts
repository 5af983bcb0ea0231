// What the gate has done since this life of the hub began, for whoever operates it. Pure.
import type { GateStatus } from "../../shared/hop.ts";
import type { Usage } from "../../shared/wire/messages.ts";
import type { Denial } from "./ledger.ts";

export type Done = Omit<GateStatus, "leases" | "lookups" | "keys">;

export class Totals {
  readonly #denials: Record<Denial["kind"], number> = { too_large: 0, daily: 0, requests: 0, tokens: 0 };
  readonly #done = {
    settled: 0,
    recovered: 0,
    prompt_tokens: 0,
    completion_tokens: 0,
    expired: 0,
    forfeited_tokens: 0,
  };

  denied(kind: Denial["kind"]): void {
    this.#denials[kind] += 1;
  }

  settled(usage: Usage | null): void {
    this.#done.settled += 1;
    this.#done.prompt_tokens += usage?.prompt_tokens ?? 0;
    this.#done.completion_tokens += usage?.completion_tokens ?? 0;
  }

  /** The same, where nothing but END knew of the lease. */
  recovered(usage: Usage | null): void {
    this.#done.recovered += 1;
    this.settled(usage);
  }

  expired(forfeit: number): void {
    this.#done.expired += 1;
    this.#done.forfeited_tokens += forfeit;
  }

  get done(): Done {
    return { denials: { ...this.#denials }, ...this.#done };
  }
}
