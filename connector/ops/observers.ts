// Several observers as one, each behind a wall: what one of them throws is a defect of its own and stays with it, and the
// exchange goes on. A method that nobody has is not there, so that nothing is called.
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Observer } from "../observe.ts";

/** @param onDefect hears of what was thrown; must not throw. */
export function together(observers: readonly Observer[], onDefect: (cause: unknown) => void): Observer {
  /** Calls `method` of all that have it. */
  const all = <Args extends unknown[]>(pick: (observer: Observer) => ((...args: Args) => void) | undefined) => {
    const calls = observers.map(pick).filter((call) => call !== undefined);
    if (calls.length === 0) return undefined;
    return (...args: Args): void => {
      for (const call of calls) {
        try {
          call(...args);
        } catch (cause) {
          onDefect(cause);
        }
      }
    };
  };
  const senders = observers.filter((observer) => observer.sending !== undefined);
  const sending: Observer["sending"] = (run, at) => {
    let headers: HeaderPairs | undefined;
    for (const observer of senders) {
      try {
        const own = observer.sending?.(run, at);
        if (own !== undefined) headers = headers === undefined ? own : [...headers, ...own];
      } catch (cause) {
        onDefect(cause);
      }
    }
    return headers;
  };
  const calls = {
    opened: all((observer) => observer.opened?.bind(observer)),
    begun: all((observer) => observer.begun?.bind(observer)),
    sending: senders.length === 0 ? undefined : sending,
    lost: all((observer) => observer.lost?.bind(observer)),
    answering: all((observer) => observer.answering?.bind(observer)),
    passing: all((observer) => observer.passing?.bind(observer)),
    ended: all((observer) => observer.ended?.bind(observer)),
  };
  return Object.fromEntries(Object.entries(calls).filter(([, call]) => call !== undefined));
}
