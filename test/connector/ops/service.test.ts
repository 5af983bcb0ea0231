// Units on disk: what is written, what is left alone.
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { install, uninstall } from "../../../connector/ops/service.ts";
import { MARK } from "../../../connector/ops/units.ts";

const unit = { name: "heartcode-connector.service", text: `${MARK}\n[Service]\n` };
let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heartcode-"));
  file = join(folder, unit.name);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a unit is installed", () => {
  test("for everybody to read, and the next commands are told", async () => {
    const told = await install([unit], folder, false);
    expect(await readFile(file, "utf8")).toBe(unit.text);
    expect((await stat(file)).mode & 0o777).toBe(0o644);
    expect(told).toContain("  systemctl daemon-reload");
    expect(told).toContain("  systemctl enable --now heartcode-connector");
  });

  test("a second time without a change", async () => {
    await install([unit], folder, false);
    expect((await install([unit], folder, false))[0]).toBe(`${file} is there already, word for word`);
  });

  test("never over one that says something else, unless that is asked for", async () => {
    await writeFile(file, "[Service]\nExecStart=/bin/other\n");
    await expect(install([unit], folder, false)).rejects.toThrow(/says something else/);
    expect(await readFile(file, "utf8")).toContain("/bin/other");
    await install([unit], folder, true);
    expect(await readFile(file, "utf8")).toBe(unit.text);
  });

  test("nowhere else than in a folder that is there", async () => {
    await expect(install([unit], join(folder, "none"), false)).rejects.toThrow(/cannot be written: ENOENT/);
  });
});

describe("a unit is removed", () => {
  test("if it was written here, and only then", async () => {
    await install([unit], folder, false);
    expect(await uninstall([unit], folder)).toContain("  systemctl daemon-reload");
    expect(await readdir(folder)).toEqual([]);
    await expect(uninstall([unit], folder)).rejects.toThrow(/is not there/);
    await writeFile(file, "[Service]\n");
    await expect(uninstall([unit], folder)).rejects.toThrow(/was not written by/);
    expect(await readdir(folder)).toEqual([unit.name]);
  });
});

describe("two units that belong together", () => {
  const socket = { name: "heartcode-edge.socket", text: `${MARK}\n[Socket]\n` };
  const service = { name: "heartcode-edge.service", text: `${MARK}\n[Service]\n` };

  test("are written, named and removed together", async () => {
    const told = await install([socket, service], folder, false);
    expect((await readdir(folder)).sort()).toEqual([service.name, socket.name]);
    expect(told).toContain("  systemctl enable --now heartcode-edge.socket heartcode-edge");
    await uninstall([socket, service], folder);
    expect(await readdir(folder)).toEqual([]);
  });

  test("are both left alone where one of them says something else", async () => {
    await writeFile(join(folder, service.name), "[Service]\n");
    await expect(install([socket, service], folder, false)).rejects.toThrow(/says something else/);
    expect(await readdir(folder)).toEqual([service.name]);
    await writeFile(join(folder, socket.name), socket.text);
    await expect(uninstall([socket, service], folder)).rejects.toThrow(/was not written by/);
    expect((await readdir(folder)).sort()).toEqual([service.name, socket.name]);
  });
});
