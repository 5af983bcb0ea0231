// How llama.cpp says no: the bodies of its errors, member for member in its order. Pure.

export interface Refusal {
  readonly status: number;
  readonly body: string;
}

function refusal(status: number, message: string, type: string, more: Record<string, unknown> = {}): Refusal {
  return { status, body: JSON.stringify({ error: { code: status, message, type, ...more } }) };
}

export const invalid = (message: string): Refusal => refusal(400, message, "invalid_request_error");

export const LOADING = refusal(503, "Loading model", "unavailable_error");

/** The only one whose members stand in another order: it is made by the HTTP layer, not by the engine. */
export const NOT_FOUND: Refusal = {
  status: 404,
  body: JSON.stringify({ error: { message: "File Not Found", type: "not_found_error", code: 404 } }),
};

export const NO_EMBEDDINGS = refusal(
  501,
  "This server does not support embeddings. Start it with `--embeddings`",
  "not_supported_error",
);

export const NO_COMPLETIONS = refusal(
  501,
  "This server does not support completions. Start it without `--embeddings`",
  "not_supported_error",
);

export const TOO_LARGE = refusal(413, "Payload Too Large", "invalid_request_error");

export function contextExceeded(tokens: number, context: number): Refusal {
  return refusal(
    400,
    `request (${tokens} tokens) exceeds the available context size (${context} tokens), try increasing it`,
    "exceed_context_size_error",
    { n_prompt_tokens: tokens, n_ctx: context },
  );
}

/** An answer with a status that somebody asked for. */
export function simulated(status: number): Refusal {
  const type = status >= 500 ? "server_error" : "invalid_request_error";
  return refusal(status, `simulated fault ${status}`, type);
}

/** What nlohmann::json says of a text that `JSON.parse` refused with `message`. */
export function notJson(text: string, message: string): Refusal {
  const given = /at position (\d+)/.exec(message)?.[1];
  const at = given === undefined ? text.length : Number(given);
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - (before.lastIndexOf("\n") + 1) + 1;
  const found =
    at >= text.length
      ? "unexpected end of input"
      : `invalid literal; last read: '${text.slice(Math.max(0, at - 8), at + 1)}'`;
  return invalid(
    `[json.exception.parse_error.101] parse error at line ${line}, column ${column}: ` +
      `syntax error while parsing value - ${found}; expected '[', '{', or a literal`,
  );
}
