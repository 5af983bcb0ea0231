// One line of JSON a request, on the platform's log. Never a key, a prompt or an answer: what is not a field here is not logged.

export interface RequestLine {
  readonly request_id: string;
  readonly method: string;
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
  readonly bytes?: number | null;
}

export function logRequest(line: RequestLine): void {
  console.log(JSON.stringify({ level: line.status >= 500 ? "warn" : "info", msg: "request", ...line }));
}

/** A defect: what is told to nobody else. */
export function logDefect(requestId: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  console.error(JSON.stringify({ level: "error", msg: "defect", request_id: requestId, error: text }));
}
