// An admission in one word, which travels in OPEN and comes back in END (`lease`, spec.md §4): all that a hub needs to charge
// for an exchange whose admission was lost with an earlier life of it. Pure.
import { MAX_LIMIT } from "./bucket.ts";
import type { Label } from "./labels.ts";
import type { Rates } from "./ledger.ts";

export interface Debt {
  /** Of the key that pays. */
  readonly digest: string;
  readonly label: Label;
  /** ms; of the admission. */
  readonly at: number;
  /** Reserved. */
  readonly tokens: number;
  /** Of these, for the prompt. */
  readonly prompt: number;
  /** The prompt as it is charged where no engine says. */
  readonly likely: number;
  /** Of a key that has no ledger any more. */
  readonly rates: Rates;
}

/** Of this way to write it. */
const VERSION = "1";
const DIGEST = /^[0-9a-f]{64}$/;
const NUMBER = /^(?:0|[1-9][0-9]{0,15})$/;
const NUMBERS = 9;

export function writeDebt({ digest, label: [life, number], at, tokens, prompt, likely, rates }: Debt): string {
  const { rpm, tpm, tokensPerDay } = rates;
  // Once a request, so by hand.
  return `${VERSION}.${digest}.${life}.${number}.${at}.${tokens}.${prompt}.${likely}.${rpm}.${tpm}.${tokensPerDay}`;
}

/** Null: this is none. */
export function readDebt(text: string): Debt | null {
  const [version, digest = "", ...words] = text.split(".");
  if (version !== VERSION || !DIGEST.test(digest) || words.length !== NUMBERS) return null;
  if (!words.every((word) => NUMBER.test(word))) return null;
  const numbers = words.map(Number) as [number, ...Numbers];
  if (!numbers.every(Number.isSafeInteger)) return null;
  const [life, number, at, tokens, prompt, likely, rpm, tpm, tokensPerDay] = numbers;
  const isOfLimits = rpm >= 1 && rpm <= MAX_LIMIT && tpm >= 1 && tpm <= MAX_LIMIT && tokensPerDay >= 1;
  if (!isOfLimits || number < 1 || prompt > tokens) return null;
  return { digest, label: [life, number], at, tokens, prompt, likely, rates: { rpm, tpm, tokensPerDay } };
}

type Numbers = [number, number, number, number, number, number, number, number];
