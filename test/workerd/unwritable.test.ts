// A hub that cannot write, and an alarm of before that falls due: for the platform to delete it would be a write, and lose the hub.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";

interface Hub {
  readonly gate: object;
  alarm(): void;
}

test("an alarm fails while nothing can be written, so that it is tried again, and is over when something can", async () => {
  const stub = env.HUB.get(env.HUB.idFromName("unwritable"));
  await runInDurableObject(stub, (instance) => {
    const hub = instance as unknown as Hub;
    let isWritable = false;
    Object.defineProperty(hub.gate, "isWritable", { get: () => isWritable });
    expect(() => hub.alarm()).toThrow("nothing can be written");
    isWritable = true;
    expect(() => hub.alarm()).not.toThrow();
  });
});
