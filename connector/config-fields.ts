// Every setting of the connector's configuration, what it takes, and a line that is right. `[]` is any entry of a list,
// `*` any name.

export interface Field {
  readonly expected: string;
  readonly write: string;
}

export const FIELDS: Readonly<Record<string, Field>> = {
  edge: {
    expected: "where to dial, and as whom",
    write: 'edge: { url: "wss://edge.example.com/uplink", id: onprem-1, key_file: ./connector.key }',
  },
  "edge.url": {
    expected: "a ws:// or wss:// address without password, query or fragment",
    write: 'url: "wss://edge.example.com/uplink"',
  },
  "edge.id": { expected: "1 to 64 letters, digits, dots, dashes and underscores", write: "id: onprem-1" },
  "edge.key_file": {
    expected: "the file of the private key, relative to this file",
    write: "key_file: ./connector.key",
  },
  backend: {
    expected: "where keys are looked up, or nothing if the edge runs with a master key",
    write: 'backend: { url: "http://127.0.0.1:8000" }',
  },
  "backend.url": {
    expected: "an http:// or https:// address without password, query or fragment",
    write: 'url: "http://127.0.0.1:8000"',
  },
  "backend.timeout_s": { expected: "seconds, above 0 and at most 600", write: "timeout_s: 10" },
  "backend.headers": {
    expected: "headers that are added to every request",
    write: `headers: { authorization: "Bearer \${HEARTCODE_BACKEND_TOKEN}" }`,
  },
  "backend.headers.*": {
    expected: "a header of plain text that is not about the connection itself",
    write: `authorization: "Bearer \${HEARTCODE_BACKEND_TOKEN}"`,
  },
  "backend.verify_path": {
    expected: "a path that begins with /",
    write: "verify_path: /api/v1/api-keys/verify",
  },
  "backend.health_path": { expected: "a path that begins with /", write: "health_path: /api/v1/health" },
  pools: {
    expected: "a list of at least one pool",
    write: 'pools: [{ model: heartcode-chat-sfw, kind: chat, upstreams: ["http://192.168.0.145:8080-8083"] }]',
  },
  "pools[]": {
    expected: "a pool",
    write: '{ model: heartcode-chat-sfw, kind: chat, upstreams: ["http://192.168.0.145:8080-8083"], slots: 4 }',
  },
  "pools[].model": { expected: "the internal name of a model", write: "model: heartcode-chat-sfw" },
  "pools[].kind": { expected: "chat or embedding", write: "kind: chat" },
  "pools[].upstreams": {
    expected: "a list of at least one address",
    write: 'upstreams: ["http://192.168.0.145:8080-8083"]',
  },
  "pools[].upstreams[]": {
    expected: "http://host:port or http://host:first-last, at most 256 ports, without a path",
    write: '"http://192.168.0.145:8080-8083"',
  },
  "pools[].slots": { expected: "a whole number from 1 to 1024", write: "slots: 4" },
  "pools[].affinity": {
    expected: "true or false, for a chat pool: whether prompts with the same beginning go to the same upstream",
    write: "affinity: true",
  },
  "pools[].fan_out": {
    expected: "true or false, for an embedding pool: whether a large input is split over the upstreams",
    write: "fan_out: true",
  },
  timeouts: {
    expected: "how long an upstream may take",
    write: "timeouts: { connect_ms: 2000, first_byte_s: 120, whole_s: 600, idle_s: 60, total_s: 600 }",
  },
  "timeouts.connect_ms": { expected: "milliseconds, from 1 to 60000", write: "connect_ms: 2000" },
  "timeouts.first_byte_s": { expected: "seconds, above 0 and at most 3600", write: "first_byte_s: 120" },
  "timeouts.whole_s": { expected: "seconds, above 0 and at most 86400", write: "whole_s: 600" },
  "timeouts.idle_s": { expected: "seconds, above 0 and at most 3600", write: "idle_s: 60" },
  "timeouts.total_s": { expected: "seconds, above 0 and at most 86400", write: "total_s: 600" },
  queue: { expected: "how many requests may wait", write: "queue: { size: 64 }" },
  "queue.size": { expected: "a whole number from 0 to 10000, for each pool", write: "size: 64" },
  drain_s: { expected: "seconds, from 0 to 3600", write: "drain_s: 30" },
  tracing: {
    expected: "where traces go",
    write: 'tracing: { langfuse: { host: "https://langfuse.example.com", public_key: pk, secret_key: sk } }',
  },
  "tracing.langfuse": {
    expected: "host, public_key and secret_key, all three or all empty",
    write: 'langfuse: { host: "https://langfuse.example.com", public_key: pk, secret_key: sk }',
  },
  "tracing.langfuse.host": {
    expected: "an http:// or https:// address, or nothing",
    write: 'host: "https://langfuse.example.com"',
  },
  "tracing.langfuse.public_key": { expected: "text", write: `public_key: "\${LANGFUSE_PUBLIC_KEY:-}"` },
  "tracing.langfuse.secret_key": { expected: "text", write: `secret_key: "\${LANGFUSE_SECRET_KEY:-}"` },
  "tracing.langfuse.content": {
    expected: "true or false: whether prompts and answers are traced too",
    write: "content: false",
  },
  "tracing.otlp": {
    expected: "a collector that speaks OTLP over HTTP",
    write: 'otlp: { endpoint: "http://127.0.0.1:4318/v1/traces" }',
  },
  "tracing.otlp.endpoint": {
    expected: "an http:// or https:// address with the path of its traces, or nothing",
    write: 'endpoint: "http://127.0.0.1:4318/v1/traces"',
  },
  "tracing.otlp.headers": {
    expected: "headers that are added to every request",
    write: `headers: { authorization: "Bearer \${COLLECTOR_TOKEN}" }`,
  },
  "tracing.otlp.headers.*": {
    expected: "a header of plain text that is not about the connection itself",
    write: `authorization: "Bearer \${COLLECTOR_TOKEN}"`,
  },
  "tracing.otlp.content": {
    expected: "true or false: whether prompts and answers are traced too",
    write: "content: false",
  },
  "tracing.sample": { expected: "a share from 0 to 1 of all exchanges", write: "sample: 1" },
  metrics: { expected: "where metrics are served", write: 'metrics: { listen: "127.0.0.1:9464" }' },
  "metrics.listen": { expected: "address:port", write: 'listen: "127.0.0.1:9464"' },
};

/** The row of a place such as `["pools", 0, "slots"]`. */
export function patternOf(path: readonly (string | number)[]): string {
  let pattern = "";
  for (const part of path) {
    if (typeof part === "number") pattern += "[]";
    else if (pattern.endsWith(".headers")) pattern += ".*";
    else pattern += pattern === "" ? part : `.${part}`;
  }
  return pattern;
}

/** The settings that stand directly under a place. */
export function keysUnder(pattern: string): string[] {
  const prefix = pattern === "" ? "" : `${pattern}.`;
  return Object.keys(FIELDS)
    .filter((row) => row.startsWith(prefix))
    .map((row) => row.slice(prefix.length))
    .filter((rest) => /^\w+$/.test(rest));
}
