// POST /v1/chat/completions and /v1/completions: generates what the plan says and answers as a stream or whole.
import { breakPlain, plain, refuse, reset, streamHead } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Parts } from "./parts.ts";
import { type Choice, type Dialect, type Plan, parseBody, readPlan } from "./plan.ts";
import { FILL, GROWS, pourWhole } from "./pour.ts";
import { type Ending, produce } from "./produce.ts";
import { QUOTED, tokensFrom, wordAt } from "./script.ts";
import { msPerToken } from "./settings.ts";
import * as shapes from "./shapes.ts";
import type { Seat } from "./slots.ts";

export async function generate(parts: Parts, exchange: Exchange, dialect: Dialect, body: string): Promise<void> {
  const { response } = exchange;
  const parsed = parseBody(body);
  if ("refusal" in parsed) return refuse(response, parsed.refusal);
  const plan = readPlan(dialect, parsed.value, parts.settings);
  if ("refusal" in plan) return refuse(response, plan.refusal);

  const seat = await parts.admit(exchange, plan.choices.length);
  if (seat === null) return;
  exchange.promptTokens = plan.promptTokens;
  const startedAt = performance.now();
  const firstAt = startedAt + parts.settings.firstTokenMs;
  await exchange.until(firstAt);
  if (exchange.gone) return;
  exchange.promptMs = performance.now() - startedAt;

  const run: Run = { parts, exchange, dialect, plan, seat, firstAt, stamp: stampOf(plan, parts.settings.model) };
  await (plan.stream ? stream(run) : whole(run));
}

interface Run {
  readonly parts: Parts;
  readonly exchange: Exchange;
  readonly dialect: Dialect;
  readonly plan: Plan;
  readonly seat: Seat;
  readonly firstAt: number;
  readonly stamp: shapes.Stamp;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function stampOf(plan: Plan, served: string): shapes.Stamp {
  let id = "chatcmpl-";
  for (let i = 0; i < 32; i++) id += ALPHABET[Math.floor(Math.random() * ALPHABET.length)];
  return { id, created: Math.floor(Date.now() / 1000), model: plan.model ?? served };
}

/** Counts tokens [from, to) of every choice, and shows them on the slots. */
function count({ parts, exchange, plan, seat }: Run, from: number, to: number): void {
  let tokens = 0;
  for (const choice of plan.choices) tokens += Math.max(0, Math.min(to, choice.count) - from);
  exchange.completionTokens += tokens;
  parts.account.completionTokens += tokens;
  seat.decoded = to;
}

function longest(plan: Plan): number {
  return plan.choices.reduce((most, choice) => Math.max(most, choice.count), 0);
}

function generateTokens(run: Run, sink: Parameters<typeof produce>[3]): Promise<Ending> {
  const pace = { firstAt: run.firstAt, msPerToken: msPerToken(run.parts.settings) };
  return produce(run.exchange, pace, longest(run.plan), sink);
}

function timings({ exchange, firstAt }: Run, choice: Choice): shapes.Timings {
  exchange.predictedMs = performance.now() - firstAt;
  return shapes.timingsOf(choice.promptTokens, exchange.promptMs, choice.count, exchange.predictedMs);
}

async function stream(run: Run): Promise<void> {
  const { exchange, dialect, plan, stamp } = run;
  const { response } = exchange;
  // The last choice speaks first: with n = 2 llama.cpp's index 1 was seen to overtake index 0, and it alone had a role.
  const speakers = plan.choices.toReversed().map((choice) => ({
    ...choice,
    frame: dialect === "chat" ? shapes.chatFrame(stamp, choice.index) : shapes.textFrame(stamp, choice.index),
  }));
  streamHead(response);
  let out = dialect === "chat" ? shapes.roleChunk(stamp, speakers[0]?.index ?? 0) : "";
  const take = () => {
    const taken = out;
    out = "";
    return taken;
  };
  const flush = () => out === "" || response.write(take());

  const ending = await generateTokens(run, {
    emit(from, to) {
      for (let place = from; place < to; place++) {
        for (const { seed, count: most, frame } of speakers) {
          if (place < most) out += frame.before + QUOTED[wordAt(seed, place)] + frame.after;
        }
      }
      count(run, from, to);
    },
    flush,
  });

  exchange.settle(ending === "complete" ? "complete" : ending === "gone" ? "cancelled" : "failed");
  switch (ending) {
    case "gone":
      return;
    case "complete": {
      const end = take() + plan.choices.map((choice) => last(run, choice)).join("") + shapes.DONE;
      if (exchange.faults().open_after_done !== true) return void response.end(end);
      response.write(end);
      while (!exchange.gone) await exchange.pause();
      return;
    }
    case "error":
      response.end(take() + shapes.errorEvent("simulated fault"));
      return;
    case "truncate": {
      // Held here because an ended response has let go of it.
      const { socket } = response;
      response.end(take(), () => socket?.end());
      return;
    }
    case "cut":
      flush();
      response.socket?.end();
      return;
    case "reset":
      flush();
      // After the event loop has handed over what was written.
      setImmediate(() => reset(response));
      return;
    default:
      ending satisfies never;
  }
}

/** The event or the two that end a choice. */
function last(run: Run, choice: Choice): string {
  const { dialect, plan, stamp } = run;
  const usage = shapes.usageOf(choice.promptTokens, choice.count);
  const measured = timings(run, choice);
  if (dialect === "completions") return shapes.textLast(stamp, choice.index, choice.finish, usage, measured);
  if (!plan.includeUsage) return shapes.chatLast(stamp, choice.index, choice.finish, measured);
  return shapes.chatLast(stamp, choice.index, choice.finish, null) + shapes.usageChunk(stamp, usage, measured);
}

async function whole(run: Run): Promise<void> {
  const { exchange, dialect, plan, stamp } = run;
  const { response } = exchange;
  const ending = await generateTokens(run, { emit: (from, to) => count(run, from, to), flush: null });
  if (ending === "gone") return;

  const { answer_bytes: bytes } = exchange.faults();
  const said = plan.choices.map(({ index, seed, count: most, finish }, place) => {
    const mark = bytes !== undefined && place === 0 ? GROWS : "";
    return { index, text: tokensFrom(seed, most).join("") + mark, finish };
  });
  // As llama.cpp merges them: the usage of several choices is that of the first one alone.
  const first = plan.choices[0];
  if (first === undefined) return;
  const usage = shapes.usageOf(first.promptTokens, first.count);
  const build = dialect === "chat" ? shapes.chatAnswer : shapes.textAnswer;
  const body = build(stamp, said, usage, timings(run, first));

  if (ending !== "complete") {
    exchange.settle("failed");
    return breakPlain(response, ending, body);
  }
  if (bytes !== undefined) return pourWhole(exchange, body, FILL.text, bytes);
  exchange.settle("complete");
  plain(response, body);
}
