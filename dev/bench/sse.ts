// Counts the tokens of one chat stream and judges whether it was whole. Pure.

const CONTENT = '"content":"';
const QUOTE = 0x22;

export class StreamCheck {
  readonly #onToken: () => void;
  #rest = "";
  #tokens = 0;
  #finished = false;
  #done = false;
  #wrong: string | null = null;

  constructor(onToken: () => void) {
    this.#onToken = onToken;
  }

  get tokens(): number {
    return this.#tokens;
  }

  feed(piece: Buffer): void {
    // latin1 is one byte, one character: a token that is cut in half does no harm, and nothing here needs its text.
    const text = this.#rest + piece.toString("latin1");
    let at = 0;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n", at)) {
      this.#event(text.slice(at, end));
      at = end + 2;
    }
    this.#rest = text.slice(at);
  }

  /** What is wrong with the stream that has ended here, or null. */
  verdict(expectedTokens: number): string | null {
    if (this.#wrong !== null) return this.#wrong;
    if (this.#rest !== "") return "stream cut inside an event";
    if (!this.#done) return "stream without [DONE]";
    if (!this.#finished) return "stream without finish_reason";
    if (this.#tokens !== expectedTokens) return `stream of ${this.#tokens} tokens instead of ${expectedTokens}`;
    return null;
  }

  #event(event: string): void {
    if (!event.startsWith("data:")) return; // A comment that keeps the connection alive.
    if (this.#done) this.#wrong ??= "event after [DONE]";
    if (event === "data: [DONE]") {
      this.#done = true;
      return;
    }
    const content = event.indexOf(CONTENT);
    if (content >= 0 && event.charCodeAt(content + CONTENT.length) !== QUOTE) {
      this.#tokens++;
      this.#onToken();
    }
    if (event.includes('"finish_reason":"')) this.#finished = true;
    else if (content < 0 && event.includes('"error":')) this.#wrong ??= "error event";
  }
}
