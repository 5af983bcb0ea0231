// The dialect of each exchange, put together from the rooms that know its parts. Part of the composition root.
import type { Open } from "../shared/wire/messages.ts";
import { rewritePlain } from "./dialect/plain.ts";
import { engineRefusal } from "./dialect/refusal.ts";
import { engineRequest } from "./dialect/request.ts";
import { makeScrub, type Scrub } from "./dialect/scrub.ts";
import { rewriteStream } from "./dialect/sse.ts";
import type { Translation } from "./exchange/translation.ts";

/** A public name is whatever the edge says it is; a dozen are normal. */
const MOST_SCRUBS = 100;

export class Translations {
  readonly #internal: readonly string[];
  readonly #scrubs = new Map<string, Scrub>();

  /** @param internal names of pools, which no client is to see. */
  constructor(internal: readonly string[]) {
    this.#internal = internal;
  }

  /** Null: the backend's words pass as they are. */
  of({ dialect, target }: Open): Translation | null {
    if (dialect === null) return null;
    const { model, stream, usage, max_tokens: maxTokens } = dialect;
    const scrub = this.#scrubFor(model);
    return {
      request: (body) =>
        engineRequest(body, { model: target, stream, ...(maxTokens === undefined ? {} : { maxTokens }) }),
      answer: (isEvents) => (isEvents ? rewriteStream({ model, usage, scrub }) : rewritePlain({ model, scrub })),
      refusal: (status, body) => engineRefusal(status, body, scrub),
    };
  }

  /** One for each public name: they are few, and the patterns in it are not free to make. */
  #scrubFor(model: string): Scrub {
    const known = this.#scrubs.get(model);
    if (known !== undefined) return known;
    const scrub = makeScrub({ internal: this.#internal, public: model });
    if (this.#scrubs.size < MOST_SCRUBS) this.#scrubs.set(model, scrub);
    return scrub;
  }
}
