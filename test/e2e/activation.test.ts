// The edge on ports that systemd has opened, as its unit starts it: with systemd's own tool, which does what the socket unit does.
import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Child, Crew } from "../../dev/crew.ts";
import { freePort } from "../support/behind-proxy.ts";
import { makeCertificate } from "../support/certificate.ts";
import { CAN_NOTIFY, NotifySocket } from "../support/notify-socket.ts";
import { until } from "../support/stack.ts";

const EDGE = resolve(import.meta.dirname, "../../dev/edge/main.ts");
const isInstalled = spawnSync("systemd-socket-activate", ["--version"]).error === undefined && CAN_NOTIFY;
/** A network namespace without a network, which is the unit's PrivateNetwork. Needs root. */
const alone = spawnSync("unshare", ["-n", "true"]).status === 0 ? ["unshare", "-n"] : [];

const WATCHDOG_MS = 3_000;

const skipped = isInstalled ? "" : " (skipped: systemd-socket-activate or systemd-notify is not installed)";
describe.skipIf(!isInstalled)(`sockets of systemd${skipped}`, () => {
  const crew = new Crew();
  let directory: string;
  let init: NotifySocket;
  let edge: Child;
  let port: number;
  let redirectPort: number;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    init = await NotifySocket.at(join(directory, "notify"));
    const { cert, key } = await makeCertificate(directory, "site");
    setDefaultCACertificates([...getCACertificates("default"), await readFile(cert, "utf8")]);
    const settings = join(directory, "edge.env");
    await writeFile(settings, "AUTH_MODE=master-key\nMASTER_KEY=a-master-key\nEDGE_PORT=1\nEDGE_DRAIN=5\n");
    [port, redirectPort] = [await freePort(), await freePort()];
    edge = crew.start({
      name: "edge",
      command: "systemd-socket-activate",
      args: [
        ...["-l", `127.0.0.1:${port}`, "-l", `127.0.0.1:${redirectPort}`, "-E", `NOTIFY_SOCKET=${init.path}`],
        ...["-E", `WATCHDOG_USEC=${WATCHDOG_MS * 1000}`],
        ...[...alone, process.execPath, EDGE, "--port", "443", "--redirect-port", "80"],
        ...["--tls-cert", cert, "--tls-key", key, "--state", join(directory, "state"), "--env-file", settings],
      ],
      graceMs: 6_000,
    });
  });
  afterAll(async () => {
    await crew.dismiss();
    init.close();
    await rm(directory, { recursive: true, force: true });
  });

  test("whoever comes before the edge is up waits for it", async () => {
    await until(async () => edge.tail().includes("Listening on"));
    expect(init.all("READY")).toEqual([]);
    // This connection is what starts it.
    const response = await fetch(`https://127.0.0.1:${port}/health`);
    expect(await response.json()).toEqual({ status: "ok" });
    await until(() => init.all("READY").length > 0);
  });

  test("the second one sends plain HTTP to the first", async () => {
    const response = await fetch(`http://127.0.0.1:${redirectPort}/v1/models`, { redirect: "manual" });
    expect([response.status, response.headers.get("location")]).toEqual([308, `https://127.0.0.1:${port}/v1/models`]);
  });

  test.skipIf(alone.length === 0)("it serves without a network of its own", async () => {
    expect(await readlink(`/proc/${edge.pid}/ns/net`)).not.toBe(await readlink("/proc/self/ns/net"));
  });

  test("WATCHDOG is heard while the Worker answers, and not while workerd stands still", async () => {
    const heard = () => init.all("WATCHDOG").length;
    const before = heard();
    await until(() => heard() > before + 1);
    const { stdout } = spawnSync("pgrep", ["-P", String(edge.pid), "workerd"], { encoding: "utf8" });
    const workerd = Number(stdout);
    process.kill(workerd, "SIGSTOP");
    const stoppedAt = Date.now();
    await until(() => Date.now() - Math.max(stoppedAt, init.lastAt("WATCHDOG")) > WATCHDOG_MS);
    expect(init.lastAt("WATCHDOG") - stoppedAt).toBeLessThan(WATCHDOG_MS / 2);
    process.kill(workerd, "SIGCONT");
    await until(() => init.lastAt("WATCHDOG") > stoppedAt + WATCHDOG_MS);
  });

  test("SIGTERM ends it with 0, and systemd hears of it", async () => {
    edge.kill("SIGTERM");
    expect(await edge.exited).toBe(0);
    expect(init.all("STOPPING")).toEqual(["1"]);
  });
});
