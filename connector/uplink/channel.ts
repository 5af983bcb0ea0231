// One channel of a socket, as an exchange uses it: its frames go to the socket's outbox.
import { type Frame, FrameType } from "../../shared/wire/frames.ts";
import { acceptFrame, jsonFrame } from "../../shared/wire/messages.ts";
import type { Outbox } from "../../shared/wire/outbox.ts";
import type { Spool } from "../../shared/wire/spool.ts";
import type { Lane } from "../lane.ts";
import type { Departures } from "./departures.ts";

/** Told of what is ready to be sent. */
export type Ready = Pick<Departures, "soon" | "later">;

/** It ends with END or RESET, or with its socket. */
export class ChannelLane implements Lane {
  readonly channel: number;
  readonly #outbox: Outbox;
  readonly #departures: Ready;
  readonly #leave: () => void;
  readonly #limit: number;
  #answer: Spool | null = null;
  isOver = false;

  /** @param leave the channel is over. */
  constructor(channel: number, limit: number, outbox: Outbox, departures: Ready, leave: () => void) {
    this.channel = channel;
    this.#limit = limit;
    this.#outbox = outbox;
    this.#departures = departures;
    this.#leave = leave;
  }

  /** The hub gives it two seconds: an answer that comes at once brings it along, and one message does for both. */
  accept(): void {
    if (this.isOver) return;
    this.#outbox.later(acceptFrame(this.channel));
    this.#departures.later();
  }

  head(head: unknown): void {
    this.#say(jsonFrame(FrameType.HEAD, this.channel, head));
  }

  start(answer: Spool, from: number): void {
    if (this.isOver) return;
    this.#answer = answer;
    this.#outbox.open(this.channel, answer, from, this.#limit);
    this.#departures.soon();
  }

  wake(): void {
    if (this.isOver) return;
    this.#outbox.wake(this.channel);
    this.#departures.soon();
  }

  end(end: unknown): void {
    if (this.isOver) return;
    this.#outbox.finish(this.channel, jsonFrame(FrameType.END, this.channel, end));
    this.#departures.soon();
  }

  abandon(end: unknown): void {
    if (this.isOver) return;
    this.#outbox.drop(this.channel);
    this.#say(jsonFrame(FrameType.END, this.channel, end));
    this.#over();
  }

  refuse(reset: unknown): void {
    if (this.isOver) return;
    this.#outbox.drop(this.channel);
    this.#say(jsonFrame(FrameType.RESET, this.channel, reset));
    this.#over();
  }

  sent(): number {
    return this.#outbox.sentOn(this.channel) ?? this.#answer?.end ?? 0;
  }

  close(): void {
    if (this.isOver) return;
    this.#outbox.drop(this.channel);
    this.#over();
  }

  hasEnded(): boolean {
    return this.#answer !== null && this.#outbox.sentOn(this.channel) === undefined;
  }

  /** END has gone out. */
  release(): void {
    this.#over();
  }

  #over(): void {
    this.isOver = true;
    this.#leave();
  }

  #say(frame: Frame): void {
    if (this.isOver) return;
    this.#outbox.control(frame);
    this.#departures.soon();
  }
}
