import type { Usage, WireFailure } from "../../shared/wire/messages.ts";

/** Translates one answer, as connector/dialect offers it. */
export interface Rewriter {
  push(chunk: Uint8Array): Uint8Array;
  readonly stands: "open" | "done" | "failed";
  finish(): { tail: Uint8Array; outcome: "complete" | "truncated" | "failed"; failure: WireFailure | null };
  /** The answer breaks off: what of it has waited for its end. */
  cut(): Uint8Array;
  /** @param isLeft its client has gone: of an engine that has not said it yet, what can be reckoned. */
  usage(isLeft?: boolean): Usage | null;
}

/** How requests and answers of one exchange are translated; null for the backend, whose words pass as they are. */
export interface Translation {
  request(body: Uint8Array): Uint8Array;
  answer(isEvents: boolean): Rewriter;
  refusal(status: number, body: Uint8Array): WireFailure;
}
