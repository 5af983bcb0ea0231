// The production bundle of the Worker, made by wrangler exactly as a deploy would make it, and kept until a source changes.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const ROOT = resolve(import.meta.dirname, "../..");
/** All that decides what the bundle contains. */
const SOURCES = ["edge", "shared", "wrangler.toml", "package-lock.json"];

/** @returns the folder that holds `worker.js`. @throws Error with wrangler's words if the build fails. */
export async function buildWorker(): Promise<string> {
  const folder = join(ROOT, ".state/build", await fingerprint());
  if (await exists(join(folder, "worker.js"))) return folder;
  await mkdir(join(ROOT, ".state/build"), { recursive: true });
  const draft = await mkdtemp(join(ROOT, ".state/build/draft-"));
  // Neither telemetry nor the fetch of a sample `Request.cf`: a build needs no network.
  const env = { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false", CI: "true" };
  const wrangler = join(ROOT, "node_modules/wrangler/bin/wrangler.js");
  try {
    const args = [wrangler, "deploy", "--env", "cloud", "--dry-run", "--outdir", draft];
    await promisify(execFile)(process.execPath, args, { cwd: ROOT, env });
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const { stderr, stdout } = error as { stderr?: string; stdout?: string };
    throw new Error(`the Worker does not build:\n${(stderr || stdout || String(error)).trim()}`);
  }
  // A service runs what somebody else has built.
  await chmod(draft, 0o755);
  // Two builds may have run at once: the first to arrive wins, both are the same.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
  return folder;
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
