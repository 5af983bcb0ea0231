// Property tests: one seed for the run, printed by fast-check with a failing case; set FUZZ_SEED to replay it and
// FUZZ_RUNS to search longer.
import fc from "fast-check";

const seed = process.env["FUZZ_SEED"];
const runs = process.env["FUZZ_RUNS"];
fc.configureGlobal({
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(runs === undefined ? {} : { numRuns: Number(runs) }),
});
