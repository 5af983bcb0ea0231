import { isIPv4 } from "node:net";

/** Whether what is said to that host of a URL never leaves this machine. A name that only looks like such an address may lead anywhere. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127."));
}
