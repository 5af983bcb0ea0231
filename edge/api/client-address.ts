// Whose request it is, by network address: what the shield against made-up keys counts by. Nothing that a client can write
// into its own request decides it. Pure.
//
// Who states the address of the other end of the connection depends on where the Worker runs:
// - workerd on one's own machine: `cf.clientIp`, "192.0.2.7:52444", set by workerd itself (1.20261023) or, where the launcher
//   ends TLS, by the launcher over workerd's `cfBlobHeader`. A client can set neither.
// - Cloudflare: the header `CF-Connecting-IP`, which the platform overwrites. It is believed only where `cf.colo` shows that
//   this is the platform.
import ipaddr from "ipaddr.js";
import type { Network, Settings } from "../settings.ts";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** More hops than any road of ours has; a longer list is somebody's game. */
const MOST_HOPS = 32;

/**
 * The client's address in its canonical form ("192.0.2.7", "2001:db8::1"), or null where nobody can be believed.
 * `X-Forwarded-For` counts only as far as it was written by `settings.trustedProxies`: it is read from its right end, and the
 * first address that is not a trusted proxy is the client.
 */
export function clientAddress(
  request: { readonly headers: Headers; readonly cf?: unknown },
  settings: Pick<Settings, "trustedProxies">,
): string | null {
  let at = peerOf(request);
  if (at === null) return null;
  const hops = (request.headers.get("x-forwarded-for") ?? "").split(",").slice(-MOST_HOPS);
  while (isTrusted(at, settings.trustedProxies)) {
    const next = readAddress(hops.pop() ?? "");
    // The proxy is the last one known: the rest of the list is missing, or not what a proxy of ours writes.
    if (next === null) break;
    at = next;
  }
  return textOf(at);
}

/**
 * What the shield counts by: the address, of IPv6 its /64, which is what one customer gets at least.
 * Clients without a known address share one name.
 */
export function shieldName(address: string | null): string {
  if (address === null) return "unknown";
  if (!address.includes(":")) return address;
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/64`).toRFC5952String()}/64`;
}

function peerOf({ headers, cf }: { readonly headers: Headers; readonly cf?: unknown }): Address | null {
  const { clientIp, colo } = (cf ?? {}) as { clientIp?: unknown; colo?: unknown };
  if (typeof clientIp === "string") return readAddress(clientIp);
  if (typeof colo === "string") return readAddress(headers.get("cf-connecting-ip") ?? "");
  return null;
}

/** "192.0.2.7", "192.0.2.7:443", "2001:db8::1", "[2001:db8::1]:443"; an IPv4 address in IPv6's clothes is an IPv4 address. */
function readAddress(text: string): Address | null {
  const trimmed = text.trim();
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(trimmed)?.[1] ?? /^([\d.]+):\d+$/.exec(trimmed)?.[1] ?? trimmed;
  // The library takes "1" and "0x7f.1" for IPv4 too; no proxy writes that.
  if (!ipaddr.IPv4.isValidFourPartDecimal(bare) && !ipaddr.IPv6.isValid(bare)) return null;
  return ipaddr.process(bare);
}

function isTrusted(address: Address, networks: readonly Network[]): boolean {
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
}

function textOf(address: Address): string {
  if (address.kind() === "ipv4") return address.toString();
  // Without the zone ("%eth0"), which is a word of the machine that saw it.
  return new ipaddr.IPv6((address as ipaddr.IPv6).parts).toRFC5952String();
}
