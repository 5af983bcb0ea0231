// Who may be able to read the private key, and what is signed with it.
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importJWK, type JWK, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateKey, isPrivate, loadIdentity } from "../../../connector/uplink/key.ts";

const rows: [what: string, mode: number, uid: number, gid: number, ok: boolean][] = [
  ["a file of its owner alone", 0o600, 1000, 1000, true],
  ["one that its owner cannot change", 0o400, 1000, 1000, true],
  ["a credential of systemd that belongs to the service", 0o400, 61_184, 61_184, true],
  ["a credential that root's access list opens to the service", 0o440, 0, 0, true],
  ["one that its group can read", 0o640, 1000, 1000, false],
  ["one of root that a group of people can read", 0o440, 0, 27, false],
  ["one that root's group can read", 0o440, 1000, 0, false],
  ["one that is called a credential and can be written by the group", 0o460, 0, 0, false],
  ["one that everybody can read", 0o444, 0, 0, false],
];
test.each(rows)("%s", (_what, mode, uid, gid, ok) => {
  expect(isPrivate(0o100_000 | mode, uid, gid)).toBe(ok);
});

describe("a key", () => {
  let folder: string;
  let file: string;
  let jwk: JWK;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "key-"));
    file = join(folder, "key");
    jwk = await generateKey("onprem-1", file);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("is its owner's alone, and is never overwritten", async () => {
    const before = await readFile(file, "utf8");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await expect(generateKey("onprem-1", file)).rejects.toThrow("exists already");
    expect(await readFile(file, "utf8")).toBe(before);
    expect(jwk).not.toHaveProperty("d");
  });

  test("is no other connector's", async () => {
    await expect(loadIdentity("onprem-2", file)).rejects.toThrow("is the key of `onprem-1`");
  });

  test("signs a token for one place of one edge, which is good for a minute and for one socket", async () => {
    const { kid, token } = await loadIdentity("onprem-1", file);
    const url = "wss://edge.example.com:8443/uplink";
    const now = 1_800_000_000_900;
    const read = async () => {
      const signed = await token({ url, shard: 2, slot: 3 }, now);
      return jwtVerify(signed, await importJWK(jwk, "EdDSA"), { currentDate: new Date(now) });
    };
    const { payload, protectedHeader } = await read();
    expect(protectedHeader).toEqual({ alg: "EdDSA", kid });
    expect(payload).toEqual({
      shard: 2,
      slot: 3,
      iss: "onprem-1",
      aud: "edge.example.com:8443/uplink",
      iat: 1_800_000_000,
      exp: 1_800_000_060,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect((await read()).payload.jti).not.toBe(payload.jti);
  });

  test("that others can read is not used", async () => {
    await chmod(file, 0o640);
    await expect(loadIdentity("onprem-1", file)).rejects.toThrow("can be read by others (mode 640)");
    await chmod(file, 0o600);
  });
});
