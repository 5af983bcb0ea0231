import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientAddress, shieldName } from "../../../edge/api/client-address.ts";
import { readSettings } from "../../../edge/settings.ts";

interface Asked {
  /** What workerd or the launcher says. */
  readonly clientIp?: string;
  /** Cloudflare's mark. */
  readonly colo?: string;
  readonly forwarded?: string;
  readonly connecting?: string;
  readonly trusted?: string;
}

function addressOf({ clientIp, colo, forwarded, connecting, trusted = "" }: Asked): string | null {
  const headers = new Headers();
  if (forwarded !== undefined) headers.set("x-forwarded-for", forwarded);
  if (connecting !== undefined) headers.set("cf-connecting-ip", connecting);
  const cf = clientIp === undefined && colo === undefined ? undefined : { clientIp, colo };
  return clientAddress({ headers, cf }, readSettings({ TRUSTED_PROXIES: trusted }));
}

describe("the client's address", () => {
  const rows: [what: string, asked: Asked, address: string | null][] = [
    ["is the peer's", { clientIp: "192.0.2.7:52444" }, "192.0.2.7"],
    ["is the peer's, of IPv6 too", { clientIp: "[2001:DB8:0::1]:52444" }, "2001:db8::1"],
    ["is IPv4 where IPv6 only wraps it", { clientIp: "[::ffff:192.0.2.7]:1" }, "192.0.2.7"],
    ["has no zone", { clientIp: "[fe80::1%eth0]:1" }, "fe80::1"],
    [
      "is not what an untrusted peer forwards",
      { clientIp: "192.0.2.7:1", forwarded: "203.0.113.9", trusted: "10.0.0.0/8" },
      "192.0.2.7",
    ],
    [
      "is not forwarded by anybody where nobody is trusted",
      { clientIp: "127.0.0.1:1", forwarded: "1.2.3.4" },
      "127.0.0.1",
    ],
    ["is not CF-Connecting-IP outside Cloudflare", { clientIp: "192.0.2.7:1", connecting: "1.2.3.4" }, "192.0.2.7"],
    ["is not CF-Connecting-IP where nobody vouches for it", { connecting: "1.2.3.4" }, null],
    [
      "is CF-Connecting-IP on Cloudflare",
      { colo: "FRA", connecting: "203.0.113.9", forwarded: "1.2.3.4" },
      "203.0.113.9",
    ],
    ["is unknown on Cloudflare without that header", { colo: "FRA", forwarded: "1.2.3.4" }, null],
    [
      "is what a trusted proxy forwards",
      { clientIp: "127.0.0.1:1", forwarded: "203.0.113.9", trusted: "127.0.0.1" },
      "203.0.113.9",
    ],
    [
      "is what the proxy saw, not what the client claimed to it",
      { clientIp: "127.0.0.1:1", forwarded: "1.2.3.4, 203.0.113.9", trusted: "127.0.0.1" },
      "203.0.113.9",
    ],
    [
      "is found behind several trusted proxies",
      {
        clientIp: "[::1]:1",
        forwarded: "1.2.3.4, 203.0.113.9, 10.1.2.3:80, [2001:db8::9]:443",
        trusted: "::1 10.0.0.0/8, 2001:db8::/32",
      },
      "203.0.113.9",
    ],
    [
      "is a trusted client's own where the list ends",
      { clientIp: "127.0.0.1:1", forwarded: "10.0.0.5", trusted: "127.0.0.1,10.0.0.0/8" },
      "10.0.0.5",
    ],
    ["is the proxy's where it forwards nothing", { clientIp: "127.0.0.1:1", trusted: "127.0.0.0/8" }, "127.0.0.1"],
    [
      "is the last known where the list is not one of addresses",
      { clientIp: "127.0.0.1:1", forwarded: "203.0.113.9, unknown", trusted: "127.0.0.1" },
      "127.0.0.1",
    ],
    [
      "is not a number that only looks like an address",
      { clientIp: "127.0.0.1:1", forwarded: "2130706433", trusted: "127.0.0.1" },
      "127.0.0.1",
    ],
  ];
  test.each(rows)("%s", (_what, asked, address) => expect(addressOf(asked)).toBe(address));

  test("does not change by anything that the client itself can send", () => {
    const word = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string().map((text) => text.trim()),
    );
    const list = fc.array(word, { maxLength: 40 }).map((words) => words.join(", "));
    fc.assert(
      fc.property(list, list, fc.ipV4(), (forwarded, connecting, client) => {
        const honest = `${forwarded}, ${client}`;
        // Straight to the edge, and through the one proxy that is trusted.
        expect(addressOf({ clientIp: "192.0.2.7:1", forwarded, connecting, trusted: "127.0.0.1" })).toBe("192.0.2.7");
        fc.pre(client !== "127.0.0.1");
        expect(addressOf({ clientIp: "127.0.0.1:1", forwarded: honest, connecting, trusted: "127.0.0.1" })).toBe(
          client,
        );
      }),
    );
  });
});

describe("the shield's name for an address", () => {
  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"],
    [null, "unknown"],
  ])("of %s is %s", (address, name) => expect(shieldName(address)).toBe(name));
});

describe("TRUSTED_PROXIES", () => {
  test.each(["10.0.0.0/33", "localhost", "1", "10/8", "::1/129", "10.0.0.1;10.0.0.2"])("refuses %s", (text) => {
    expect(() => readSettings({ TRUSTED_PROXIES: text })).toThrow(
      /^setting TRUSTED_PROXIES: ".+" is not an address or a CIDR$/,
    );
  });

  test("is empty by default, and reads commas, spaces and lines", () => {
    expect(readSettings({}).trustedProxies).toEqual([]);
    expect(readSettings({ TRUSTED_PROXIES: " 10.0.0.0/8,\n::1  127.0.0.1 " }).trustedProxies).toHaveLength(3);
  });
});
