// Vectors that follow from the text: one normalized base vector, whose places are permuted and whose signs are turned by
// the hash of the text. So every text has its own vector of length 1, and writing one costs no arithmetic. Pure.
import { hashText, mix } from "./script.ts";

interface Walk {
  readonly start: number;
  readonly stride: number;
  readonly signs: number;
}

export class Vectors {
  readonly dimensions: number;
  readonly #base: Float32Array;
  /** `[positive, negative]` of each place, as JSON. */
  readonly #written: readonly (readonly [string, string])[];
  /** Strides that reach every place. */
  readonly #strides: readonly number[];

  constructor(dimensions: number) {
    this.dimensions = dimensions;
    const raw = Array.from({ length: dimensions }, (_, place) => 0.05 + mix(place + 1) / 2 ** 32);
    const norm = Math.sqrt(raw.reduce((sum, value) => sum + value * value, 0));
    this.#base = Float32Array.from(raw, (value) => value / norm);
    this.#written = Array.from(this.#base, (value) => [String(value), String(-value)] as const);
    this.#strides = Array.from({ length: dimensions }, (_, i) => i + 1).filter((i) => gcd(i, dimensions) === 1);
  }

  #walk(text: string): Walk {
    const hash = hashText(text);
    return {
      start: hash % this.dimensions,
      stride: this.#strides[mix(hash + 1) % this.#strides.length] ?? 1,
      signs: mix(hash + 2),
    };
  }

  values(text: string): Float32Array {
    const { start, stride, signs } = this.#walk(text);
    return Float32Array.from(this.#base, (_, i) => {
      const value = this.#base[(start + i * stride) % this.dimensions] ?? 0;
      return (signs >>> (i & 31)) & 1 ? -value : value;
    });
  }

  /** The members of the JSON array, without its brackets. */
  json(text: string): string {
    const { start, stride, signs } = this.#walk(text);
    let out = "";
    let place = start;
    for (let i = 0; i < this.dimensions; i++) {
      const pair = this.#written[place];
      if (i > 0) out += ",";
      out += pair?.[(signs >>> (i & 31)) & 1] ?? "0";
      place = (place + stride) % this.dimensions;
    }
    return out;
  }

  /** Little-endian 32-bit floats, as OpenAI packs them. */
  base64(text: string): string {
    const values = this.values(text);
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => {
      view.setFloat32(i * 4, value, true);
    });
    return Buffer.from(bytes.buffer).toString("base64");
  }
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
