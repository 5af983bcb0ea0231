// Exchanges whose client left while no socket carried them: their connector is told as soon as it is back, so that an engine
// does not work for nobody until the connector gives up by itself. Pure.
import { FrameType } from "../../shared/wire/frames.ts";
import { jsonFrame, type Resume } from "../../shared/wire/messages.ts";
import type { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";
import { REATTACH_WITHIN_MS } from "./patience.ts";

const MOST = 1_000;

interface Row {
  readonly owner: NonNullable<Exchange["owner"]>;
  readonly offset: number;
  readonly at: number;
}

export class Abandoned {
  readonly #rows = new Map<string, Row>();
  readonly #running: Iterable<Exchange>;

  /** @param running what this hub has now. */
  constructor(running: Iterable<Exchange>) {
    this.#running = running;
  }

  add({ id, owner, wanted }: Exchange, links: Iterable<Link>, now: number): void {
    if (owner === null) return;
    this.#rows.set(id, { owner, offset: wanted, at: now });
    for (const link of links) this.tell(link, now);
    for (const [oldest, { at }] of this.#rows) {
      if (this.#rows.size <= MOST && now - at < REATTACH_WITHIN_MS) break;
      this.#rows.delete(oldest);
    }
  }

  /** Resumes what its connector still runs, only to cancel it: RESET needs a channel. */
  tell(link: Link, now: number): void {
    for (const [id, { owner, offset, at }] of this.#rows) {
      if (owner.connector !== link.state.connector || owner.instance !== link.state.instance) continue;
      this.#rows.delete(id);
      if (now - at >= REATTACH_WITHIN_MS || this.#isWanted(id, owner)) continue;
      const channel = link.newChannel();
      const resume: Resume = { exchange: id, offset, head: false, limit: offset };
      link.control(jsonFrame(FrameType.RESUME, channel, resume));
      link.control(jsonFrame(FrameType.RESET, channel, { code: "cancelled", retryable: false }));
    }
    link.flush();
  }

  /** Only its way to the hub broke, and its Worker has asked to go on since. */
  #isWanted(id: string, owner: Row["owner"]): boolean {
    for (const other of this.#running) if (other.id === id && other.owner?.instance === owner.instance) return true;
    return false;
  }
}
