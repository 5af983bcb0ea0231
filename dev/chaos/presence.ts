// Which connectors were there for which hub: by the lines of their own logs, and by what was done to their processes. Pure.

interface Line {
  readonly time?: string;
  readonly msg?: string;
  readonly shard?: number;
}

/** - `up`, `cut`: the socket to one shard. - `left`: told to stop, or killed. - `back`: the next process begins. */
interface Change {
  readonly what: "up" | "cut" | "left" | "back";
  readonly site: string;
  readonly shard: number;
  readonly at: number;
}

const WORDS: Readonly<Record<string, "up" | "cut">> = { "uplink is up": "up", "the uplink was cut": "cut" };
const OPENING = '{"level"';

export class Presence {
  readonly #epoch: number;
  readonly #changes: Change[] = [];
  readonly #rests = new Map<string, string>();

  /** @param epoch ms since 1970 at which the clock of the outcomes began: lines tell their own times. */
  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** What a connector has printed, cut anywhere. */
  feed(site: string, text: string): void {
    const lines = ((this.#rests.get(site) ?? "") + text).split("\n");
    this.#rests.set(site, lines.pop() ?? "");
    for (const line of lines) this.#read(site, line);
  }

  left(site: string, at: number): void {
    this.#changes.push({ what: "left", site, shard: 0, at });
  }

  back(site: string, at: number): void {
    this.#changes.push({ what: "back", site, shard: 0, at });
  }

  /** The longest time between `from` and `to` in which no connector that takes requests had a socket to this shard. ms. */
  longestAbsence(shard: number, from: number, to: number): number {
    const up = new Set<string>();
    const leaving = new Set<string>();
    let longest = 0;
    let since: number | null = Number.NEGATIVE_INFINITY;
    const count = (until: number): void => {
      if (since !== null) longest = Math.max(longest, Math.min(until, to) - Math.max(since, from));
    };
    for (const { what, site, shard: of, at } of this.#changes.toSorted((a, b) => a.at - b.at)) {
      if (what === "left") leaving.add(site);
      if (what === "back") leaving.delete(site);
      if (what === "left" || (what === "cut" && of === shard)) up.delete(site);
      // A process that leaves may still dial: what runs there is to finish.
      if (what === "up" && of === shard && !leaving.has(site)) up.add(site);
      if (up.size > 0) {
        count(at);
        since = null;
      } else since ??= at;
    }
    count(to);
    return longest;
  }

  #read(site: string, text: string): void {
    const at = text.lastIndexOf(OPENING);
    if (at === -1) return;
    let line: Line;
    try {
      line = JSON.parse(text.slice(at));
    } catch {
      return;
    }
    const { time, msg = "", shard } = line;
    const what = WORDS[msg];
    if (what === undefined || time === undefined || shard === undefined) return;
    this.#changes.push({ what, site, shard, at: Date.parse(time) - this.#epoch });
  }
}
