// What systemd is told, and when.
import { describe, expect, test } from "vitest";
import { Announcer } from "../../../connector/ops/announcer.ts";
import { SILENT_AFTER_MS } from "../../../connector/ops/readiness.ts";
import { NOW, picture, pool, socket } from "./picture.ts";

const ready = (now = NOW, heardAt = now) =>
  picture({ now, sockets: [socket({ heard_at: heardAt }), socket({ shard: 1, heard_at: heardAt })] });
const cut = (now = NOW) =>
  picture({ now, sockets: [socket({ heard_at: now }), socket({ shard: 1, state: "dialling", heard_at: null })] });

describe("systemd is told", () => {
  test("READY once, and not before a request can be served", () => {
    const announcer = new Announcer(null);
    const told = [cut(), picture({ pools: [pool(["loading"])] }), ready(), cut(), ready()].map((one) =>
      announcer.next(one, one.now).filter((line) => line === "READY=1"),
    );
    expect(told).toEqual([[], [], ["READY=1"], [], []]);
  });

  test("STATUS when it changes and not otherwise", () => {
    const announcer = new Announcer(null);
    const told = [ready(), ready(), cut(), cut(), ready()].map((one) =>
      announcer.next(one, one.now).filter((line) => line.startsWith("STATUS=")),
    );
    expect(told.map((lines) => lines.map((line) => line.split(":")[0]))).toEqual([
      ["STATUS=ready"],
      [],
      ["STATUS=not ready"],
      [],
      ["STATUS=ready"],
    ]);
  });

  test("STOPPING once, with the first picture of a drain", () => {
    const announcer = new Announcer(null);
    announcer.next(ready(), NOW);
    const draining = picture({ draining: true });
    expect(announcer.next(draining, NOW)).toEqual(["STOPPING=1", expect.stringMatching(/^STATUS=draining: /)]);
    expect(announcer.next(draining, NOW)).toEqual([]);
  });

  test("never a line break inside a status", () => {
    const sockets = [socket({ state: "refused", trouble: "HTTP 401:\nREADY=1" })];
    expect(new Announcer(null).next(picture({ sockets }), NOW)).toEqual([expect.not.stringContaining("\n")]);
  });

  test("WATCHDOG three times in its period, for as long as the edge is heard", () => {
    const announcer = new Announcer(30_000);
    const feeds: number[] = [];
    const heardAt = NOW + 10_000;
    for (let now = NOW; now < NOW + 120_000; now += 500) {
      const isBack = now >= NOW + 80_000;
      const status = ready(now, isBack ? now : Math.min(now, heardAt));
      if (announcer.next(status, now).includes("WATCHDOG=1")) feeds.push(now - NOW);
    }
    expect(feeds).toEqual([0, 10_000, 20_000, 30_000, 80_000, 90_000, 100_000, 110_000]);
    expect(30_000).toBeLessThan(10_000 + SILENT_AFTER_MS);
  });

  test("WATCHDOG also where the clock is set back by an hour, or forward", () => {
    for (const leap of [-3_600_000, 3_600_000]) {
      const announcer = new Announcer(30_000);
      announcer.next(ready(), 500);
      const told = [9_000, 11_000].map((uptime) => announcer.next(ready(NOW + leap + uptime), uptime));
      expect(told).toEqual([[], ["WATCHDOG=1"]]);
    }
  });

  test("no WATCHDOG where none is asked for", () => {
    expect(new Announcer(null).next(ready(), NOW)).not.toContain("WATCHDOG=1");
  });
});
