// The dialect of each exchange, put together from what the room offers. Beside the composition root, and a part of it.
import type { Open } from "../shared/wire/messages.ts";
import { rewritePlain } from "./dialect/plain.ts";
import { engineRefusal } from "./dialect/refusal.ts";
import { engineRequest } from "./dialect/request.ts";
import { makeScrub, type Scrub } from "./dialect/scrub.ts";
import { rewriteStream } from "./dialect/sse.ts";
import type { Translation } from "./exchange/serve.ts";

/** A public name is whatever the edge says it is; a dozen are normal. */
const MOST_SCRUBS = 100;

export class Translations {
  readonly #models: readonly string[];
  readonly #scrubs = new Map<string, Scrub>();

  /** @param models that only the site knows the names of. */
  constructor(models: readonly string[]) {
    this.#models = models;
  }

  /** Null for the backend, whose words pass as they are. */
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
    const scrub = makeScrub({ internal: this.#models, public: model });
    if (this.#scrubs.size < MOST_SCRUBS) this.#scrubs.set(model, scrub);
    return scrub;
  }
}
