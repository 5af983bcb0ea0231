// Sources that are watched, and the bundle of the Worker that is made from them: by esbuild itself, which takes a twentieth of the time
// that wrangler takes for the same.
import { watch } from "node:fs";
import { join } from "node:path";
import { type BuildFailure, build, formatMessages } from "esbuild";

/** An editor writes a file in several steps. ms. */
const SETTLE_MS = 40;

const COMMON = { bundle: true, format: "esm", target: "es2024", logLevel: "silent", sourcemap: "inline" } as const;

/** Writes `worker.js` into a folder. @throws Error with what is wrong, and where. */
export async function bundleWorker(root: string, folder: string): Promise<void> {
  await told(
    build({
      ...COMMON,
      entryPoints: [join(root, "edge/worker.ts")],
      outfile: join(folder, "worker.js"),
      absWorkingDir: root,
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
    }),
  );
}

/** A connector that cannot even be read is not started in place of one that runs. @throws Error as above. */
export async function checkConnector(root: string): Promise<void> {
  await told(
    build({
      ...COMMON,
      entryPoints: [join(root, "connector/main.ts")],
      absWorkingDir: root,
      platform: "node",
      packages: "external",
      write: false,
    }),
  );
}

async function told(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const { errors } = error as Partial<BuildFailure>;
    if (errors === undefined) throw error;
    throw new Error((await formatMessages(errors, { kind: "error" })).join("").trim());
  }
}

/** Calls `changed` with the folders in which something changed, once for a burst of changes. @returns how to stop. */
export function watchFolders(
  root: string,
  folders: readonly string[],
  changed: (folders: ReadonlySet<string>) => void,
): () => void {
  let dirty = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const watchers = folders.map((folder) =>
    watch(join(root, folder), { recursive: true }, (_event, name) => {
      if (name !== null && !name.endsWith(".ts")) return;
      dirty.add(folder);
      clearTimeout(timer);
      timer = setTimeout(() => {
        const all = dirty;
        dirty = new Set();
        changed(all);
      }, SETTLE_MS);
    }),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
