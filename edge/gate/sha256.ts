// SHA-256 (FIPS 180-4) of a short text, at once: the platform's own digest is a promise, and a request would wait a turn for it. Pure.

const text = new TextEncoder();
const K = new Int32Array(64);
const FIRST = new Int32Array(8);
const schedule = new Int32Array(64);
const state = new Int32Array(8);

/** The first 32 bits of the fractional part of a root of each of the first primes. */
function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32) | 0;
}

for (let prime = 2, found = 0; found < K.length; prime += 1) {
  let isPrime = true;
  for (let divisor = 2; divisor * divisor <= prime; divisor += 1) if (prime % divisor === 0) isPrime = false;
  if (!isPrime) continue;
  K[found] = fraction(Math.cbrt(prime));
  if (found < FIRST.length) FIRST[found] = fraction(Math.sqrt(prime));
  found += 1;
}

/** Two digits of each byte. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
/** Room for what is not longer than a key may be. */
const scratch = new Uint8Array(1_024);

/** In lower-case hex. */
export function sha256(message: string): string {
  const most = message.length * 3 + 72;
  const blocks = most <= scratch.byteLength ? scratch : new Uint8Array(most + 64);
  const { written } = text.encodeInto(message, blocks);
  const end = ((written + 72) >> 6) << 6;
  blocks.fill(0, written, end);
  blocks[written] = 0x80;
  for (let i = 0, bits = written * 8; i < 4; i += 1, bits >>>= 8) blocks[end - 1 - i] = bits;
  state.set(FIRST);
  for (let at = 0; at < end; at += 64) compress(blocks, at);
  blocks.fill(0, 0, written);
  let hex = "";
  for (let i = 0; i < 8; i += 1) {
    const word = state[i]!;
    hex += HEX[word >>> 24]! + HEX[(word >>> 16) & 255]! + HEX[(word >>> 8) & 255]! + HEX[word & 255]!;
  }
  return hex;
}

function compress(blocks: Uint8Array, start: number): void {
  const w = schedule;
  for (let i = 0, at = start; i < 16; i += 1, at += 4) {
    w[i] = (blocks[at]! << 24) | (blocks[at + 1]! << 16) | (blocks[at + 2]! << 8) | blocks[at + 3]!;
  }
  for (let i = 16; i < 64; i += 1) {
    const x = w[i - 15]!;
    const y = w[i - 2]!;
    const low = rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3);
    const high = rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10);
    w[i] = (w[i - 16]! + low + w[i - 7]! + high) | 0;
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let i = 0; i < 64; i += 1) {
    const high = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25);
    const one = (h + high + ((e & f) ^ (~e & g)) + K[i]! + w[i]!) | 0;
    const low = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22);
    const two = (low + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
  state[2] = state[2]! + c;
  state[3] = state[3]! + d;
  state[4] = state[4]! + e;
  state[5] = state[5]! + f;
  state[6] = state[6]! + g;
  state[7] = state[7]! + h;
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
