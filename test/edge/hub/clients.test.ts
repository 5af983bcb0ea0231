// Whether clients are still there: those that leave while nobody looks, too.
import { expect, test } from "vitest";
import { Clients, LOOK_AFTER_MS } from "../../../edge/hub/clients.ts";
import { Exchange } from "../../../edge/hub/exchange.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { Client } from "../../support/world.ts";

function setUp() {
  const left: string[] = [];
  const due: { ms: number; work: () => void }[] = [];
  const clients = new Clients(
    ({ id }) => left.push(id),
    (ms, work) => due.push({ ms, work }),
  );
  const waits = (id: string) => {
    const gone = new AbortController();
    const request = {
      touched: 0,
      get signal() {
        this.touched += 1;
        return gone.signal;
      },
    };
    const exchange = new Exchange(id, "m", null, new Spool(), new Client(0, 0));
    clients.waits(exchange, request);
    return { gone, request, exchange };
  };
  return { left, due, waits };
}

test("a client that leaves at once is noticed at the first look, and one that leaves later at once", () => {
  const { left, due, waits } = setUp();
  const early = waits("early");
  const late = waits("late");
  waits("stays");
  early.gone.abort();
  expect(left).toEqual([]);
  expect(due.map(({ ms }) => ms)).toEqual([LOOK_AFTER_MS]);
  due.shift()!.work();
  expect(left).toEqual(["early"]);
  late.gone.abort();
  expect(left).toEqual(["early", "late"]);
});

test("the signal of an exchange that is over by then is never touched", () => {
  const { due, waits } = setUp();
  const short = waits("short");
  const long = waits("long");
  short.exchange.state = "over";
  due.shift()!.work();
  expect([short.request.touched, long.request.touched]).toEqual([0, 1]);
});

test("the next client after a look has a look of its own", () => {
  const { left, due, waits } = setUp();
  waits("first");
  due.shift()!.work();
  const second = waits("second");
  second.gone.abort();
  due.shift()!.work();
  expect(left).toEqual(["second"]);
  expect(due).toEqual([]);
});
