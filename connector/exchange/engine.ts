import type { Failure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";

/** An engine or the backend, as connector/upstream offers them. */
export interface Engine {
  serve(
    request: {
      readonly method: string;
      readonly path: string;
      readonly headers: HeaderPairs;
      readonly body: Uint8Array;
      readonly tier: string;
      readonly tenant: string;
      readonly deadline: number;
      /** No stream is asked for: the engine may say nothing before all of it is written. */
      readonly isPlain: boolean;
    },
    handler: {
      onStart(upstream: string, attempt: number): void;
      headers(): HeaderPairs | undefined;
      onLost(reason: string, upstream: string): void;
      onHead(status: number, headers: HeaderPairs): void;
      onData(chunk: Uint8Array): boolean;
      onEnd(): void;
      onFailure(failure: Failure): void;
    },
  ): { abort(): void; resume(): void; letEnd(): void };
}
