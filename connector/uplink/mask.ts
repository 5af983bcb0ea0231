// The masks of what the connector sends (RFC 6455 §5.3). A client must mask its frames so that whoever chooses what is in them cannot
// choose what an old proxy on the way reads (§10.3). Where none can read along a key of zero does as well, and the payload is left as
// it is: ws masks byte by byte in JavaScript and the edge unmasks, which was half the connector's CPU of an answer of 1 MB and a third
// of the edge's (ws 8.23, workerd 1.20261023).
import { isLoopback } from "../loopback.ts";

interface Masking {
  /** Writes the key of a frame, 4 bytes. Without it ws takes random ones. */
  readonly generateMask?: (key: Buffer) => void;
}

/** Options of ws for an uplink to this URL. */
export function maskingFor(url: string): Masking {
  const { protocol, hostname } = new URL(url);
  const isOpen = protocol !== "wss:" && !isLoopback(hostname);
  return isOpen ? {} : { generateMask: (key) => void key.fill(0) };
}
