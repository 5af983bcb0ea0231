// The clock of one exchange: the time of day when it begins, and steady from there. A clock that is set meanwhile makes
// nothing late and keeps no client waiting for a keep-alive. The engines have the uptime for their clock. Pure.
import type { Engine } from "./exchange/engine.ts";

export interface Steady {
  readonly now: () => number;
  /** The engine as an exchange with this clock sees it. */
  readonly seen: (engine: Engine) => Engine;
}

export function steadyFrom(clock: number, uptime: () => number): Steady {
  const epoch = clock - uptime();
  return {
    now: () => Math.round(epoch + uptime()),
    seen: (engine) => ({
      serve: (request, handler) => engine.serve({ ...request, deadline: request.deadline - epoch }, handler),
    }),
  };
}
