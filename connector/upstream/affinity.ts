// Where a prompt with this beginning was read before: consistent hashing with bounded load (Mirrokni, Thorup, Zadimoghaddam
// 2016) over a rendezvous order, so that an upstream which comes or goes moves only its own share. An engine that has the
// beginning in its cache need not read it again. No I/O, no clock.
import type { Candidate, Choice } from "./balancer.ts";
import type { UpstreamRequest } from "./request.ts";

/** So much more than the mean an upstream takes before the next one in a prefix's order is asked. */
export const LOAD_FACTOR = 1.25;

const text = new TextEncoder();

/** The beginning of a prompt; null if a body has none. */
export type PrefixOf = (body: Uint8Array) => Uint8Array | null;

export class Affinity {
  readonly #model: string;
  readonly #upstreams: readonly number[];
  readonly #prefixOf: PrefixOf;

  /** @param names of the upstreams: the same name has the same place in every order, wherever it stands in the list. */
  constructor(model: string, names: readonly string[], prefixOf: PrefixOf) {
    this.#model = model;
    this.#upstreams = names.map((name) => hash(text.encode(name), 0));
    this.#prefixOf = prefixOf;
  }

  /** What the balancer asks for a request. The bytes are looked at only where there is a choice. */
  preferenceOf({ tenant, body }: UpstreamRequest): NonNullable<Choice["prefer"]> {
    return (candidates) => {
      const prefix = candidates.length < 2 ? null : this.#prefixOf(body);
      return prefix === null ? null : this.choose(affinityKey(tenant, this.#model, prefix), candidates);
    };
  }

  /**
   * The first in the order of `key` whose load stays within the bound; there always is one, as the least loaded is within.
   * The mean is that of the candidates: who is full is no candidate, so the bound is tighter than the pool's, never wider.
   * @param candidates have a free slot each; null if there are none.
   */
  choose(key: number, candidates: readonly Candidate[]): number | null {
    const most = bound(candidates);
    let chosen: number | null = null;
    let best = -1;
    for (const { index, inFlight } of candidates) {
      if (inFlight >= most) continue;
      const score = mix(key ^ (this.#upstreams[index] ?? 0)) >>> 0;
      if (score <= best) continue;
      best = score;
      chosen = index;
    }
    return chosen;
  }
}

/** What one of them may have in flight, the next request included. */
export function bound(candidates: readonly Candidate[]): number {
  const total = candidates.reduce((sum, { inFlight }) => sum + inFlight, 1);
  return Math.ceil((LOAD_FACTOR * total) / candidates.length);
}

/** Tenants do not share an order: where a prompt of one goes tells nothing of what others have asked. */
export function affinityKey(tenant: string, model: string, prefix: Uint8Array): number {
  return hash(prefix, hash(text.encode(model), hash(text.encode(tenant), 0)));
}

/** MurmurHash3, 32 bit. */
function hash(bytes: Uint8Array, seed: number): number {
  const whole = bytes.length & ~3;
  let h = seed;
  for (let i = 0; i < whole; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    h ^= scrambled(word);
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = bytes.length - 1; i >= whole; i -= 1) rest = (rest << 8) | bytes[i]!;
  return mix(h ^ scrambled(rest) ^ bytes.length);
}

function scrambled(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
}

/** Its finalizer: every bit of the input moves every bit of the output. */
function mix(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
