// What one engine is told at its start. Times in milliseconds.

export type EngineKind = "chat" | "embed";

/** What all engines of a fleet share. */
export interface Pace {
  readonly tokensPerSecond: number;
  readonly firstTokenMs: number;
  readonly embedMsPerInput: number;
  readonly loadMs: number;
  readonly slots: number;
  /** Tokens that fit into one slot: prompt and answer. */
  readonly context: number;
  readonly dimensions: number;
}

export interface EngineSettings extends Pace {
  readonly kind: EngineKind;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The model it says it serves; an answer echoes the model that was asked for. */
  readonly model: string;
}

export const DEFAULT_PACE: Pace = {
  tokensPerSecond: 50,
  firstTokenMs: 50,
  embedMsPerInput: 0,
  loadMs: 0,
  slots: 4,
  context: 8192,
  dimensions: 384,
};

/** 0 tokens a second means no wait at all. */
export function msPerToken({ tokensPerSecond }: Pick<Pace, "tokensPerSecond">): number {
  return tokensPerSecond === 0 ? 0 : 1000 / tokensPerSecond;
}
