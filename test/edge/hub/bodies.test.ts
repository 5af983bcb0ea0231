import { expect, test } from "vitest";
import { BODIES_BYTES, Bodies } from "../../../edge/hub/bodies.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { newBoard, newReader, ORDER } from "../../support/hub-side.ts";

const BODY = 256 * 1024;
const NOW = 1_000_000;

test("request bodies that a hub holds are bounded: before the gate, while they wait, and no longer", () => {
  const bodies = new Bodies();
  const { board } = newBoard();
  const open = (i: number) =>
    board.open({ ...ORDER, exchange: `x${i}`, length: BODY }, Spool.of(new Uint8Array(BODY)), newReader(), NOW);
  let held = 0;
  while (bodies.comes(BODY)) held += 1;
  expect(held * BODY).toBe(BODIES_BYTES);
  const exchanges = Array.from({ length: held }, (_, i) => open(i));
  for (const exchange of exchanges) {
    bodies.came(BODY);
    bodies.holds(exchange);
  }
  expect(bodies.comes(1)).toBe(false);
  // What a connector has taken, and whose client has left, is not held any more.
  exchanges[0]!.body.release(BODY);
  board.cancel(exchanges[1]!);
  expect(bodies.held).toBe(BODIES_BYTES - 2 * BODY);
  expect(bodies.comes(2 * BODY)).toBe(true);
});
