// What feeds systemd's watchdog: a Worker that answers. One that hangs is ended by systemd, and starts anew.
import { watchdogMs } from "../../connector/ops/systemd.ts";

export function feedWatchdog(
  environment: NodeJS.ProcessEnv,
  isAlive: () => Promise<boolean>,
  send: (assignments: readonly string[]) => void,
): void {
  const within = watchdogMs(environment);
  if (within === null) return;
  let isAsking = false;
  setInterval(async () => {
    if (isAsking) return;
    isAsking = true;
    if (await isAlive()) send(["WATCHDOG=1"]);
    isAsking = false;
  }, within / 4).unref();
}
