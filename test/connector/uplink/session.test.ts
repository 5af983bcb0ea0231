// What the connector's end of a socket says of its own accord.
import { expect, test } from "vitest";
import { Session } from "../../../connector/uplink/session.ts";
import { decode, encode } from "../../../shared/wire/codec.ts";
import { FrameType } from "../../../shared/wire/frames.ts";
import { jsonFrame } from "../../../shared/wire/messages.ts";

const pool = (healthy: number) => ({
  model: "m",
  kind: "chat" as const,
  upstreams: 1,
  healthy,
  slots: 1,
  in_flight: 0,
  queued: 0,
});
const WELCOME = jsonFrame(FrameType.WELCOME, 0, {
  version: 1,
  features: [],
  shard: 0,
  shards: 1,
  windows: { exchange: 0, socket: 1_000 },
  now: 1,
});

test.each([
  ["that changed while HELLO was under way is told behind WELCOME", 0, [[FrameType.HELLO], [FrameType.REPORT]]],
  ["that is as HELLO told it is not told again", 1, [[FrameType.HELLO]]],
])("a pool %s", (_what, healthy, said) => {
  const site = { pools: [pool(1)] };
  const { session, sent } = greeting(site, null);
  session.flush(() => true);
  site.pools = [pool(healthy)];
  session.report();
  session.receive(encode([WELCOME]));
  session.flush(() => true);
  expect(sent).toEqual(said);
});

test("a connector that leaves says so in the message of its HELLO", () => {
  const { session, sent } = greeting({ pools: [] }, 1.5);
  session.flush(() => true);
  session.receive(encode([WELCOME]));
  session.flush(() => true);
  expect(sent).toEqual([[FrameType.HELLO, FrameType.GOAWAY]]);
});

/** `sent`: the types of the frames of each message. */
function greeting(site: { readonly pools: ReturnType<typeof pool>[] }, leavesInMs: number | null) {
  const sent: number[][] = [];
  const nothing = () => {};
  const session = new Session({
    host: { pools: () => site.pools, unsettled: () => [], settled: nothing, open: () => null, resume: () => null },
    instance: "i",
    agent: "test",
    leavesInMs,
    send: (message) => sent.push([...decode(message)].map(({ type }) => type)),
    close: nothing,
    departures: { soon: nothing, later: nothing },
    onWelcome: nothing,
    onDrained: nothing,
    onGoAway: nothing,
  });
  return { session, sent };
}
