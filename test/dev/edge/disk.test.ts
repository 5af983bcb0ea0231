// What an edge hears of a disk that it cannot write, and what it does about it.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Complaints, complaintIn } from "../../../dev/edge/complaints.ts";
import { DiskWatch } from "../../../dev/edge/disk-watch.ts";
import { tryToWrite } from "../../../dev/edge/room.ts";

/** As workerd 1.20261023 says it. */
const FULL = `workerd/io/io-context.c++:609: error: e = workerd/util/sqlite.c++:1757: failed: SQLite failed; dbErrorMessage(err, db) = database or disk is full: SQLITE_FULL
stack: /opt/workerd@3bd3cfb /opt/workerd@3be3ce5
`;
const LOST = `workerd/io/io-context.c++:609: error: e = kj/async.c++:3071: failed: PromiseFulfiller was destroyed.
stack: /opt/workerd@3add2f6
`;
const DEFECT = `${JSON.stringify({ level: "error", msg: "defect", error: "workerd/x.c++: SQLITE_FULL\nworkerd/x.c++:1: SQLITE_FULL" })}\n`;

describe("what workerd says", () => {
  test("of a write that failed is taken out, with its stack, and nothing else is, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(FULL, LOST, DEFECT, "plain\n", "\n")), fc.array(fc.nat()), (said, cuts) => {
        const text = said.join("");
        const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
        const complaints = new Complaints();
        let rest = "";
        const words: string[] = [];
        for (const [i, from] of [0, ...at].entries()) {
          const heard = complaints.hear(text.slice(from, at[i]));
          rest += heard.rest;
          if (heard.complaint !== null) words.push(heard.complaint);
        }
        expect(rest + complaints.end()).toBe(said.filter((one) => one !== FULL).join(""));
        expect(words.length > 0).toBe(said.includes(FULL));
        expect(words.every((word) => word === "SQLITE_FULL")).toBe(true);
      }),
    );
  });

  test("is not looked for within a line that is too long to be held", () => {
    const complaints = new Complaints();
    const long = "x".repeat(70_000);
    const within = "workerd/x.c++:1: SQLITE_FULL\n";
    expect(complaints.hear(long)).toEqual({ rest: long, complaint: null });
    expect(complaints.hear(within)).toEqual({ rest: within, complaint: null });
    expect(complaints.hear(FULL)).toEqual({ rest: "", complaint: "SQLITE_FULL" });
  });

  test("at a start that fails is found among the rest", () => {
    const said = `*** Uncaught exception ***
workerd/util/sqlite.c++:910: failed: SQLite failed; dbErrorMessage(prepareResult, db) = disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_SHMSIZE)
stack: /opt/workerd@3bd3cfb`;
    expect(complaintIn(said)).toBe("SQLITE_IOERR");
    expect(complaintIn("service main: worker.js: SyntaxError\n")).toBeNull();
  });

  test("without an end of a line is not held back for ever", () => {
    const complaints = new Complaints();
    expect(complaints.hear("x".repeat(100_000)).rest).toHaveLength(100_000);
    expect(complaints.hear("an end").rest + complaints.end()).toBe("an end");
  });
});

/** A disk, a Worker, people and a clock. */
function watched() {
  const world = {
    now: 0,
    isFull: false,
    told: [] as boolean[],
    lines: [] as string[],
    due: [] as { at: number; work: () => void }[],
    onTell: (_: boolean) => {},
    watch: null as unknown as DiskWatch,
    async pass(ms: number) {
      const until = world.now + ms;
      for (;;) {
        const next = world.due.findIndex(({ at }) => at <= until);
        if (next < 0) break;
        const [{ at, work }] = world.due.splice(next, 1) as [{ at: number; work: () => void }];
        world.now = at;
        work();
        // Promises of the attempt.
        await new Promise((done) => setImmediate(done));
      }
      world.now = until;
    },
  };
  world.watch = new DiskWatch({
    state: "/var/lib/edge",
    attempt: async () => {
      if (world.isFull) throw Object.assign(new Error("full"), { code: "ENOSPC" });
    },
    tell: async (isWritable) => {
      world.told.push(isWritable);
      world.onTell(isWritable);
    },
    log: (line) => world.lines.push(line),
    now: () => world.now,
    after: (ms, work) => world.due.push({ at: world.now + ms, work }),
  });
  return world;
}

describe("the watch", () => {
  test("tells Worker and people at the first write that fails, and again when there is room", async () => {
    const world = watched();
    world.isFull = true;
    world.watch.complained("SQLITE_FULL");
    world.watch.complained("SQLITE_FULL");
    expect([world.watch.isWritable, world.told]).toEqual([false, [false]]);
    await world.pass(5_000);
    world.isFull = false;
    await world.pass(2_000);
    expect([world.watch.isWritable, world.told.at(-1)]).toEqual([true, true]);
    expect(world.lines).toEqual([
      expect.stringMatching(/^EDGE_STATE \/var\/lib\/edge cannot be written \(SQLITE_FULL\)/),
      "EDGE_STATE /var/lib/edge can be written again, after 6 s",
    ]);
    // Nothing is tried any more.
    expect(world.due).toEqual([]);
  });

  test("says it again every ten minutes, and not once a second", async () => {
    const world = watched();
    world.isFull = true;
    world.watch.complained("SQLITE_FULL");
    await world.pass(3_600_000);
    expect(world.lines).toHaveLength(6 + 1);
    expect(world.lines.at(-1)).toContain("ENOSPC");
  });

  test("of a disk that comes and goes says no more than two lines a minute", async () => {
    const world = watched();
    for (let second = 0; second < 600; second += 2) {
      world.watch.complained("SQLITE_IOERR");
      await world.pass(2_000);
    }
    expect(world.lines.length).toBeLessThanOrEqual(2 * 10);
    expect(world.watch.isWritable).toBe(true);
  });

  test("does not miss a write that fails as soon as the Worker may write again", async () => {
    const world = watched();
    let failsOnce = true;
    world.onTell = (isWritable) => {
      if (!isWritable || !failsOnce) return;
      failsOnce = false;
      world.watch.complained("SQLITE_FULL");
    };
    world.watch.complained("SQLITE_FULL");
    await world.pass(1_500);
    expect(world.watch.isWritable).toBe(false);
    expect(world.told).toEqual([false, true, false]);
    await world.pass(1_000);
    expect([world.watch.isWritable, world.told.at(-1)]).toEqual([true, true]);
    expect(world.lines).toHaveLength(2);
  });

  test("ends with its edge", async () => {
    const world = watched();
    world.isFull = true;
    world.watch.complained("SQLITE_FULL");
    world.watch.stop();
    await world.pass(10_000);
    expect([world.told, world.due]).toEqual([[false], []]);
  });
});

test("room is found out by writing, and nothing of it is left", async () => {
  const folder = await mkdtemp(join(tmpdir(), "heartcode-"));
  await tryToWrite(folder);
  expect(await readdir(folder)).toEqual([]);
  await rm(folder, { recursive: true });
  await expect(tryToWrite(folder)).rejects.toMatchObject({ code: "ENOENT" });
});
