// What a key looks like and what it is called. The raw key is used for two things only, here and at the backend;
// everything else knows its digest.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const text = new TextEncoder();

const KEY = /^hc-sk-[A-Za-z0-9_-]{4,200}$/;

/** The key of an `Authorization: Bearer` header, or null if there is none of the right form. */
export function bearer(authorization: string | null): string | null {
  const match = /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(authorization ?? "");
  return match?.[1] ?? null;
}

export function isKey(text: string): boolean {
  return KEY.test(text);
}

/** SHA-256 in hex: the name of a key everywhere. At once: the platform's own digest is a promise, and a request would wait a turn for it. */
export function digestOf(key: string): string {
  const known = digests.get(key);
  if (known !== undefined) return known;
  const digest = bytesToHex(sha256(text.encode(key)));
  digests.set(key, digest);
  if (digests.size > MOST_DIGESTS) digests.delete(digests.keys().next().value!);
  return digest;
}

/** Of this isolate: in JavaScript a digest takes 20 us, a tenth of a small request in the hub. */
const MOST_DIGESTS = 1_000;
const digests = new Map<string, string>();
