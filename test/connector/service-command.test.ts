// What `connector service` has to say about the files that a unit will be given.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ServiceOptions, service } from "../../connector/service-command.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heartcode-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const TLS = { tlsCert: "/dev/null", tlsKey: "/dev/null" };
const ENV = ["EDGE_TLS_CERT=a", "EDGE_TLS_KEY=b", "EDGE_REDIRECT_PORT=80", "EDGE_ACME_WEBROOT=/w"];

/** What is noted of the file of variables. */
async function notes(lines: readonly string[], more: Partial<ServiceOptions>): Promise<string[]> {
  const envFile = join(folder, "edge.env");
  await writeFile(envFile, `${lines.join("\n")}\n`);
  const options = {
    config: "c",
    key: "k",
    connectorKeys: "/dev/null",
    directory: folder,
    envFile,
    edge: true as const,
  };
  const { warnings } = await service({ ...options, folder: resolve("."), ...more }, process.execPath, "x");
  return warnings.filter((line) => line.startsWith(envFile)).map((line) => line.slice(envFile.length + 1));
}

const without = (names: string) =>
  `sets ${names}, for which this unit has no port or file: the edge will not start with them`;
const bare = "sets no TRUSTED_PROXIES: to the edge every client will look like the proxy before it";

test.each([
  [
    "a proxy, and the lines of TLS",
    ENV,
    {},
    [without("EDGE_TLS_CERT, EDGE_TLS_KEY, EDGE_REDIRECT_PORT, EDGE_ACME_WEBROOT"), bare],
  ],
  ["a proxy, and what it wants", ["EDGE_TLS_CERT=", "TRUSTED_PROXIES=127.0.0.1"], {}, []],
  ["TLS without plain HTTP, and its lines", ENV, TLS, [without("EDGE_REDIRECT_PORT, EDGE_ACME_WEBROOT")]],
  ["TLS with plain HTTP", ENV, { ...TLS, redirectPort: "80" }, []],
])("%s", async (_what, lines, options, told) => expect(await notes(lines, options)).toEqual(told));

test("a file that is not there yet is told as that alone", async () => {
  const options = { config: "c", key: "k", connectorKeys: "/dev/null", directory: folder, edge: true as const };
  const envFile = join(folder, "none.env");
  const { warnings } = await service({ ...options, envFile, folder: resolve(".") }, process.execPath, "x");
  expect(warnings.filter((line) => line.startsWith(envFile))).toEqual([`${envFile} is not there yet`]);
});
