import { expect, test } from "vitest";
import { GroupCommit, WITHIN_MS } from "../../../edge/hub/group-commit.ts";

/** Who was let in, and who of them is on disk. */
function group() {
  const owed: string[] = [];
  const commits: string[][] = [];
  const due: { ms: number; work: () => void }[] = [];
  const made = new GroupCommit(
    () => commits.push(owed.splice(0)),
    (ms, work) => due.push({ ms, work }),
  );
  const open = (id: string, others: number) => {
    owed.push(id);
    return made.opened(others);
  };
  return { made, open, commits, due };
}

test("alone, an exchange is written down behind its OPEN, and its answer needs nothing more", () => {
  const { made, open, commits } = group();
  const alone = open("a", 0);
  expect(commits).toEqual([["a"]]);
  made.answering(alone);
  expect(commits).toHaveLength(1);
});

test("among others, the first answer whose admission is not on disk takes all with it, and the others' answers need nothing more", () => {
  const { made, open, commits } = group();
  const a = open("a", 0);
  const b = open("b", 1);
  const c = open("c", 2);
  // Its own is on disk: it waits for nobody else's.
  made.answering(a);
  expect(commits).toEqual([["a"]]);
  made.answering(c);
  expect(commits).toEqual([["a"], ["b", "c"]]);
  const d = open("d", 3);
  made.answering(b);
  expect(commits).toHaveLength(2);
  made.answering(d);
  expect(commits.slice(2)).toEqual([["d"]]);
});

test("among others they are written down together a few milliseconds later, if no answer came before", () => {
  const { open, commits, due } = group();
  open("a", 0);
  open("b", 1);
  open("c", 2);
  expect(due.map(({ ms }) => ms)).toEqual([WITHIN_MS]);
  due.shift()!.work();
  expect(commits).toEqual([["a"], ["b", "c"]]);
  open("d", 3);
  expect(due).toHaveLength(1);
});

test("what an answer has taken along is not written down again", () => {
  const { made, open, commits, due } = group();
  open("a", 0);
  const b = open("b", 1);
  made.answering(b);
  due.shift()!.work();
  expect(commits).toEqual([["a"], ["b"]]);
});

test("the first of a crowd is written down with it", () => {
  const { open, commits, due } = group();
  open("a", 0);
  open("b", 1);
  open("c", 0);
  expect(commits).toEqual([["a"]]);
  due.shift()!.work();
  expect(commits).toEqual([["a"], ["b", "c"]]);
});
