// Both ends of the wire under random interleavings, stalls, cuts and resets (spec.md §4 to §7).
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HostileWorld } from "../../support/hostile.ts";
import { play, type Step, World } from "../../support/world.ts";

const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(19), fc.nat(50), fc.nat(1_000_000));
const steps = fc.array(step, { maxLength: 300, size: "max" });

describe("two ends", () => {
  test("deliver every answer whole, whatever the order of events", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (script, sites) => {
        const world = new World(sites);
        play(world, script, false);
        world.heal();
        const failed = world.clients.filter((client) => client.ended === "failed");
        if (!world.disturbed) expect(failed.map((client) => client.failure)).toEqual([]);
      }),
      { numRuns: Number(process.env["FUZZ_RUNS"] ?? 60) },
    );
  }, 60_000);

  test("never deliver a wrong byte, end twice or leave anything behind when sockets and hubs are lost", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (script, sites) => {
        const world = new World(sites);
        play(world, script, true);
        world.heal();
        for (const client of world.clients) expect(client.ended).not.toBeNull();
      }),
      { numRuns: Number(process.env["FUZZ_RUNS"] ?? 60) },
    );
  }, 60_000);

  test("answer hostile frames with a close code, and nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 31), { minLength: 300, maxLength: 300 }), (numbers) => {
        let at = 0;
        const world = new HostileWorld();
        for (let i = 0; i < 10; i += 1) {
          world.attack((below) => {
            at += 1;
            return numbers[at % numbers.length]! % below;
          });
        }
      }),
      { numRuns: Number(process.env["FUZZ_RUNS"] ?? 100) },
    );
  }, 60_000);
});
