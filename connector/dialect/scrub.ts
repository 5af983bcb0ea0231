// What of an engine's words a client may read. Engines talk of files, hosts and the names they were started with; a
// text that is too careful is a nuisance, one that is not is a leak.

export type Scrub = (text: string) => string;

export interface ScrubNames {
  /** Names of models that only the site knows. */
  readonly internal: readonly string[];
  /** What the client calls the model. */
  readonly public: string;
}

/** Longest text that is told. */
const MAX_TOLD = 1_000;
/** Longest text that is looked at: the patterns are linear, but not free. */
const MAX_READ = 16_384;

/**
 * In this order: a URL holds a host, a host may be followed by a path. Every repetition that could start at many places
 * of one word is bounded, so that no text takes more than linear time.
 */
const PATTERNS: readonly (readonly [pattern: RegExp, instead: string, isLeak?: (found: string) => boolean])[] = [
  [/hc-sk-[\w-]*/gi, "[key]"],
  [/\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s"'`<>()[\]{}]*(?:\[[0-9a-f:.%]*\][^\s"'`<>()[\]{}]*)?/gi, "[url]"],
  // IPv6, bare or in brackets, with its port; a time of day looks the same at first.
  [
    /\[?(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?:\.\d{1,3}){0,3}(?:%\w{1,16})?(?![\w:])(?:\](?::\d{1,5}\b)?)?/gi,
    "[address]",
    isIpv6,
  ],
  [/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?!\.?\d)/g, "[address]"],
  // A host with its port: the name holds a letter, else it is a time or a ratio.
  [/(?<![\w.-])(?=[\d.-]{0,63}[a-z_])[\w-]{1,63}(?:\.[\w-]{1,63}){0,32}:\d{2,5}\b(?!:)/gi, "[address]"],
  [/(?<![\w.-])(?:[\w-]{1,63}\.){1,32}(?:local|localdomain|lan|internal|intranet|corp|home|svc)\b/gi, "[address]"],
  [/\blocalhost\b/gi, "[address]"],
  // Absolute paths of two parts or more; the API's own are no secret, and `</think>` or `and/or` is no path.
  [/(?<![\w/.#])\/(?!v1\/)(?:[\w.@+~%=-]{1,255}\/)+[\w.@+~%=-]*/g, "[path]"],
  [/(?<!\w)[a-z]:\\[^\s"'`<>|]*/gi, "[path]"],
  [/\\\\[\w.-]{1,255}\\[^\s"'`<>|]*/g, "[path]"],
];

export function makeScrub({ internal, public: told }: ScrubNames): Scrub {
  // Longest first: one name may be the beginning of another.
  const names = internal.filter((name) => name !== "" && name !== told).sort((a, b) => b.length - a.length);
  const pattern = names.length === 0 ? null : new RegExp(names.map(escaped).join("|"), "gi");
  return (text) => {
    let clean = readable(text);
    // Names come first: vLLM's may be a path.
    if (pattern !== null) clean = clean.replace(pattern, () => told);
    for (const [leak, instead, isLeak] of PATTERNS) {
      clean = clean.replace(leak, (found) => (isLeak === undefined || isLeak(found) ? instead : found));
    }
    return clean.length > MAX_TOLD ? `${clean.slice(0, MAX_TOLD - 1).toWellFormed()}…` : clean.toWellFormed();
  };
}

/** Two colons together, or seven in all. A time of day has two apart. */
function isIpv6(text: string): boolean {
  return text.includes("::") || text.split(":").length >= 8;
}

/** The beginning of a long text, up to a whole word: half an address would not be recognised. No words, no text. */
function readable(text: string): string {
  if (text.length <= MAX_READ) return text;
  const cut = text.slice(0, MAX_READ);
  return cut.slice(0, Math.max(cut.lastIndexOf(" "), cut.lastIndexOf("\n")) + 1);
}

function escaped(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
