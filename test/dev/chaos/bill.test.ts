// What chaos says of a cost: each lie that a gate, a hub or a connector could tell is found.
import { describe, expect, test } from "vitest";
import { type Happened, type LedgerRow, type Manner, settle } from "../../../dev/chaos/bill.ts";
import type { Outcome } from "../../../dev/chaos/client.ts";
import { type Bill, EdgeLines } from "../../../dev/chaos/lines.ts";
import type { FaultKind } from "../../../dev/chaos/schedule.ts";
import { reckon } from "../../../dev/chaos/verdict.ts";

const question = {
  path: "/",
  key: "",
  body: "",
  stream: true,
  leaveAfterBytes: null,
  text: "",
  cost: { prompt: 3, completion: 7 },
  most: 20,
};
const seen = (kind: Outcome["kind"], pieces = 0): Outcome => ({
  question,
  startedAt: 1_000,
  endedAt: 2_000,
  kind,
  detail: "",
  id: "a",
  pieces,
});
const bill = (charged: number, more: Partial<Bill> = {}): Bill => ({
  charged,
  completion: charged - 3,
  source: "engine",
  outcome: "complete",
  atMs: 2_000,
  ...more,
});
const counted = (tokens: number) => bill(tokens, { source: "counted", completion: tokens, outcome: "cancelled" });
const silent = (charged: number) => bill(charged, { source: null, completion: null, outcome: "failed" });
const unserved = bill(0, { source: null, completion: null, outcome: "unserved" });
const expired = (charged: number) =>
  bill(charged, { source: null, completion: null, outcome: "expired", atMs: 62_000 });
const row = (prompt: number, completion: number, outcome = "complete"): LedgerRow => ({
  request_id: "a",
  prompt_tokens: prompt,
  completion_tokens: completion,
  outcome,
});
const during = (kind: FaultKind): Happened[] => [{ kind, from: 1_500, to: 1_600 }];
const account = (bills: Bill[], ends = 1) => ({ id: "a", from: 1_000, to: 2_000, ends, bills });

interface Row {
  readonly name: string;
  readonly bills: Bill[];
  readonly rows: LedgerRow[];
  readonly outcome: Outcome | null;
  readonly fault?: FaultKind;
  readonly ends?: number;
  readonly manner: Manner;
  readonly isRight: boolean;
}

const WHOLE = [row(3, 7)];
const cases: Row[] = [
  { name: "a whole answer", bills: [bill(10)], rows: WHOLE, outcome: seen("whole"), manner: "exact", isRight: true },
  {
    name: "that moved",
    bills: [bill(10)],
    rows: [row(3, 7), row(3, 2, "cancelled")],
    outcome: seen("whole"),
    manner: "exact",
    isRight: true,
  },
  {
    name: "that was made in parts",
    bills: [bill(10)],
    rows: [row(6, 0), row(4, 0), row(4, 0)],
    outcome: seen("whole"),
    manner: "exact",
    isRight: true,
  },
  {
    name: "that cost too little",
    bills: [bill(9)],
    rows: [row(3, 6), row(3, 7)],
    outcome: seen("whole"),
    manner: "exact",
    isRight: false,
  },
  {
    name: "that cost twice as much",
    bills: [bill(20)],
    rows: [row(3, 7), row(3, 7)],
    outcome: seen("whole"),
    manner: "exact",
    isRight: false,
  },
  {
    name: "that no engine has run",
    bills: [bill(10)],
    rows: [row(3, 7, "cancelled")],
    outcome: seen("whole"),
    manner: "exact",
    isRight: false,
  },
  { name: "that nobody settled", bills: [], rows: WHOLE, outcome: seen("whole"), manner: "nothing", isRight: false },
  {
    name: "that was forfeited for nothing",
    bills: [expired(10)],
    rows: WHOLE,
    outcome: seen("whole"),
    fault: "uplink RST",
    manner: "forfeited",
    isRight: false,
  },
  {
    name: "whose connector was killed",
    bills: [expired(10)],
    rows: WHOLE,
    outcome: seen("broken"),
    fault: "connector killed",
    manner: "forfeited",
    isRight: true,
  },
  {
    name: "for which more was forfeited than reserved",
    bills: [expired(21)],
    rows: WHOLE,
    outcome: seen("broken"),
    fault: "connector killed",
    manner: "forfeited",
    isRight: false,
  },
  {
    name: "that a lost hub had let in for nobody",
    bills: [expired(0)],
    rows: [],
    outcome: null,
    fault: "hub reset",
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that was sent on a socket that was lost",
    bills: [expired(0)],
    rows: [],
    outcome: seen("refused"),
    fault: "uplink RST",
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that nobody ran although neither hub nor socket was lost",
    bills: [expired(0)],
    rows: [],
    outcome: null,
    fault: "connector drain",
    manner: "forfeited",
    isRight: false,
  },
  {
    name: "that was run for nothing",
    bills: [expired(0)],
    rows: WHOLE,
    outcome: null,
    fault: "hub reset",
    manner: "forfeited",
    isRight: false,
  },
  {
    name: "that was given up on a silent socket, and withdrawn from its engine",
    bills: [expired(0)],
    rows: [row(3, 2, "cancelled")],
    outcome: seen("refused"),
    fault: "uplink stall",
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that cost nothing, and had begun",
    bills: [expired(0)],
    rows: [row(3, 4, "cancelled")],
    outcome: seen("broken", 4),
    fault: "connector killed",
    manner: "nothing",
    isRight: false,
  },
  {
    name: "that was given up on a silent socket, and has run to its end",
    bills: [expired(0)],
    rows: [row(3, 7)],
    outcome: seen("refused"),
    fault: "uplink stall",
    manner: "forfeited",
    isRight: false,
  },
  {
    name: "that nobody took again behind a lost hub, and that had run",
    bills: [unserved, bill(10)],
    rows: [row(3, 7)],
    outcome: seen("refused"),
    fault: "hub reset",
    manner: "exact",
    isRight: true,
  },
  {
    name: "that nobody took, and that had run all the same",
    bills: [unserved, bill(10)],
    rows: [row(3, 7)],
    outcome: seen("refused"),
    manner: "exact",
    isRight: false,
  },
  {
    name: "that was settled twice",
    bills: [bill(10), bill(10)],
    rows: WHOLE,
    outcome: seen("whole"),
    manner: "exact",
    isRight: false,
  },
  {
    name: "that was settled twice, as its hub was lost",
    bills: [bill(10), bill(10)],
    rows: WHOLE,
    outcome: seen("whole"),
    fault: "hub reset",
    manner: "exact",
    isRight: true,
  },
  {
    name: "that had two prices",
    bills: [bill(9), bill(10)],
    rows: WHOLE,
    outcome: seen("whole"),
    fault: "hub reset",
    manner: "exact",
    isRight: false,
  },
  {
    name: "that ended twice",
    bills: [bill(10)],
    rows: WHOLE,
    outcome: seen("whole"),
    ends: 2,
    manner: "exact",
    isRight: false,
  },
  {
    name: "that the client left",
    bills: [counted(4)],
    rows: [row(3, 5, "cancelled")],
    outcome: seen("left", 4),
    manner: "cut short",
    isRight: true,
  },
  {
    name: "of which the client saw more",
    bills: [counted(3)],
    rows: [row(3, 5, "cancelled")],
    outcome: seen("left", 4),
    manner: "cut short",
    isRight: false,
  },
  {
    name: "of which no engine made so much",
    bills: [counted(6)],
    rows: [row(3, 5, "cancelled")],
    outcome: seen("left", 4),
    manner: "cut short",
    isRight: false,
  },
  {
    name: "that nobody had",
    bills: [unserved],
    rows: [],
    outcome: seen("refused"),
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that nobody had, after an engine refused it",
    bills: [unserved],
    rows: [row(0, 0, "failed")],
    outcome: seen("refused"),
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that nobody had, and an engine ran",
    bills: [unserved],
    rows: WHOLE,
    outcome: seen("refused"),
    fault: "uplink RST",
    manner: "nothing",
    isRight: false,
  },
  {
    name: "that nobody had, and an engine ran for a hub that was lost",
    bills: [unserved],
    rows: WHOLE,
    outcome: seen("refused"),
    fault: "hub reset",
    manner: "nothing",
    isRight: false,
  },
  {
    name: "that nobody had any more, as the connector that ran it was killed",
    bills: [unserved],
    rows: WHOLE,
    outcome: seen("refused"),
    fault: "connector killed",
    manner: "nothing",
    isRight: true,
  },
  {
    name: "that failed before it began",
    bills: [silent(0)],
    rows: [row(0, 0, "failed")],
    outcome: seen("refused"),
    manner: "nothing",
    isRight: true,
  },
  {
    name: "of which something was seen for nothing",
    bills: [silent(0)],
    rows: [row(3, 1, "failed")],
    outcome: seen("broken", 1),
    manner: "nothing",
    isRight: false,
  },
  {
    name: "that was paid for although nothing is known",
    bills: [silent(9)],
    rows: [],
    outcome: null,
    manner: "nothing",
    isRight: false,
  },
];

describe("a lease that ran out, and whose client never knew its id,", () => {
  const STARTED_MS = 70_000;
  const EXPIRED_MS = 131_000;
  const line = { msg: "settled", request_id: "a", charged: 10, outcome: "expired", total_ms: EXPIRED_MS - STARTED_MS };
  const lines = new EdgeLines(() => EXPIRED_MS);
  lines.feed(`${JSON.stringify({ level: "info", ...line })}\n`);
  test.each([
    ["is forfeited, as its connector was killed long before", "connector killed", STARTED_MS + 500, true],
    ["is a violation, as the connector was killed before it began", "connector killed", STARTED_MS - 500, false],
    ["is a violation, as the connector that had it was only drained", "connector drain", STARTED_MS + 500, false],
  ] as const)("%s", (_, kind, at, isRight) => {
    const happened = [{ kind, from: at, to: at }];
    const settled = settle({ account: lines.accounts.get("a")!, rows: WHOLE, outcome: null, happened });
    expect(settled).toMatchObject({ manner: "forfeited", problem: isRight ? null : expect.any(String) });
  });
});

describe("an answer", () => {
  test.each(cases)("$name: $isRight", ({ bills, rows, outcome, fault, ends = 1, manner, isRight }) => {
    const happened = fault === undefined ? [] : during(fault);
    const settled = settle({ account: account(bills, ends), rows, outcome, happened });
    expect(settled.manner).toBe(manner);
    expect(settled.problem === null, settled.problem ?? "").toBe(isRight);
  });
});

test("what was run or answered, and has no line, is found", () => {
  const accounts = new Map([["a", account([bill(10)])]]);
  const rows = [row(3, 7), { ...row(1, 1), request_id: "b" }];
  const outcomes = [seen("whole"), { ...seen("whole"), id: "c" }];
  const { charged, worked, problems } = reckon(accounts, rows, outcomes, []);
  expect({ charged, worked }).toEqual({ charged: 10, worked: 10 });
  expect(problems.map((problem) => problem.slice(0, 1))).toEqual(["c", "b"]);
});

test("lines are read however they are cut, and behind half a line of a process that was killed", () => {
  const lines = new EdgeLines(() => 5_000);
  const request = {
    level: "info",
    msg: "request",
    request_id: "a",
    charged: null,
    outcome: "cancelled",
    total_ms: 900,
  };
  const settled = {
    level: "info",
    msg: "settled",
    request_id: "a",
    charged: 4,
    outcome: "cancelled",
    completion_tokens: 4,
    usage_source: "counted",
  };
  const text = `edge listening\n${JSON.stringify(request)}\n{"level":"info","msg":"req${JSON.stringify(settled)}\n{"level":"warn","request_id":"denied"}\n`;
  for (const piece of text.match(/.{1,7}/gs) ?? []) lines.feed(piece);
  const told = { charged: 4, completion: 4, source: "counted", outcome: "cancelled", atMs: 5_000 };
  expect([...lines.accounts.values()]).toEqual([{ id: "a", from: 4_100, to: 5_000, ends: 1, bills: [told] }]);
});
