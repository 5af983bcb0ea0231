// The backend as an exchange sees it: one server, one thing that may be asked of it, and no second try, except on a kept
// connection that was just being closed.
import { Failure } from "../../shared/errors.ts";
import { allowHeaders, REQUEST_HEADERS } from "../../shared/headers.ts";
import { VERIFY_KEY } from "../../shared/openai.ts";
import type { Clock, Running, UpstreamHandler, UpstreamRequest } from "./request.ts";
import { type BreakKind, Origin, type Outgoing, type Sending } from "./send.ts";

export interface BackendConfig {
  /** May have a path of its own, which stands before the others. */
  readonly url: string;
  readonly timeoutS: number;
  /** Added to every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly verifyPath: string;
  readonly healthPath: string;
}

export interface BackendHealth {
  /** null: no answer. */
  readonly status: number | null;
  readonly error: string | null;
}

export class Backend {
  readonly #config: BackendConfig;
  readonly #clock: Clock;
  readonly #base: string;
  readonly #origin: Origin;

  constructor(config: BackendConfig, clock: Clock = { now: Date.now, setTimeout, clearTimeout }) {
    const { origin, pathname } = new URL(config.url);
    const ms = config.timeoutS * 1000;
    this.#config = config;
    this.#clock = clock;
    this.#base = pathname.replace(/\/$/, "");
    this.#origin = new Origin(origin, { connectMs: ms, firstByteMs: ms, idleMs: ms }, clock);
  }

  /** Whatever status it answers is an answer: what it means is the edge's to say. */
  serve(request: UpstreamRequest, handler: UpstreamHandler): Running {
    const { method, path, headers, body } = request;
    if (method !== VERIFY_KEY.method || path !== VERIFY_KEY.path) {
      handler.onFailure(new Failure("not_found"));
      return { abort: () => {}, resume: () => {}, letEnd: () => {} };
    }
    const own = Object.entries(this.#config.headers).map(([name, value]): [string, string] => [
      name.toLowerCase(),
      value,
    ]);
    const given = allowHeaders(headers, REQUEST_HEADERS).filter(([name]) => !own.some(([other]) => other === name));
    const outgoing = { method, path: this.#base + this.#config.verifyPath, headers: [...given, ...own], body };
    return this.#ask(outgoing, request.deadline, handler);
  }

  /** For people: is it there? */
  health(): Promise<BackendHealth> {
    const headers = Object.entries(this.#config.headers);
    const outgoing = { method: "GET", path: this.#base + this.#config.healthPath, headers, body: null };
    return new Promise((resolve) => {
      let status: number | null = null;
      this.#ask(outgoing, Number.POSITIVE_INFINITY, {
        onStart: () => {},
        onHead: (given) => {
          status = given;
        },
        onData: () => true,
        onEnd: () => resolve({ status, error: null }),
        onFailure: (failure) => resolve({ status, error: failure.message }),
      });
    });
  }

  /** Breaks what is running. */
  async close(): Promise<void> {
    await this.#origin.destroy();
  }

  #ask(outgoing: Outgoing, deadline: number, handler: UpstreamHandler): Running {
    let sending: Sending | null = null;
    let attempt = 0;
    let isOver = false;
    /** @returns false if it was over before. */
    const finish = (): boolean => {
      const wasOver = isOver;
      isOver = true;
      this.#clock.clearTimeout(timer);
      if (!wasOver) sending?.abort();
      return !wasOver;
    };
    const fail = (code: "upstream_error" | "upstream_timeout", what: string, cause: Error | null): void => {
      const detail = `backend ${this.#config.url}: ${what}${cause === null ? "" : ` (${cause.message})`}`;
      if (finish()) handler.onFailure(new Failure(code, { detail, cause }));
    };
    const onBreak = (kind: BreakKind, cause: Error | null): void => {
      if (kind === "stale" && attempt === 1) send();
      // Without a cause it was our own clock.
      else fail(cause === null ? "upstream_timeout" : "upstream_error", kind, cause);
    };
    const send = (): void => {
      attempt += 1;
      handler.onStart(this.#config.url, attempt);
      if (isOver) return;
      sending = this.#origin.send(outgoing, {
        onHead: (status, headers) => handler.onHead(status, headers),
        onData: (chunk) => handler.onData(chunk),
        onEnd: () => {
          if (finish()) handler.onEnd();
        },
        onBreak,
      });
    };
    const ms = Math.max(0, Math.min(this.#config.timeoutS * 1000, deadline - this.#clock.now()));
    const timer = this.#clock.setTimeout(() => fail("upstream_timeout", "not done in time", null), ms);
    send();
    return { abort: finish, resume: () => sending?.resume(), letEnd: finish };
  }
}
