// What becomes of a run when its socket, its hub or its client goes (shared/wire/spec.md §4, §7).
import { beforeEach, describe, expect, test } from "vitest";
import type { Exchange, Service } from "../../../connector/exchange/exchange.ts";
import { ExchangeTable, ORPHAN_MS, RETAINED_IN_ALL_BYTES } from "../../../connector/exchange/table.ts";
import type { Guest, Lane } from "../../../connector/lane.ts";
import type { Open, Reset } from "../../../shared/wire/messages.ts";

const OPEN: Open = {
  exchange: "x",
  attempt: 1,
  target: "m",
  method: "POST",
  path: "/",
  headers: [],
  length: 0,
  limit: 1_000,
  deadline_ms: 1_000,
  tier: "",
  tenant: "",
  dialect: null,
};

/** A lane that sends nothing and notes what it was told. */
function lane() {
  const told: string[] = [];
  const refusals: Reset[] = [];
  const note = (what: string) => () => {
    told.push(what);
  };
  const made: Lane = {
    accept: note("accept"),
    head: note("head"),
    start: note("start"),
    wake: note("wake"),
    end: note("end"),
    abandon: note("abandon"),
    close: note("close"),
    refuse: (reset) => {
      told.push("refuse");
      refusals.push(reset);
    },
    sent: () => 0,
  };
  return { made, told, refusals };
}

describe("an exchange of the table", () => {
  let now = 0;
  let aborts = 0;
  let resumes = 0;
  let bodies: number[][] = [];
  let running: Exchange;
  let table: ExchangeTable;
  beforeEach(() => {
    now = 0;
    aborts = 0;
    resumes = 0;
    bodies = [];
    const service: Service = {
      begin: (body) => void bodies.push([...body]),
      abort: () => {
        aborts += 1;
      },
      resume: () => {
        resumes += 1;
      },
      usage: () => null,
      timings: () => ({ queue_ms: 0, first_byte_ms: null, total_ms: 0 }),
    };
    table = new ExchangeTable({
      now: () => now,
      pools: () => [],
      serviceFor: (exchange) => {
        running = exchange;
        return service;
      },
    });
  });

  test("that is over but not sent leaves its lane when its client goes, and is not kept for ever", () => {
    const { made, told } = lane();
    const guest = table.open(OPEN, made)!;
    running.head(200, []);
    running.data(new Uint8Array(300_000));
    running.over("complete", null);
    guest.cancel("cancelled");
    expect(told).toContain("abandon");
    table.settled({ exchange: "x", attempt: null });
    now = ORPHAN_MS;
    table.tick(now);
    expect(table.retained).toBe(0);
  });

  test("whose first ACCEPT was not heard never was: no END", () => {
    const { made, told } = lane();
    table.open(OPEN, made)!.cancel("no_accept");
    expect([aborts, table.running, table.unsettled()]).toEqual([1, 0, []]);
    expect(told.at(-1)).toBe("close");
  });

  test.each([
    ["has begun to answer says what it has used", true, ["cancelled"]],
    ["has not begun is left to another connector: no END", false, []],
  ] as const)("that %s when its process is forced to stop", (_what, hasHead, outcomes) => {
    table.open(OPEN, lane().made);
    if (hasHead) running.head(200, []);
    table.cancelAll();
    expect([aborts, table.unsettled().map(({ outcome }) => outcome)]).toEqual([1, outcomes]);
  });

  test("that was over before its unheard ACCEPT was called back is left, and not sent for ever", () => {
    const { made, told } = lane();
    const guest = table.open(OPEN, made)!;
    running.head(200, []);
    running.data(new Uint8Array(300_000));
    running.over("complete", null);
    guest.cancel("no_accept");
    expect(told).toContain("close");
    // The hub may open it here once more: it answers with what it has.
    const again = lane();
    expect(table.open({ ...OPEN, attempt: 2 }, again.made)).not.toBeNull();
    expect(again.told).toContain("end");
  });

  test("that was over and called back is kept for 30 s", () => {
    const guest = table.open(OPEN, lane().made)!;
    running.head(200, []);
    running.data(new Uint8Array(300_000));
    running.over("complete", null);
    expect(table.undelivered).toBe(2);
    guest.cancel("no_accept");
    expect(table.undelivered).toBe(1);
    table.settled({ exchange: "x", attempt: null });
    expect(table.undelivered).toBe(0);
    now = ORPHAN_MS;
    table.tick(now);
    expect(table.retained).toBe(0);
  });

  test("whose resumed ACCEPT was not heard goes on, and can be resumed again", () => {
    table.open(OPEN, lane().made)!.detached();
    const again = table.resume({ exchange: "x", offset: 0, head: true, limit: 1_000 }, lane().made)!;
    again.cancel("no_accept");
    expect([aborts, table.running]).toEqual([0, 1]);
    expect(table.resume({ exchange: "x", offset: 0, head: true, limit: 1_000 }, lane().made)).not.toBeNull();
  });

  test("that nobody resumes is cancelled after 30 s, and its END kept until it is settled", () => {
    table.open(OPEN, lane().made)!.detached();
    table.tick(ORPHAN_MS - 1);
    expect(aborts).toBe(0);
    table.tick(ORPHAN_MS);
    expect(aborts).toBe(1);
    expect(table.unsettled()).toMatchObject([{ exchange: "x", outcome: "cancelled" }]);
    table.settled({ exchange: "x", attempt: null });
    expect(table.unsettled()).toEqual([]);
  });

  test("that is opened a second time answers the latest OPEN, also if it was over by then", () => {
    const first = lane();
    table.open(OPEN, first.made)!.detached();
    const second = lane();
    table.open({ ...OPEN, attempt: 2 }, second.made)!.detached();
    running.over("complete", null);
    expect(table.unsettled()).toEqual([expect.objectContaining({ exchange: "x", attempt: 2 })]);
    const third = lane();
    table.open({ ...OPEN, attempt: 3 }, third.made);
    expect(third.told).toContain("end");
    expect(table.unsettled()).toEqual([expect.objectContaining({ exchange: "x", attempt: 3 })]);
  });

  test("gives back the lease of the latest OPEN, and none where that had none", () => {
    const leaseOf = () => table.unsettled().map(({ attempt, lease }) => [attempt, lease]);
    table.open({ ...OPEN, lease: "first" }, lane().made)!.detached();
    running.over("complete", null);
    expect(leaseOf()).toEqual([[1, "first"]]);
    table.open({ ...OPEN, attempt: 51, lease: "second" }, lane().made)!.detached();
    expect(leaseOf()).toEqual([[51, "second"]]);
    // Late: it was sent before the one above.
    table.open({ ...OPEN, attempt: 2, lease: "late" }, lane().made)!.detached();
    expect(leaseOf()).toEqual([[51, "second"]]);
    table.open({ ...OPEN, attempt: 52 }, lane().made);
    expect(leaseOf()).toEqual([[52, undefined]]);
    expect(Object.keys(table.unsettled()[0]!)).not.toContain("lease");
  });

  test.each([
    ["an earlier attempt", 1, [2]],
    ["this attempt", 2, []],
    ["a later attempt", 3, []],
    ["no attempt, as an older hub says it", null, []],
  ])("that was over and is opened once more owes its END after SETTLED of %s as it should", (_what, attempt, owed) => {
    table.open(OPEN, lane().made);
    running.over("complete", null);
    table.open({ ...OPEN, attempt: 2 }, lane().made);
    table.settled({ exchange: "x", attempt });
    expect(table.unsettled().map((end) => end.attempt)).toEqual(owed);
  });

  test("that has finished is kept for 30 s from the loss of the socket that was to deliver it", () => {
    const guest = table.open(OPEN, lane().made)!;
    running.head(200, []);
    running.data(new Uint8Array(10));
    running.over("complete", null);
    now = ORPHAN_MS - 1;
    guest.detached();
    now += ORPHAN_MS - 1;
    table.tick(now);
    expect(table.resume({ exchange: "x", offset: 3, head: false, limit: 1_000 }, lane().made)).not.toBeNull();
  });

  test("that has finished is kept while a slow reader takes it, and for 30 s behind its last byte", () => {
    const guest = table.open(OPEN, lane().made)!;
    running.head(200, []);
    running.data(new Uint8Array(300_000));
    running.over("complete", null);
    now = 2 * ORPHAN_MS;
    table.tick(now);
    guest.drained(300_000);
    now += ORPHAN_MS - 1;
    table.tick(now);
    expect(table.retained).toBe(300_000);
    table.tick(now + 1);
    expect(table.retained).toBe(0);
  });

  test("whose body was cut is not resumed and never was: no END, and a later OPEN runs it anew", () => {
    table.open({ ...OPEN, length: 10 }, lane().made)!.detached();
    const { made, told } = lane();
    expect(table.resume({ exchange: "x", offset: 0, head: true, limit: 1_000 }, made)).toBeNull();
    expect([told, table.running, table.unsettled()]).toEqual([["refuse"], 0, []]);
    expect(table.open({ ...OPEN, attempt: 2 }, lane().made)).not.toBeNull();
  });

  test("whose body was cut takes it from its beginning when it is opened again, and no more than was announced", () => {
    const open = { ...OPEN, length: 3 };
    table.open(open, lane().made)!.body(Uint8Array.of(1, 2));
    const guest = table.open({ ...open, attempt: 2 }, lane().made)!;
    guest.body(Uint8Array.of(7));
    guest.body(Uint8Array.of(8, 9, 10, 11));
    guest.body(Uint8Array.of(12));
    expect(bodies).toEqual([[7, 8, 9]]);
  });

  test("that goes on on another lane leaves the one before, which has no say any more", () => {
    const first = lane();
    const second = lane();
    const stale = table.open({ ...OPEN, length: 1 }, first.made)!;
    const guest = table.open({ ...OPEN, length: 1, attempt: 2 }, second.made)!;
    expect(first.told.at(-1)).toBe("close");
    stale.body(Uint8Array.of(1));
    stale.cancel("cancelled");
    stale.detached();
    running.data(new Uint8Array(300_000));
    stale.drained(300_000);
    expect(running.heldAt).toBe(0);
    now = ORPHAN_MS;
    table.tick(now);
    expect([bodies, aborts, table.running]).toEqual([[], 0, 1]);
    guest.body(Uint8Array.of(2));
    expect(bodies).toEqual([[2]]);
  });

  test.each([true, false])("whose reader wants its head (%s) is told it so", (head) => {
    table.open(OPEN, lane().made)!.detached();
    running.head(200, []);
    const { made, told } = lane();
    table.resume({ exchange: "x", offset: 0, head, limit: 1_000 }, made);
    expect(told.includes("head")).toBe(head);
  });

  test("whose client has gone is not resumed, whatever of its answer is kept", () => {
    const guest = table.open(OPEN, lane().made)!;
    running.head(200, []);
    running.data(new Uint8Array(10));
    guest.cancel("cancelled");
    const { made, told } = lane();
    expect(table.resume({ exchange: "x", offset: 0, head: true, limit: 1_000 }, made)).toBeNull();
    expect(told).toEqual(["refuse"]);
  });

  test("tells its reader of more, and reads its engine no further than 256 KiB ahead of him", () => {
    const { made, told } = lane();
    const guest = table.open(OPEN, made)!;
    running.head(200, []);
    told.length = 0;
    expect([running.data(new Uint8Array(256 * 1024)), running.data(new Uint8Array(1))]).toEqual([true, false]);
    expect(told).toEqual(["wake", "wake"]);
    expect([running.heldAt, resumes]).toEqual([0, 0]);
    guest.drained(1);
    expect([running.heldAt, resumes]).toEqual([null, 1]);
  });

  test("shows of its answer what is kept, and nothing beyond its end", () => {
    const guest = table.open(OPEN, lane().made)!;
    running.head(200, []);
    running.data(new Uint8Array(1024 * 1024).fill(1));
    running.data(Uint8Array.of(2, 3));
    guest.drained(1024 * 1024 + 2);
    const { start, end } = running.answer;
    expect([start, end]).toEqual([2, 1024 * 1024 + 2]);
    expect([...running.answerBytes(end - 2, end + 9)]).toEqual([2, 3]);
    expect([...running.answerBytes(0, 4)]).toEqual([1, 1]);
    expect([...running.answerBytes(0, 1)]).toEqual([]);
  });

  test("that was given up and is opened after all runs anew", () => {
    table.open(OPEN, lane().made)!.detached();
    now = ORPHAN_MS;
    table.tick(now);
    const first = running;
    const { made, told } = lane();
    expect(table.open({ ...OPEN, attempt: 2 }, made)).not.toBeNull();
    expect([told.includes("refuse"), running === first, table.running]).toEqual([false, false, 1]);
  });

  test.each(["resumed", "opened again"] as const)("that is %s is not given up later", (how) => {
    table.open(OPEN, lane().made)!.detached();
    now = ORPHAN_MS - 1;
    if (how === "resumed") table.resume({ exchange: "x", offset: 0, head: true, limit: 1_000 }, lane().made);
    else table.open({ ...OPEN, attempt: 2 }, lane().made);
    now += ORPHAN_MS;
    table.tick(now);
    expect([aborts, table.running, table.resumed, table.lost]).toEqual([0, 1, how === "resumed" ? 1 : 0, 0]);
  });

  test("whose next byte is not kept is given up, and counted", () => {
    table.open(OPEN, lane().made)!.detached();
    const { made, refusals } = lane();
    expect(table.resume({ exchange: "x", offset: 1, head: true, limit: 1_000 }, made)).toBeNull();
    expect(refusals).toEqual([{ code: "unknown_exchange", retryable: false }]);
    expect([aborts, table.resumed, table.lost]).toEqual([1, 0, 1]);
  });

  test("that nothing here serves may be served elsewhere", () => {
    const nobody = new ExchangeTable({ now: () => now, pools: () => [], serviceFor: () => null });
    const { made, refusals } = lane();
    expect(nobody.open(OPEN, made)).toBeNull();
    expect(refusals).toEqual([{ code: "model_unavailable", retryable: true }]);
    expect(nobody.running).toBe(0);
  });

  describe("and the bodies that are held at once", () => {
    const MOST = 16 * 1024 * 1024;
    const open = (exchange: string, length = MOST) => {
      const { made, refusals } = lane();
      const guest = table.open({ ...OPEN, exchange, length }, made);
      return { guest, refused: refusals[0]?.code ?? null };
    };

    test("are bounded one by one", () => {
      expect([open("x", MOST).refused, open("y", MOST + 1).refused]).toEqual([null, "request_too_large"]);
    });

    test.each([
      ["ends", () => running.over("complete", null)],
      ["is withdrawn", (guest: Guest) => guest.cancel("no_accept")],
    ])("are bounded together, until one of them %s", (_how, leave) => {
      const guests = Array.from({ length: 16 }, (_, i) => open(`${i}`).guest!);
      expect(open("more", 1).refused).toBe("queue_full");
      leave(guests.at(-1)!);
      expect([open("other").refused, open("more", 1).refused]).toEqual([null, "queue_full"]);
    });
  });

  describe("and what all of them keep together", () => {
    const MB = 1024 * 1024;

    /** Answers with a megabyte, all of which goes out. */
    function answer(id: string, isOver: boolean): Guest {
      const guest = table.open({ ...OPEN, exchange: id }, lane().made)!;
      running.head(200, []);
      for (let sent = 0; sent < MB; sent += MB / 8) {
        running.data(new Uint8Array(MB / 8));
        guest.drained(sent + MB / 8);
      }
      if (isOver) running.over("complete", null);
      return guest;
    }

    const isKept = (exchange: string, offset: number) =>
      table.resume({ exchange, offset, head: false, limit: 2 * MB }, lane().made) !== null;

    test("is bounded: finished answers go first, the oldest before the others", () => {
      for (let i = 0; i < 60; i += 1) answer(`finished-${i}`, true);
      for (let i = 0; i < 88; i += 1) answer(`running-${i}`, false);
      expect(table.retained).toBeLessThanOrEqual(RETAINED_IN_ALL_BYTES);
      expect([isKept("finished-0", MB), isKept("finished-59", MB)]).toEqual([false, true]);
      expect(isKept("running-0", 0)).toBe(true);
    });

    test("is 64 MiB of finished answers at most, the latest", () => {
      for (let i = 0; i < 130; i += 1) answer(`finished-${i}`, true).detached();
      expect(table.retained).toBe(64 * MB);
      expect([isKept("finished-65", MB), isKept("finished-66", MB)]).toEqual([false, true]);
    });

    test("is 4,096 finished answers at most, however short", () => {
      for (let i = 0; i <= 4_096; i += 1) {
        table.open({ ...OPEN, exchange: `${i}` }, lane().made);
        running.over("complete", null);
      }
      expect([isKept("0", 0), isKept("1", 0)]).toEqual([false, true]);
    });

    test("is bounded also while all of them run: each goes on from what its hub may have", () => {
      for (let i = 0; i < 200; i += 1) answer(`running-${i}`, false);
      expect(table.retained).toBeLessThanOrEqual(RETAINED_IN_ALL_BYTES);
      expect([isKept("running-0", MB - 256 * 1024), isKept("running-0", 0)]).toEqual([true, false]);
    });
  });
});
