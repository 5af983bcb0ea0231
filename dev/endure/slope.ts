// How fast something grows: the slope of the line that fits the points best. Pure.

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Least squares. NaN without two different `x`. */
export function slopeOf(points: readonly Point[]): number {
  const mean = (of: (point: Point) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const x0 = mean(({ x }) => x);
  const y0 = mean(({ y }) => y);
  let across = 0;
  let along = 0;
  for (const { x, y } of points) {
    across += (x - x0) * (y - y0);
    along += (x - x0) ** 2;
  }
  return along === 0 ? Number.NaN : across / along;
}
