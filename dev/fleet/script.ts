// What a simulated engine says: text that follows from the prompt alone, so that a test can compute every byte
// that an engine must have sent. Knows no request, no socket, no clock. Pure.

/**
 * One token is one delta. Among plain words: a character of several bytes, halves of a character (llama.cpp sends
 * U+FFFD for each), escapes, and text that looks like the protocol around it.
 */
export const VOCABULARY: readonly string[] = [
  " the",
  " a",
  " and",
  " of",
  " to",
  " heart",
  " code",
  " edge",
  " night",
  " river",
  " quietly",
  " answered",
  " seven",
  " lanterns",
  ",",
  ".",
  "\n",
  "\n\n",
  ' "quoted"',
  " back\\slash",
  "\t",
  "\u0003",
  " caf\u00e9",
  " na\u00efve",
  " \u041f\u0440\u0438\u0432\u0435\u0442",
  " \u65e5\u672c\u8a9e",
  "\u{1f642}",
  "\u{1f469}\u200d\u{1f680}",
  "\ufffd",
  "\ufffd\ufffdT",
  "\u2028",
  ' data: {"usage":null}\n\n',
];

/** The vocabulary as JSON strings: the same bytes go out so often that they are made once. */
export const QUOTED: readonly string[] = VOCABULARY.map((token) => JSON.stringify(token));

/** The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
export function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a over UTF-16 code units. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h);
}

/** The beginning of one choice: the prompt, the request's `seed` if it has one, and which of `n` choices it is. */
export function seedOf(prompt: string, seed?: number, index = 0): number {
  const base = seed === undefined ? hashText(prompt) : mix(hashText(prompt) ^ mix(seed + 0x9e3779b9));
  return index === 0 ? base : mix(base + index);
}

/** Which word stands at a place; any place can be asked for without the ones before it. */
export function wordAt(seed: number, place: number): number {
  return mix(seed + Math.imul(place, 0x9e3779b9)) % VOCABULARY.length;
}

export interface Variation {
  readonly seed?: number;
  readonly index?: number;
}

/** The first `count` tokens of the answer to a prompt, one string for each delta. */
export function answerTokens(prompt: string, count: number, { seed, index }: Variation = {}): string[] {
  return tokensFrom(seedOf(prompt, seed, index), count);
}

export function answerText(prompt: string, count: number, variation: Variation = {}): string {
  return answerTokens(prompt, count, variation).join("");
}

/** The same from a seed that is known already. */
export function tokensFrom(seed: number, count: number): string[] {
  return Array.from({ length: count }, (_, place) => VOCABULARY[wordAt(seed, place)] ?? "");
}

/** Four characters a token, and never none: an engine sees at least its own first token. */
export function countTokens(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}
