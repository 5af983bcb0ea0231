import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { digestOf, readKeys } from "../../../dev/backend/keys.ts";
import { KeyStore } from "../../../dev/backend/store.ts";

const [full, plain] = readKeys(
  JSON.stringify([
    {
      api_key: "hc-sk-full-key",
      key_id: "full",
      tier: "admin",
      age_verified: true,
      expires_at: "2030-01-01T00:00:00Z",
      limits: { rpm: 5 },
    },
    { api_key: "hc-sk-plain-key", key_id: "plain", tier: "free" },
  ]),
);

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "backend-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

describe("the table of keys", () => {
  test("gives back what was put", () => {
    const store = new KeyStore(":memory:");
    for (const key of [full!, plain!]) store.put(key);
    expect([store.find(full!.digest), store.find(plain!.digest)]).toEqual([full, plain]);
    expect(store.find(digestOf("hc-sk-unknown"))).toBeNull();
    store.close();
  });

  test.each(["plain", digestOf("hc-sk-plain-key")])("revokes by %s, and nothing else", (name) => {
    const store = new KeyStore(":memory:");
    for (const key of [full!, plain!]) store.put(key);
    expect([store.revoke(name), store.revoke("nobody")]).toEqual([true, false]);
    expect([store.find(full!.digest)?.revoked, store.find(plain!.digest)?.revoked]).toEqual([false, true]);
    store.close();
  });

  test("a key id given to another key moves there", () => {
    const store = new KeyStore(":memory:");
    store.put(plain!);
    store.put({ ...full!, keyId: "plain" });
    expect([store.find(plain!.digest), store.find(full!.digest)?.keyId]).toEqual([null, "plain"]);
    store.close();
  });

  test("stays in its file, which holds no key", () => {
    const path = folder();
    const before = new KeyStore(join(path, "keys.db"));
    before.put(full!);
    before.close();
    const after = new KeyStore(join(path, "keys.db"));
    expect(after.find(full!.digest)).toEqual(full);
    after.close();
    const files = readdirSync(path);
    expect(files).toContain("keys.db");
    for (const file of files) expect(readFileSync(join(path, file)).includes("hc-sk-full-key")).toBe(false);
  });
});
