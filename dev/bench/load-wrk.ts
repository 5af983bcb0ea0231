// The load of whole answers by wrk, the cheapest generator there is. Its script judges every answer and prints what
// wrk has counted as one line of JSON, because the report for people is rounded to three digits.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../crew.ts";
import type { PlainLoad } from "./load-plain.ts";
import type { Failures, Slice } from "./measure.ts";

/** A small answer that takes longer has failed; wrk itself only counts them. */
const TIMEOUT_SECONDS = 10;
/** The latencies cross as this many quantiles, each standing for an equal part of the answers. */
const QUANTILES = 500;
/** Over what the load asks for: wrk ends by SIGINT at the right millisecond, this ends it if that were lost. */
const SPARE_SECONDS = 5;

const SCRIPT = `
local function read(name)
  local file = assert(io.open(os.getenv(name), "rb"))
  local text = file:read("*a")
  file:close()
  return text
end
local min, max = tonumber(os.getenv("BENCH_MIN")), tonumber(os.getenv("BENCH_MAX"))
wrong_status, wrong_size, last_status = 0, 0, 0
wrk.method = "POST"
wrk.path = os.getenv("BENCH_PATH")
wrk.body = read("BENCH_BODY")
wrk.headers["content-type"] = "application/json"
if os.getenv("BENCH_AUTHORIZATION") then wrk.headers["authorization"] = os.getenv("BENCH_AUTHORIZATION") end

local only
function setup(thread) only = thread end

function response(status, headers, body)
  if status ~= 200 then
    wrong_status, last_status = wrong_status + 1, status
  elseif #body < min or #body > max or not body:find("}%s*$", -32) then
    wrong_size = wrong_size + 1
  end
end

function done(summary, latency)
  local quantiles = {}
  if summary.requests > 0 then
    for i = 1, ${QUANTILES} do quantiles[i] = latency:percentile((i - 0.5) * 100 / ${QUANTILES}) end
  end
  local e = summary.errors
  io.write(string.format(
    '\\nBENCH {"requests":%d,"bytes":%.0f,"us":%d,"wrongStatus":%d,"lastStatus":%d,"wrongSize":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"quantiles":[%s]}\\n',
    summary.requests, summary.bytes, summary.duration, only:get("wrong_status"), only:get("last_status"), only:get("wrong_size"),
    e.connect, e.read, e.write, e.timeout, table.concat(quantiles, ",")))
end
`;

interface Report {
  readonly requests: number;
  readonly bytes: number;
  readonly us: number;
  readonly wrongStatus: number;
  readonly lastStatus: number;
  readonly wrongSize: number;
  readonly connect: number;
  readonly read: number;
  readonly write: number;
  readonly timeout: number;
  readonly quantiles: readonly number[];
}

export async function loadByWrk(wrk: string, directory: string, load: PlainLoad, signal: AbortSignal): Promise<Slice> {
  const script = join(directory, "wrk.lua");
  const body = join(directory, `wrk-${load.port}.body`);
  await Promise.all([writeFile(script, SCRIPT), writeFile(body, load.body)]);
  const seconds = Math.ceil(load.ms / 1000) + SPARE_SECONDS;
  // One thread: its counters are one script's, and one core of two is more than any road leaves it.
  const args = ["-t1", `-c${load.connections}`, `-d${seconds}s`, "--timeout", `${TIMEOUT_SECONDS}s`, "-s", script];
  const printed = await run(
    {
      name: "wrk",
      command: wrk,
      args: [...args, `http://127.0.0.1:${load.port}`],
      env: {
        ...process.env,
        BENCH_PATH: load.path,
        BENCH_BODY: body,
        BENCH_MIN: String(load.size.min),
        BENCH_MAX: String(load.size.max),
        ...(load.authorization === null ? {} : { BENCH_AUTHORIZATION: load.authorization }),
      },
    },
    { signal, interruptAfterMs: load.ms },
  );
  return readReport(printed);
}

export function readReport(printed: string): Slice {
  const line = /^BENCH (\{.*\})$/m.exec(printed)?.[1];
  if (line === undefined) throw new Error(`wrk printed no report:\n${printed}`);
  const report = JSON.parse(line) as Report;
  const completed = report.requests - report.wrongStatus - report.wrongSize;
  const failures: Record<string, number> = {};
  const count = (reason: string, times: number) => {
    if (times > 0) failures[reason] = times;
  };
  count(`status ${report.lastStatus}`, report.wrongStatus);
  count("wrong size", report.wrongSize);
  for (const reason of ["connect", "read", "write", "timeout"] as const) count(`${reason} error`, report[reason]);
  if (report.bytes === 0) count("not one byte in a whole slice", 1);
  return {
    completed,
    bytes: report.bytes,
    seconds: report.us / 1e6,
    samples: report.quantiles.map((us) => us / 1000),
    weight: completed / Math.max(1, report.quantiles.length),
    failures: failures satisfies Failures,
  };
}
