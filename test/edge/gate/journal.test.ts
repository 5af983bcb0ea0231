import { expect, test } from "vitest";
import type { Entry } from "../../../edge/gate/books.ts";
import { Journal } from "../../../edge/gate/journal.ts";

const admit = (id: string): Entry => ["admit", "digest", id, 1, 10, 5, 20, "m", "free", 100, [1, 2, 3]];

function journal() {
  const rows: string[][] = [];
  const written = new Journal((entries) =>
    rows.push(entries.map(([what, ...rest]) => `${what} ${rest.find((one) => /^x\d/.test(String(one)))}`)),
  );
  return { written, rows };
}

test("who is let in is written before an answer leaves, and who is over with the tick, so that an answer is delivered before its lease is gone", () => {
  const { written, rows } = journal();
  written.note(admit("x1"));
  expect(rows).toEqual([]);
  written.commitAdmissions();
  written.note(["accept", "x1"]);
  written.note(["settle", "x1", 7, 2]);
  written.note(admit("x2"));
  written.note(["accept", "x2"]);
  written.commitAdmissions();
  expect(rows).toEqual([["admit x1"], ["admit x2"]]);
  written.commit();
  // That x1 was accepted is not worth a word any more.
  expect(rows.slice(2)).toEqual([["accept x2", "settle x1"]]);
  expect(written.rows).toBe(3);
});

test("nothing is written twice, and nothing costs no row", () => {
  const { written, rows } = journal();
  written.commitAdmissions();
  written.commit();
  expect(rows).toEqual([]);
  written.note(admit("x1"));
  written.note(["reopen", "x1", 2]);
  written.commit();
  written.commitAdmissions();
  written.commit();
  expect(rows).toEqual([["admit x1", "reopen x1"]]);
});
