// What systemd hears of a real connector, over the socket that it would give it.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LAUNCHER } from "../../connector/ops/units.ts";
import { type Child, Crew } from "../../dev/crew.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { CAN_NOTIFY, NotifySocket } from "../support/notify-socket.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const CONNECTOR = fileURLToPath(new URL("../../connector/main.ts", import.meta.url));
/** Short, so that its absence is soon seen. */
const WATCHDOG_MS = 3_000;
/** A connector whose sockets are silent says so after 25 s. */
const SILENT_MS = 25_000;

let proxy: FaultProxy;
afterAll(() => proxy.close());
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1"],
  uplinkPort: async (port) => {
    proxy = await FaultProxy.to(port);
    return proxy.port;
  },
});

/** How the connector reaches it: as its unit starts it, and without perl. */
const WAYS: [way: string, start: (node: string, args: string[]) => [command: string, args: string[]]][] = [
  [
    "over a descriptor that its unit has opened",
    (node, args) => ["perl", ["-MSocket", "-MFcntl", "-e", LAUNCHER, "--", node, ...args]],
  ],
  ["by systemd-notify", (node, args) => [node, args]],
];
const SKIPPED = CAN_NOTIFY ? "" : " (skipped: systemd-notify or perl is not installed)";

describe.skipIf(!CAN_NOTIFY).each(WAYS)(`systemd, told %s${SKIPPED}`, (way, start) => {
  const crew = new Crew();
  let directory: string;
  let init: NotifySocket;
  let connector: Child;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    init = await NotifySocket.at(join(directory, "notify"));
    // Its place is for the one that is watched here.
    stack().connectors[0]!.kill("SIGTERM");
    await stack().connectors[0]!.exited;
  });
  afterAll(async () => {
    await crew.dismiss();
    init.close();
    await rm(directory, { recursive: true, force: true });
  });

  const status = () => init.all("STATUS").at(-1) ?? "";

  /** Processes that the connector has started and that are still there, as zombies too. */
  async function childrenOf(pid: number): Promise<string[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const stats = await Promise.all(pids.map((one) => readFile(`/proc/${one}/stat`, "utf8").catch(() => "")));
    return stats.filter((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(pid));
  }

  test("hears READY only when a socket is up on every shard and an engine is well", async () => {
    const engines = new Engines([...stack().chatPorts, ...stack().embedPorts]);
    await engines.fault({ loading: true });
    const [command, args] = start(process.execPath, [CONNECTOR, "run", "--config", stack().configs[0]!]);
    connector = crew.start({
      name: "connector",
      command,
      args,
      env: { ...process.env, NOTIFY_SOCKET: init.path, WATCHDOG_USEC: String(WATCHDOG_MS * 1_000) },
    });
    await until(() => status().startsWith("not ready: 2 of 2 sockets up, 0 of 3 upstreams up"));
    expect(init.all("READY")).toEqual([]);
    await engines.fault({ loading: false });
    await until(() => init.all("READY").length > 0);
    expect(init.all("READY")).toEqual(["1"]);
    await until(() => status() === "ready: 2 of 2 sockets up, 3 of 3 upstreams up");
  });

  test("hears STATUS when the uplink is cut, and again when it is back", async () => {
    proxy.refuse();
    proxy.cut();
    await until(() => status().startsWith("not ready: 0 of 2 sockets up"));
    proxy.heal();
    await until(() => status().startsWith("ready: 2 of 2"));
    expect(init.all("READY")).toEqual(["1"]);
  });

  test("hears WATCHDOG, but not of a process that stands still", async () => {
    const before = init.all("WATCHDOG").length;
    await until(() => init.all("WATCHDOG").length > before + 1);
    process.kill(connector.pid, "SIGSTOP");
    // What was on its way has come after a moment; from then on there is nothing for as long as systemd would wait.
    const stoppedAt = Date.now();
    await until(() => Date.now() - Math.max(stoppedAt, init.lastAt("WATCHDOG")) > WATCHDOG_MS);
    expect(init.lastAt("WATCHDOG") - stoppedAt).toBeLessThan(WATCHDOG_MS / 3);
    process.kill(connector.pid, "SIGCONT");
    await until(() => init.lastAt("WATCHDOG") > stoppedAt + WATCHDOG_MS);
  });

  // The picture is the same whoever carries it: once is enough for half a minute.
  if (way === WAYS[0]![0]) {
    test.skipIf(way !== WAYS[0]![0])(
      "hears no WATCHDOG once nothing has come through the sockets for 25 s, and it comes back with them",
      async () => {
        await until(() => status().startsWith("ready"));
        proxy.blackHole();
        const holeAt = Date.now();
        await until(() => Date.now() - init.lastAt("WATCHDOG") > WATCHDOG_MS, SILENT_MS + 4 * WATCHDOG_MS);
        const silentFor = init.lastAt("WATCHDOG") - holeAt;
        expect(silentFor).toBeLessThan(SILENT_MS + WATCHDOG_MS);
        expect(silentFor).toBeGreaterThan(SILENT_MS / 2);
        proxy.heal();
        await until(
          () => status().startsWith("ready: 2 of 2") && Date.now() - init.lastAt("WATCHDOG") < WATCHDOG_MS,
          40_000,
        );
      },
      120_000,
    );
  }

  test("hears STOPPING and why, before the process exits with 0, and nothing that was started stays", async () => {
    await until(async () => (await childrenOf(connector.pid)).length === 0);
    connector.kill("SIGTERM");
    expect(await connector.exited).toBe(0);
    expect(init.all("STOPPING")).toEqual(["1"]);
    expect(status()).toMatch(/^draining: /);
  });
});
