// The configuration is replaced while requests are on their way (connector/engines.ts).
import { afterEach, beforeEach, expect, test } from "vitest";
import { Engines } from "../../connector/engines.ts";
import { Reader, TestEngine } from "./upstream/test-engine.ts";

const POOL = { model: "m", kind: "chat", slots: 1, queue: 4, affinity: false, fanOut: false } as const;
const TIMEOUTS = { connectMs: 1_000, firstByteMs: 1_000, wholeMs: 10_000, idleMs: 1_000, totalMs: 10_000 };
const QUIET = { info: () => {}, warn: () => {}, error: () => {} };

let engine: TestEngine;
beforeEach(async () => {
  engine = await TestEngine.start();
});
afterEach(() => engine.stop());

test("a request whose body is whole only after a reload is served by what is there then", async () => {
  const config = { pools: [{ ...POOL, upstreams: [engine.url] }], backend: undefined, timeouts: TIMEOUTS };
  const engines = new Engines(config, QUIET, () => {});
  const opened = engines.get("m")!;
  engines.apply({ ...config, pools: [{ ...config.pools[0]!, slots: 2 }] });
  const reader = new Reader();
  const request = { method: "POST", path: "/v1/chat/completions", headers: [], body: new Uint8Array(0) };
  opened.serve(
    { ...request, tier: "free", tenant: "t", deadline: Number.POSITIVE_INFINITY, isPlain: false },
    { ...handlerOf(reader), headers: () => undefined },
  );
  void engine.next().then((call) => call.answer());
  expect(await reader.outcome()).toBe("end");
  await engines.close();
});

function handlerOf(reader: Reader) {
  return {
    onStart: reader.onStart.bind(reader),
    onLost: () => {},
    onHead: reader.onHead.bind(reader),
    onData: reader.onData.bind(reader),
    onEnd: reader.onEnd.bind(reader),
    onFailure: reader.onFailure.bind(reader),
  };
}
