// What workerd says of a disk that it cannot write, picked out of what it says: a line and a stack for each write that fails, and each
// costs a hub. It is not passed on; what it means is told once (disk-watch.ts). Pure.

/** workerd's own lines begin with the place in its sources, as no line of the Worker does (workerd 1.20261023). */
const COMPLAINT =
  /^(?:workerd|kj|capnp)\/[^ ]+: .*?(SQLITE_(?:FULL|READONLY|CANTOPEN|IOERR)|No space left on device|Disk quota exceeded|Read-only file system|Input\/output error)/;
const STACK = /^stack: /;
/** A line that is longer is passed on in parts. */
const LONGEST = 64 * 1024;

export interface Heard {
  /** What is to be passed on: whole lines. */
  readonly rest: string;
  /** SQLite's or the system's word for it; null: nothing of that kind. */
  readonly complaint: string | null;
}

/** The first complaint in all that a workerd has said which did not start. */
export function complaintIn(text: string): string | null {
  return text.split("\n").flatMap((line) => COMPLAINT.exec(line)?.[1] ?? [])[0] ?? null;
}

export class Complaints {
  #begun = "";
  #isStackNext = false;
  /** The beginning of this line was passed on: what follows stands at the beginning of none. */
  #isWithinLine = false;

  hear(text: string): Heard {
    const lines = (this.#begun + text).split("\n");
    this.#begun = lines.pop() ?? "";
    let rest = "";
    let complaint: string | null = null;
    for (const line of lines) {
      const word = this.#isWithinLine ? undefined : COMPLAINT.exec(line)?.[1];
      if (word !== undefined) complaint ??= word;
      else if (!(this.#isStackNext && STACK.test(line))) rest += `${line}\n`;
      this.#isStackNext = word !== undefined;
      this.#isWithinLine = false;
    }
    if (this.#begun.length > LONGEST) {
      rest += this.end();
      this.#isWithinLine = true;
    }
    return { rest, complaint };
  }

  /** What is left when nothing more comes. */
  end(): string {
    const begun = this.#begun;
    this.#begun = "";
    return begun;
  }
}
