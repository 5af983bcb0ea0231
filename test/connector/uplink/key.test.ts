// Who may be able to read the private key.
import { expect, test } from "vitest";
import { isPrivate } from "../../../connector/uplink/key.ts";

const rows: [what: string, mode: number, uid: number, gid: number, ok: boolean][] = [
  ["a file of its owner alone", 0o600, 1000, 1000, true],
  ["one that its owner cannot change", 0o400, 1000, 1000, true],
  ["a credential of systemd that belongs to the service", 0o400, 61_184, 61_184, true],
  ["a credential that root's access list opens to the service", 0o440, 0, 0, true],
  ["one that its group can read", 0o640, 1000, 1000, false],
  ["one of root that a group of people can read", 0o440, 0, 27, false],
  ["one that is called a credential and can be written by the group", 0o460, 0, 0, false],
  ["one that everybody can read", 0o444, 0, 0, false],
];
test.each(rows)("%s", (_what, mode, uid, gid, ok) => {
  expect(isPrivate(0o100_000 | mode, uid, gid)).toBe(ok);
});
