// Comparing with a secret of our own: the master key, the admin token.
import { sha256 } from "./key.ts";

/** Digests of our own secrets, which never change while an isolate lives. */
const secrets = new Map<string, ArrayBuffer>();

/** Compares with one of our own secrets in constant time; digests have one length, whatever was given. */
export async function isSame(given: string, secret: string): Promise<boolean> {
  const ours = secrets.get(secret) ?? (await sha256(secret));
  secrets.set(secret, ours);
  return crypto.subtle.timingSafeEqual(await sha256(given), ours);
}
