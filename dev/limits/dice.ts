// Chance that can be repeated, with a bell curve. Pure.
import { Random } from "../chaos/random.ts";

export class Dice extends Random {
  /** About normal, around 0 with deviation 1. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i += 1) sum += this.next();
    return sum;
  }
}
