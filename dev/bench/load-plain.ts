// A closed loop of whole answers: what is asked of a generator, whichever it is.
import type { Size } from "./questions.ts";

export interface PlainLoad {
  readonly port: number;
  readonly path: string;
  readonly authorization: string | null;
  readonly body: string;
  readonly connections: number;
  readonly ms: number;
  readonly size: Size;
}
