// How a development program lives and dies: ready line, end by signal or with its parent, and a clear word when a port
// is taken. Knows nothing of what it runs.

/** Exits at once on SIGTERM, SIGINT, or when the parent's channel closes; the process takes its open sockets with it. */
export function endOnRequest(): void {
  const end = () => process.exit(0);
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  if (process.send !== undefined) process.once("disconnect", end);
}

/** Says once, to whoever waits, that everything listens. */
export function announce(line: string, message: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${line}\n`);
  process.send?.({ ready: true, ...message });
}

/** One line for a failed start. */
export function startFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (code === "EADDRINUSE") return `port ${port} on ${address} is already in use`;
  if (code !== undefined && port !== undefined) return `cannot listen on port ${port} of ${address}: ${code}`;
  return error.message.split("\n", 1)[0] ?? error.message;
}
