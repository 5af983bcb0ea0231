// Whether what the hubs keep can be written. A hub cannot find out: it is lost with the write that fails, before any code of it hears
// why. But who runs workerd on his own machine (dev/edge) sees it, and says so here; on Cloudflare nobody does. While it cannot, the
// hubs write nothing and so are not lost: what runs goes on, and is settled when there is room again. Nothing begins, as nobody could
// promise that it would be counted.
import { pathOf } from "./routes.ts";
import { turnedAway } from "./turned-away.ts";

/** What needs no write. A purge does: what is forgotten in memory alone would be remembered by the next life of the hub. */
const SERVED: ReadonlySet<string> = new Set(["/health", "/uplink", "/admin/status", "/admin/metrics"]);

export class Writing {
  isPossible = true;

  /** The answer to what may not begin now; null where the app is to answer. */
  refusal(request: Request): Response | null {
    if (this.isPossible || SERVED.has(pathOf(request))) return null;
    return turnedAway(request, {
      code: "model_unavailable",
      message: "This edge cannot write down what it decides at the moment. Please try again later.",
    });
  }
}
