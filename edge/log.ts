// One line of JSON a request, on the platform's log. Never a key, a prompt or an answer: what is not a field here is not logged.

export interface RequestLine {
  readonly request_id: string;
  readonly method: string;
  /** The route; nothing of what a client may write into a path. */
  readonly path: string;
  readonly status: number;
  /** Row of the error table, or null. */
  readonly code: string | null;
  /** The beginning of the key's digest. */
  readonly tenant?: string | null;
  readonly tier?: string | null;
  /** As the client named it. */
  readonly model?: string | null;
  readonly outcome?: string | null;
  readonly gate_ms?: number | null;
  readonly queue_ms?: number | null;
  readonly first_byte_ms?: number | null;
  readonly total_ms?: number | null;
  readonly prompt_tokens?: number | null;
  readonly completion_tokens?: number | null;
  /** `engine` or `counted`; null: nobody has said. */
  readonly usage_source?: string | null;
  /** Tokens that the key has paid; null: not known yet, and another line will tell it. */
  readonly charged?: number | null;
  readonly bytes?: number | null;
}

/** What an exchange has cost, where its own line could not tell it. */
export interface SettledLine {
  readonly request_id: string;
  readonly charged: number;
  /** END's word; `unserved`, `expired`: there was none. */
  readonly outcome: string;
  /** Since its admission, where that is known. */
  readonly total_ms?: number;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly usage_source: string | null;
}

export function newRequestId(): string {
  return `req_${crypto.randomUUID().replaceAll("-", "")}`;
}

export function logRequest(line: RequestLine): void {
  console.log(JSON.stringify({ level: line.status >= 500 ? "warn" : "info", msg: "request", ...line }));
}

export function logSettled(line: SettledLine): void {
  console.log(JSON.stringify({ level: "info", msg: "settled", ...line }));
}

/** A defect: what is told to nobody else. */
export function logDefect(requestId: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.error(JSON.stringify({ level: "error", msg: "defect", request_id: requestId, error: text }));
}
