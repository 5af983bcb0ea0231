// How an edge ends that runs on one's own machine (dev/edge), where nobody but itself can stop the requests: from the first
// look on nothing new begins, and when nothing runs any more the connectors are let go. On Cloudflare nobody looks.
import { pathOf } from "./routes.ts";
import { turnedAway } from "./turned-away.ts";

const RETRY_AFTER_MS = 1_000;
/** Answers that are a moment away from running (a key that was looked up, a body that has just come) are seen by the second look. */
const QUIET_LOOKS = 2;

export interface LeavingHub {
  running(): Promise<number>;
  dismiss(): Promise<void>;
}

export interface Look {
  /** Exchanges that are not over. */
  readonly running: number;
  /** Nothing runs, and the connectors are gone: what is left are last bytes on their way to clients. */
  readonly isOver: boolean;
}

export class Leaving {
  #isOn = false;
  #quietLooks = 0;

  async look(hubs: readonly LeavingHub[]): Promise<Look> {
    this.#isOn = true;
    const counts = await Promise.all(hubs.map((hub) => hub.running()));
    const running = counts.reduce((sum, count) => sum + count, 0);
    this.#quietLooks = running === 0 ? this.#quietLooks + 1 : 0;
    const isOver = this.#quietLooks >= QUIET_LOOKS;
    if (isOver) await Promise.all(hubs.map((hub) => hub.dismiss()));
    return { running, isOver };
  }

  /** The answer to what comes too late; null where the app is to answer. */
  refusal(request: Request): Response | null {
    if (!this.#isOn) return null;
    const path = pathOf(request);
    if (path === "/health" || path.startsWith("/admin/")) return null;
    return turnedAway(request, {
      code: "model_unavailable",
      message: "This edge is about to restart. Please try again.",
      retryAfterMs: RETRY_AFTER_MS,
    });
  }
}
