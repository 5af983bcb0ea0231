import { expect, test } from "vitest";
import { GroupCommit } from "../../../edge/hub/group-commit.ts";

/** Who was let in, and who of them is on disk. */
function group() {
  const owed: string[] = [];
  const commits: string[][] = [];
  const made = new GroupCommit(() => commits.push(owed.splice(0)));
  const open = (id: string, others: number) => {
    owed.push(id);
    return made.opened(others);
  };
  return { made, open, commits };
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
