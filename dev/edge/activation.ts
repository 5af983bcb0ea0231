// Sockets that systemd has opened for us (sd_listen_fds): ports that need no right of ours, and at which clients wait while the
// edge starts anew.

const FIRST = 3;

/** Descriptors, in the order of the unit's ListenStream lines. None where they are not for this process. */
export function activatedSockets({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv, pid: number): number[] {
  if (Number(LISTEN_PID) !== pid) return [];
  return Array.from({ length: Number(LISTEN_FDS) }, (_, at) => FIRST + at);
}
