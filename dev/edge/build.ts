// The production bundle of the Worker, made by wrangler exactly as a deploy would make it, and kept until a source changes.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const ROOT = resolve(import.meta.dirname, "../..");
/** All that decides what the bundle contains. */
const SOURCES = ["edge", "shared", "wrangler.toml", "package-lock.json"];

/** Of wrangler.toml. */
export const ENVIRONMENTS = ["local", "cloud"] as const;

/** @returns the folder that holds `worker.js`. @throws Error with wrangler's words if the build fails. */
export async function buildWorker(): Promise<string> {
  const folder = join(ROOT, ".state/build", await fingerprint());
  if (await exists(join(folder, "worker.js"))) return folder;
  await mkdir(join(ROOT, ".state/build"), { recursive: true });
  const draft = await mkdtemp(join(ROOT, ".state/build/draft-"));
  try {
    await dryRun("cloud", draft);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  // A service runs what somebody else has built.
  await chmod(draft, 0o755);
  // Two builds may have run at once: the first to arrive wins, both are the same.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
  return folder;
}

/**
 * What `wrangler deploy` would do, as far as it goes without an account.
 * @returns its words. @throws Error with them if it fails.
 */
export async function dryRun(environment: (typeof ENVIRONMENTS)[number], folder?: string): Promise<string> {
  // Neither telemetry nor the fetch of a sample `Request.cf`: a build needs no network.
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "true" };
  const wrangler = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
  const args = [wrangler, "deploy", "--env", environment, "--dry-run", ...(folder ? ["--outdir", folder] : [])];
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env });
    return `${stdout}${stderr}`;
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    throw new Error(`the Worker does not build:\n${(stderr || stdout || String(error)).trim()}`);
  }
}

async function fingerprint(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    for (const file of await filesOf(join(ROOT, source))) {
      hash.update(file.slice(ROOT.length)).update(await readFile(file));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

async function filesOf(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
