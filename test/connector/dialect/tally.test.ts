import { describe, expect, test } from "vitest";
import { Tally } from "../../../connector/dialect/tally.ts";

const tokens = (prompt: number, completion: number) => ({ prompt, completion });
const usage = (prompt_tokens: number, completion_tokens: number, source: "engine" | "counted") => {
  return { prompt_tokens, completion_tokens, source };
};

describe("a tally", () => {
  test("knows nothing before the first event", () => {
    expect(new Tally(9).usage()).toBeNull();
  });

  const rows: [name: string, play: (tally: Tally) => void, ReturnType<typeof usage>][] = [
    [
      "counts events with content where the engine says nothing",
      (tally) => {
        for (const has of [false, true, true]) tally.event(has);
      },
      usage(9, 2, "counted"),
    ],
    [
      "takes the latest word on a choice",
      (tally) => {
        tally.riding(0, tokens(40, 1));
        tally.riding(0, tokens(40, 2));
      },
      usage(40, 2, "engine"),
    ],
    [
      "sums choices and counts their prompt once",
      (tally) => {
        tally.riding(0, tokens(40, 5));
        tally.riding(1, tokens(40, 2));
        tally.riding(0, tokens(40, 6));
      },
      usage(40, 8, "engine"),
    ],
    [
      "sums chunks that close a choice each",
      (tally) => {
        tally.closing(tokens(40, 3));
        tally.closing(tokens(40, 4));
      },
      usage(40, 7, "engine"),
    ],
    [
      "believes the closing chunk more than what rode before it",
      (tally) => {
        tally.riding(0, tokens(40, 5));
        tally.riding(1, tokens(40, 4));
        tally.closing(tokens(40, 10));
      },
      usage(40, 10, "engine"),
    ],
    [
      "counts while one choice is closed and another runs on",
      (tally) => {
        for (let i = 0; i < 20; i++) tally.event(true);
        tally.closing(tokens(40, 3));
      },
      usage(40, 20, "counted"),
    ],
    [
      "believes the engine when all is over, also of fewer tokens than events",
      (tally) => {
        for (let i = 0; i < 20; i++) tally.event(true);
        tally.closing(tokens(40, 3));
        tally.over();
      },
      usage(40, 3, "engine"),
    ],
    [
      "stays within what the wire can carry",
      (tally) => {
        tally.closing(tokens(1e12, 1e12));
        tally.closing(tokens(1, 1e12));
      },
      usage(1e12, 1e12, "engine"),
    ],
    [
      "takes the latest word also on the last choice that it has room for",
      (tally) => {
        for (let i = 0; i < 256; i++) tally.riding(i, tokens(1, 1));
        tally.riding(255, tokens(1, 5));
      },
      usage(1, 260, "engine"),
    ],
    [
      "is not made to grow by choices without end",
      (tally) => {
        for (let i = 0; i < 10_000; i++) tally.riding(i, tokens(1, 1));
      },
      usage(1, 256, "engine"),
    ],
  ];
  test.each(rows)("%s", (_, play, expected) => {
    const tally = new Tally(9);
    tally.event(false);
    play(tally);
    expect(tally.usage()).toEqual(expected);
  });
});
