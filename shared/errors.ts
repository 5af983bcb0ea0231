// The one table of what a client is told when something is wrong, and the one error type that carries a row of it.
// Body and classes follow the OpenAI error reference: {"error":{"message","type","param","code"}}.

export interface ErrorRow {
  readonly status: number;
  /** OpenAI's `type`. */
  readonly type: string;
  /** What the client reads where the thrower says nothing better. */
  readonly message: string;
  /** Where a client may come back and no exact time is known. Milliseconds. */
  readonly retryAfterMs?: number;
  /** `false` tells the SDKs that a retry is useless; they would otherwise repeat every 429 and 5xx. */
  readonly shouldRetry?: false;
}

const table = {
  invalid_api_key: {
    status: 401,
    type: "invalid_request_error",
    message: "Incorrect API key provided.",
  },
  age_verification_required: {
    status: 403,
    type: "permission_error",
    message: "This model is only available to age-verified accounts.",
  },
  auth_unavailable: {
    status: 503,
    type: "server_error",
    message: "The API key could not be verified right now. It was not rejected; try again.",
    retryAfterMs: 2_000,
  },
  auth_timeout: {
    status: 504,
    type: "server_error",
    message: "Verifying the API key took too long. It was not rejected; try again.",
    retryAfterMs: 2_000,
  },
  model_not_found: {
    status: 404,
    type: "invalid_request_error",
    message: "The model does not exist or you do not have access to it.",
  },
  model_unavailable: {
    status: 503,
    type: "server_error",
    message: "The model is temporarily unavailable.",
    retryAfterMs: 2_000,
  },
  queue_full: {
    status: 503,
    type: "server_error",
    message: "The model is at capacity.",
    retryAfterMs: 2_000,
  },
  rate_limit_exceeded: {
    status: 429,
    type: "requests",
    message: "Rate limit reached.",
  },
  daily_token_limit_exceeded: {
    status: 429,
    type: "tokens",
    message: "Daily token limit reached.",
    shouldRetry: false,
  },
  request_too_large: {
    status: 413,
    type: "invalid_request_error",
    message: "The request is too large.",
    shouldRetry: false,
  },
  invalid_request: {
    status: 400,
    type: "invalid_request_error",
    message: "The request is invalid.",
  },
  not_found: {
    status: 404,
    type: "invalid_request_error",
    message: "There is nothing at this address.",
  },
  method_not_allowed: {
    status: 405,
    type: "invalid_request_error",
    message: "This method is not allowed here.",
  },
  unsupported_media_type: {
    status: 415,
    type: "invalid_request_error",
    message: "Content-Type must be application/json.",
  },
  upstream_error: {
    status: 502,
    type: "server_error",
    message: "The model server failed before it answered.",
  },
  upstream_timeout: {
    status: 504,
    type: "server_error",
    message: "The model server did not answer in time.",
    // An engine was held for all of that time, for minutes as a rule: an SDK would have two more held by itself.
    shouldRetry: false,
  },
  stream_interrupted: {
    status: 502,
    type: "server_error",
    message: "The answer was interrupted and could not be resumed.",
  },
  internal_error: {
    status: 500,
    type: "server_error",
    message: "Something went wrong on our side.",
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof table;
export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = table;

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(table, code);
}

/** What of a failure may be told to a client. Everything here crosses processes as JSON. */
export interface PublicFailure {
  readonly code: ErrorCode;
  readonly message?: string | undefined;
  /** The request field that is at fault. */
  readonly param?: string | undefined;
  /** Overrides the row: the status of an engine's own 4xx, 429 for a token request that can never fit. */
  readonly status?: number | undefined;
  /** Overrides the row: `tokens` where TPM and not RPM was the limit. */
  readonly type?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly shouldRetry?: boolean | undefined;
  /** More headers of the answer: how the caller stands with its limits. */
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
}

/**
 * The only error that is thrown on purpose. `detail` and `cause` are for the log and never leave the process;
 * the rest is what the client sees.
 */
export class Failure extends Error {
  readonly public: PublicFailure;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, given: Omit<PublicFailure, "code"> & { detail?: string; cause?: unknown } = {}) {
    const { detail, cause, ...rest } = given;
    super(detail ?? rest.message ?? ERRORS[code].message, cause === undefined ? undefined : { cause });
    this.name = "Failure";
    this.public = { code, ...rest };
    this.detail = detail;
  }

  get code(): ErrorCode {
    return this.public.code;
  }
}

/** OpenAI's error object; also the payload of an SSE error event. */
export function errorBody(failure: PublicFailure): {
  error: { message: string; type: string; param: string | null; code: string };
} {
  const row = ERRORS[failure.code];
  return {
    error: {
      message: failure.message ?? row.message,
      type: failure.type ?? row.type,
      param: failure.param ?? null,
      code: failure.code,
    },
  };
}

/** Status and headers of the answer that carries {@link errorBody}. */
export function errorHead(failure: PublicFailure): { status: number; headers: Record<string, string> } {
  const row: ErrorRow = ERRORS[failure.code];
  const headers: Record<string, string> = Object.fromEntries(failure.headers ?? []);
  const shouldRetry = failure.shouldRetry ?? row.shouldRetry;
  if (shouldRetry !== undefined) headers["x-should-retry"] = String(shouldRetry);
  const retryAfterMs = failure.retryAfterMs ?? row.retryAfterMs;
  if (retryAfterMs !== undefined) {
    // Rounded up: a retry that comes early fails again.
    headers["retry-after"] = String(Math.ceil(retryAfterMs / 1000));
    headers["retry-after-ms"] = String(Math.ceil(retryAfterMs));
  }
  return { status: failure.status ?? row.status, headers };
}

/** One SSE event that ends a stream which has already begun. The official SDKs throw an APIError on it. */
export function errorEvent(failure: PublicFailure): string {
  return `data: ${JSON.stringify(errorBody(failure))}\n\n`;
}
