// Which known name was meant by one that is not known: a slip of the hand, not another word. No I/O.

/** A third of a name may be other letters, but no more than two: with three, REDIS_PORT is near to EDGE_PORT. */
const MOST_SLIPS = 2;
const WORDS = /[_-]/;

/** Null: none is near. */
export function nearestOf(name: string, known: readonly string[]): string | null {
  const most = Math.min(MOST_SLIPS, Math.floor(name.length / 3));
  let nearest: string | null = null;
  let least = most + 1;
  for (const one of known) {
    if (Math.abs(one.length - name.length) >= least) continue;
    const slips = slipsBetween(name.toLowerCase(), one.toLowerCase());
    if (slips < least && !hasOtherWord(name, one)) [nearest, least] = [one, slips];
  }
  return nearest;
}

/** Half a word that is another: ENGINE_HOST is not meant for ENGINE_PORT, nor ENGINE_1 for ENGINE_2. */
function hasOtherWord(name: string, one: string): boolean {
  const words = name.toLowerCase().split(WORDS);
  const others = one.toLowerCase().split(WORDS);
  if (words.length !== others.length) return false;
  return words.some((word, i) => {
    const other = others[i]!;
    return slipsBetween(word, other) * 2 >= Math.max(word.length, other.length, 2);
  });
}

/** Letters that are missing, too many, other ones, or two that have changed places (optimal string alignment). */
function slipsBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      const hasChanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next[j] = Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (isSame ? 0 : 1),
        hasChanged ? before[j - 2]! + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
