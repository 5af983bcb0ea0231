// The parts of a self-hosted edge, put together: workerd with the bundle, the front before it, the redirect beside it; and
// how they end.
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CertificateFiles, readCertificate, watchCertificate } from "./certificate.ts";
import { DiskWatch } from "./disk-watch.ts";
import { type Front, startFront } from "./front.ts";
import { leave } from "./leave.ts";
import { lockState } from "./lock.ts";
import { startRedirect } from "./redirect.ts";
import { tryToWrite } from "./room.ts";
import { bracketed, startWorkerd, type Workerd, type WorkerdOptions } from "./workerd.ts";

export interface EdgeOptions {
  readonly bundle: string;
  /** What the Durable Objects keep. */
  readonly state: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** A socket that listens already, instead of both. For a front. */
  readonly fd?: number;
  readonly tls?: CertificateFiles;
  /** A port of plain HTTP that sends everybody to the one with TLS. */
  readonly redirect?: { readonly port: number; readonly fd?: number; readonly acmeFolder?: string };
  /** A front without TLS too. Where there is none, workerd itself listens. */
  readonly front?: boolean;
  readonly inspect?: number;
  /** For people. */
  readonly log: (line: string) => void;
}

export interface RunningEdge {
  readonly url: string;
  readonly port: number;
  readonly redirectPort: number | null;
  /** Of workerd. */
  readonly pid: number;
  /** Resolves when workerd ends, whoever ended it. */
  readonly exited: Promise<number | null>;
  /** Whether the Worker answers. */
  isAlive(): Promise<boolean>;
  /** Looks for a renewed certificate now. */
  reload(): Promise<void>;
  /** Takes nothing new; answers in flight have `drainMs` to finish. */
  stop(drainMs: number): Promise<void>;
}

/** @throws Error in one line. Nothing is left running then. */
export async function startEdge(options: EdgeOptions): Promise<RunningEdge> {
  const lock = await lockState(options.state, options.log);
  try {
    const edge = await startAlone(options);
    return { ...edge, stop: (drainMs) => edge.stop(drainMs).finally(() => lock.release()) };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function startAlone(options: EdgeOptions): Promise<RunningEdge> {
  const { bundle, state, settings, host, port, log } = options;
  const inspect = options.inspect === undefined ? {} : { inspect: `${bracketed(host)}:${options.inspect}` };
  // In a folder of our own: who can reach these sockets can say who a client is, and end the edge. And short, for a path of
  // 107 bytes.
  const folder = await mkdtemp(join(tmpdir(), "heartcode-edge-"));
  const sweep = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", sweep);
  const common = { bundle, state, settings, controlPath: join(folder, "control"), ...inspect };
  if (options.front !== true && options.tls === undefined) {
    const workerd = await startWatched({ ...common, listen: { host, port } }, log);
    return {
      url: `http://${bracketed(host)}:${workerd.port}`,
      port: workerd.port,
      redirectPort: null,
      pid: workerd.process.pid ?? 0,
      exited: workerd.exited,
      isAlive: () => workerd.isAlive(),
      reload: async () => {},
      stop: (drainMs) => (drainMs === 0 ? workerd.stop() : leave(workerd, drainMs, log)),
    };
  }

  const certificate = options.tls === undefined ? undefined : await readCertificate(options.tls);
  const undo: (() => unknown)[] = [sweep];
  try {
    const hop = { socketPath: join(folder, "workerd"), cfHeader: `x-cf-${randomBytes(8).toString("hex")}` };
    const tls = certificate === undefined ? {} : { tls: certificate };
    const fd = options.fd === undefined ? {} : { fd: options.fd };
    // First the port: that it is taken is the most common mistake, and costs nothing here.
    const up = Promise.withResolvers<void>();
    const front = await listening(port, startFront({ host, port, ...fd, ...hop, ...tls, after: up.promise }));
    undo.unshift(() => front.close());
    const redirect =
      options.redirect === undefined
        ? undefined
        : await listening(options.redirect.port, startRedirect({ host, httpsPort: front.port, ...options.redirect }));
    if (redirect !== undefined) undo.unshift(() => redirect.close());
    const workerd = await startWatched({ ...common, listen: hop }, log);
    undo.splice(undo.length - 1, 0, () => workerd.stop());
    up.resolve();
    const watch =
      options.tls === undefined || certificate === undefined
        ? undefined
        : watchCertificate(options.tls, certificate, {
            changed(next) {
              front.renew(next);
              log(`certificate renewed: ${next.summary}`);
            },
            failed: (error) => log(`certificate not renewed, the old one serves on: ${error.message}`),
          });
    if (certificate !== undefined) log(`certificate ${certificate.summary}`);
    return {
      url: `${certificate === undefined ? "http" : "https"}://${bracketed(host)}:${front.port}`,
      port: front.port,
      redirectPort: redirect?.port ?? null,
      pid: workerd.process.pid ?? 0,
      exited: workerd.exited,
      isAlive: () => workerd.isAlive(),
      reload: async () => watch?.reload(),
      async stop(drainMs) {
        watch?.stop();
        await drain(front, workerd, drainMs, log);
        for (const step of undo) await step();
      },
    };
  } catch (error) {
    for (const step of undo) await step();
    throw error;
  }
}

/** With an eye on the disk that it writes to. */
async function startWatched(
  options: Omit<WorkerdOptions, "complained">,
  log: (line: string) => void,
): Promise<Workerd> {
  const { state } = options;
  const watch = new DiskWatch({
    state,
    // Where the hubs write: it may be a mount of its own.
    attempt: () => tryToWrite(join(state, "do")),
    tell: async (isWritable) => workerd.tellWritable(isWritable),
    log,
    now: () => performance.now(),
    after: (ms, work) => void setTimeout(work, ms).unref(),
  });
  const workerd = await startWorkerd({ ...options, complained: (word) => watch.complained(word) });
  void workerd.exited.then(() => watch.stop());
  return workerd;
}

async function drain(front: Front, workerd: Workerd, withinMs: number, log: (line: string) => void): Promise<void> {
  const drained = front.drain();
  if (front.running === 0 || withinMs === 0) return;
  log(`stopping: ${front.running} answers in flight have ${withinMs / 1000} s to finish; a second signal cuts them`);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([drained, late, workerd.exited]);
  clearTimeout(timer);
  if (front.running > 0) log(`${front.running} answers were cut`);
}

async function listening<T>(port: number, started: Promise<T>): Promise<T> {
  try {
    return await started;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") throw new Error(`port ${port} is taken`);
    if (code === "EACCES") throw new Error(`port ${port} needs the right to bind it (CAP_NET_BIND_SERVICE)`);
    throw new Error(`port ${port}: ${(error as Error).message}`);
  }
}
