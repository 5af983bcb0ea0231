import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Candidate, choose, SILENT_AFTER_MS } from "../../../edge/hub/roster.ts";
import { BACKEND } from "../../../shared/openai.ts";

const NOW = 1_000_000;

function candidate(
  changes: Partial<Candidate> & { load?: () => number; slots?: number; healthy?: number } = {},
): Candidate {
  const { slots = 4, healthy = 1, ...rest } = changes;
  return {
    welcomed: true,
    draining: false,
    suspect: false,
    isFull: false,
    heardAt: NOW,
    pools: [{ model: "m", kind: "chat", upstreams: 1, healthy, slots, in_flight: 0, queued: 0 }],
    load: () => 0,
    ...rest,
  };
}

describe("the roster", () => {
  const useless: [why: string, candidate: Candidate][] = [
    ["it was not welcomed", candidate({ welcomed: false })],
    ["it drains", candidate({ draining: true })],
    ["it missed an ACCEPT", candidate({ suspect: true })],
    ["nothing is left to grant on it", candidate({ isFull: true })],
    ["it was silent for 45 s", candidate({ heardAt: NOW - SILENT_AFTER_MS })],
    ["it serves another model", candidate({ pools: [] })],
    ["no upstream of the pool is healthy", candidate({ healthy: 0 })],
  ];
  test.each(useless)("leaves a socket alone if %s", (_why, one) => {
    expect(choose([one], "m", NOW, 0)).toBeUndefined();
    const good = candidate();
    expect(choose([one, good], "m", NOW, 0)).toBe(good);
  });

  test("asks the backend over any live socket, whatever its pools", () => {
    const bare = candidate({ pools: [] });
    expect(choose([bare], BACKEND, NOW, 0)).toBe(bare);
  });

  test("asks the backend over a full socket, too: one key's exchanges must not keep another from being known", () => {
    const full = candidate({ isFull: true });
    expect(choose([full], BACKEND, NOW, 0)).toBe(full);
  });

  test("takes the least loaded for its size", () => {
    const small = candidate({ slots: 2, load: () => 1 });
    const large = candidate({ slots: 16, load: () => 4 });
    expect(choose([small, large], "m", NOW, 0)).toBe(large);
  });

  test("goes round among equals", () => {
    const equals = [candidate(), candidate(), candidate()];
    expect([0, 1, 2, 3].map((turn) => equals.indexOf(choose(equals, "m", NOW, turn)!))).toEqual([0, 1, 2, 0]);
  });

  test("never takes one that is busier than another it could have taken", () => {
    const loads = fc.array(fc.record({ slots: fc.integer({ min: 1, max: 64 }), load: fc.nat(200) }), { minLength: 1 });
    fc.assert(
      fc.property(loads, fc.nat(), (rows, turn) => {
        const all = rows.map(({ slots, load }) => candidate({ slots, load: () => load }));
        const chosen = all.indexOf(choose(all, "m", NOW, turn)!);
        const share = ({ slots, load }: { slots: number; load: number }) => load / slots;
        expect(share(rows[chosen]!)).toBe(Math.min(...rows.map(share)));
      }),
    );
  });
});
