// Comparing with a secret of our own: the master key, the admin token.

/** More than a bearer token may have, and a byte. */
const MOST_BYTES = 1025;
/** No byte of a text. */
const END = 0xff;

const text = new TextEncoder();
/** Our own secrets, which never change while an isolate lives, each in a buffer of one size. */
const secrets = new Map<string, Uint8Array>();
const scratch = new Uint8Array(MOST_BYTES);

/** Compares with one of our own secrets, in a time that tells neither its bytes nor its length. */
export function isSame(given: string, secret: string): boolean {
  let ours = secrets.get(secret);
  if (ours === undefined) {
    ours = new Uint8Array(MOST_BYTES);
    // A secret that is longer than anything that can be given has no end here, and so is never the same.
    write(secret, ours);
    secrets.set(secret, ours);
  }
  const isWhole = write(given, scratch);
  const isEqual = crypto.subtle.timingSafeEqual(scratch, ours);
  // What was given is not kept.
  scratch.fill(0);
  return isEqual && isWhole;
}

function write(secret: string, into: Uint8Array): boolean {
  const { read, written } = text.encodeInto(secret, into.subarray(0, MOST_BYTES - 1));
  const isWhole = read === secret.length;
  if (isWhole) into[written] = END;
  return isWhole;
}
