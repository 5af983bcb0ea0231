// docs/errors.md: the table of shared/errors.ts, with what each row is a sign of and what helps. The page is generated, so
// that it says what the code says; only the texts are here.
import { ERRORS, type ErrorCode, type ErrorRow, errorHead } from "../../shared/errors.ts";

interface Advice {
  readonly cause: string;
  /** For who calls the API. */
  readonly consumer: string;
  /** For who runs it. */
  readonly operator: string;
  /** Other forms of the same row. */
  readonly variants?: readonly string[];
}

/** In the words of docs/api.md. */
export const ADVICE: Readonly<Record<ErrorCode, Advice>> = {
  invalid_api_key: {
    cause: "The key is missing, not of the form `hc-sk-…`, unknown, expired or revoked. One text for all of them.",
    consumer:
      "Send `Authorization: Bearer hc-sk-…` with a key that is valid. A retry with the same key changes nothing.",
    operator:
      "Ask the backend about the key (`POST /api/v1/api-keys/verify`). A key that was made a moment ago is unknown for up to 10 s more, if it was asked for before; `POST /admin/keys/purge` makes the edge ask again at once.",
    variants: ["`/admin/…` answers with it where the admin token is missing or wrong, or `ADMIN_TOKEN` is empty."],
  },
  age_verification_required: {
    cause: "The model is for age-verified accounts, and the account is not one.",
    consumer: "Have the account verified, or ask another model.",
    operator: "The backend says `age_verified: false`. After a change there, purge the key, or wait 30 s.",
  },
  auth_unavailable: {
    cause:
      "The backend could not be asked and nothing usable is known of the key: no connector is there, or the backend is down or answers nonsense.",
    consumer: "The key was not rejected. Try again after `retry-after`; the SDKs do so by themselves.",
    operator:
      "`GET /admin/status` shows whether a connector is there; `heartcode_edge_lookups_total` counts how lookups end. Keys seen in the last hour go on working meanwhile.",
  },
  auth_timeout: {
    cause: "The backend did not answer a key lookup within `HEARTCODE_BACKEND_TIMEOUT`.",
    consumer: "The key was not rejected. Try again after `retry-after`; the SDKs do so by themselves.",
    operator: "Look at the backend's latency, then at the setting.",
  },
  model_not_found: {
    cause: "The name in `model` is no public model of this key.",
    consumer: "Take a name from `GET /v1/models`.",
    operator: "Internal names are accepted with `AUTH_MODE=master-key` only.",
  },
  model_unavailable: {
    cause:
      "No connector that serves the model is there, or none of its upstreams is healthy. The edge has waited 2 s for one.",
    consumer: "Try again after `retry-after`; the SDKs do so by themselves.",
    operator:
      "`GET /health/ready` says which pool is empty. Is the connector running, are its engines up (`/health`; 503 is an engine that still loads its model)?",
    variants: [
      "A self-hosted edge whose disk is full, or cannot be written, answers so at once, and serves again as soon as there is room: its log names `EDGE_STATE`.",
    ],
  },
  queue_full: {
    cause:
      "Every slot of the pool is taken, and its queue is full or would take longer than the request may. Or a connector is there, but its socket has carried all that it can (some 400 streams or 1,180 plain answers) for 2 s. Or a hub holds 64 MiB of request bodies that no connector has taken yet.",
    consumer: "Try again after `retry-after`, which is how long the queue is expected to take; send less at once.",
    operator:
      "More upstreams, or more `slots` where the engines have room. A longer `queue` only makes clients wait longer. Where the connector counts none of them (`heartcode_connector_queue_full_total`), its sockets are full: a higher `HUB_SHARDS`, or a second connector.",
  },
  rate_limit_exceeded: {
    cause: "The key has used its requests (`type: requests`) or tokens (`type: tokens`) of the minute.",
    consumer:
      "Wait for `retry-after-ms`, which is exact: the same request fits then. The SDKs do so by themselves. `GET /v1/usage` shows how the key stands.",
    operator: "The limits of a tier are the setting `TIERS`; the backend may give an account its own.",
    variants: [
      "An address that brings 20 unknown keys within a minute waits out that minute. Keys that this instance of the edge (an isolate; Cloudflare runs many) has let in before pass meanwhile; one that it has not seen yet waits, too, even if it is good.",
    ],
  },
  daily_token_limit_exceeded: {
    cause: "The key has used its tokens of the UTC day.",
    consumer:
      "Come back after 00:00 UTC: `retry-after` says in how many seconds that is. Until then only a smaller request may still fit.",
    operator: "`tokens_per_day` of the tier in `TIERS`, or of the account at the backend.",
  },
  request_too_large: {
    cause: "The body is larger than 8 MiB.",
    consumer: "Send less. A retry of the same request changes nothing.",
    operator: "Nothing to do: the cap is fixed.",
    variants: [
      "429 with `type: tokens`: prompt and `max_tokens` (times `n`) are more than the limit of a whole minute or day, so that the request never fits. Lower `max_tokens`, or shorten the prompt.",
    ],
  },
  invalid_request: {
    cause:
      "The body is not JSON, a member is missing or wrong (`param` names it), a URL is to be fetched that is not `data:`, or a name stands twice in one object.",
    consumer: "Change the request as the message says.",
    operator: "Nothing to do.",
    variants: [
      "An engine's own refusal of the request keeps its status of 4xx: a prompt that is longer than the context is a 400 of this row.",
    ],
  },
  not_found: {
    cause: "There is nothing at this address.",
    consumer:
      "Compare the base URL: it ends in `/v1`, without a slash behind it. Where nothing else is wrong, the message names the address that was meant, or what is served: `/v1/responses` and other calls of the SDKs are not.",
    operator: "Nothing to do.",
  },
  method_not_allowed: {
    cause: "The address is right, the method is not.",
    consumer: "The header `allow` names the right one.",
    operator: "Nothing to do.",
  },
  unsupported_media_type: {
    cause: "The body is not announced as JSON in UTF-8, or it is compressed.",
    consumer: "Send `Content-Type: application/json` and no `Content-Encoding`.",
    operator: "Nothing to do.",
  },
  upstream_error: {
    cause: "Every engine that was tried failed before it answered, or the connector was lost before the answer began.",
    consumer: "Try again; the SDKs do so by themselves.",
    operator:
      "The connector's log names the upstream and what it said. After five failures in a row an upstream is left out for a while.",
  },
  upstream_timeout: {
    cause:
      "The engines took longer than the connector's timeouts allow. Streams and embeddings were sent to a second engine before, where there was one.",
    consumer:
      "Ask again with a shorter prompt or a lower `max_tokens`, or with `stream` for long answers. The same request would hold an engine for as long once more, so the SDKs are told not to repeat it by themselves.",
    operator: "The connector's `timeouts`; the engines' load.",
  },
  stream_interrupted: {
    cause:
      "The answer had begun and broke off: the engine failed, or its connector was lost for longer than an answer can be resumed.",
    consumer:
      "What came so far is good, but it is not the whole. It is an event of the stream, after a status of 200; the SDKs throw it as `APIError`. They do not repeat it.",
    operator: "The connector's log, under the same request id.",
    variants: ["A plain answer that breaks in the middle has no such event: the connection is closed before its end."],
  },
  internal_error: {
    cause: "A defect of ours.",
    consumer: "Report it with the `x-request-id` of the answer.",
    operator: "The edge's log has a line with this request id and the error itself.",
  },
};

const INTRO = `# Errors

<!-- Generated from shared/errors.ts by \`npm run docs:errors\`. -->

Every error has OpenAI's shape and a request id in the header \`x-request-id\`:

\`\`\`json
{ "error": { "message": "…", "type": "…", "param": null, "code": "…" } }
\`\`\`

\`code\` is a row of this table; \`param\` names the member of the request that is at fault. Where a retry helps, \`retry-after\` (seconds) and
\`retry-after-ms\` say when; where it does not, \`x-should-retry: false\` tells the SDKs to stop.
`;

const ENGINE_STATUS = "or the engine's own 4xx";
const STATUS: Partial<Record<ErrorCode, string>> = {
  request_too_large: "413 or 429",
  invalid_request: `400 ${ENGINE_STATUS}`,
  stream_interrupted: "event in a stream",
};

/** The whole page. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];
  const table = rows.map(
    ([code, row]) => `| [\`${code}\`](#${code}) | ${statusOf(code)} | \`${row.type}\` | ${retryOf(code)} |`,
  );
  const sections = rows.map(([code, row]) => section(code, row));
  return `${INTRO}
| code | status | type | what the official SDKs do |
| --- | --- | --- | --- |
${table.join("\n")}

${sections.join("\n")}`;
}

function statusOf(code: ErrorCode): string {
  return STATUS[code] ?? String(ERRORS[code].status);
}

function retryOf(code: ErrorCode): string {
  const { status, headers } = errorHead({ code });
  if (code === "stream_interrupted") return "throw `APIError`";
  if (headers["x-should-retry"] === "false") return "stop: `x-should-retry: false`";
  if (status === 429) return "try again after `retry-after-ms`";
  if (status < 500) return "stop";
  const after = headers["retry-after"];
  return after === undefined
    ? "try again after a pause of their own"
    : `try again after ${after} s or as \`retry-after-ms\` says`;
}

function section(code: ErrorCode, row: ErrorRow): string {
  const { cause, consumer, operator, variants = [] } = ADVICE[code];
  const lines = [
    `- status ${statusOf(code)}, type \`${row.type}\``,
    `- message, where nothing more exact is known: “${row.message}”`,
    `- retries of the official SDKs: ${retryOf(code)}`,
    `- cause: ${cause}`,
    `- what consumers do: ${consumer}`,
    `- what operators do: ${operator}`,
    ...variants.map((variant) => `- also: ${variant}`),
  ];
  return `## ${code}\n\n${lines.join("\n")}\n`;
}
