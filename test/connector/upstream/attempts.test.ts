// What whoever sends a request hears of its single attempts, and may say of them.
import { expect, test } from "vitest";
import type { HeaderPairs } from "../../../shared/headers.ts";
import { poolOf } from "./pool-fixture.ts";
import { Reader } from "./test-engine.ts";

class Traced extends Reader {
  readonly lost: string[] = [];

  headers(): HeaderPairs {
    return [["traceparent", `attempt-${this.starts.length}`]];
  }

  onLost(reason: string): void {
    this.lost.push(reason);
  }
}

test("each attempt has its own headers, over those of the client, and says how it was lost", async () => {
  const fixture = await poolOf(2);
  const reader = new Traced();
  fixture.serve(
    {
      headers: [
        ["Traceparent", "the client's"],
        ["accept", "text/event-stream"],
      ],
    },
    reader,
  );
  const first = await fixture.engines[0]!.next();
  expect(first.request.headers).toMatchObject({ traceparent: "attempt-1", accept: "text/event-stream" });
  first.response.writeHead(503).end();
  const second = await fixture.engines[1]!.next();
  expect(second.request.headers).toMatchObject({ traceparent: "attempt-2", accept: "text/event-stream" });
  second.response.end("answer");
  expect(await reader.outcome()).toBe("end");
  expect(reader.lost).toEqual(["refused"]);
});

test("without headers of its own an attempt has those of the client", async () => {
  const fixture = await poolOf(1);
  const { reader } = fixture.serve({ headers: [["traceparent", "the client's"]] });
  const call = await fixture.engines[0]!.next();
  expect(call.request.headers.traceparent).toBe("the client's");
  call.response.end();
  expect(await reader.outcome()).toBe("end");
});
