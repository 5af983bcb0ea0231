// A socket that may sleep, as its link uses it.
import type { Transport } from "./link.ts";

/** How long an OPEN waits for others that share its message. */
const COMPANY_WITHIN_MS = 1;

/** @param heardAt ms; when the platform last answered its ping */
export function transportOf(socket: WebSocket, heardAt: () => number): Transport {
  let isClosed = false;
  return {
    send: (message) => {
      try {
        socket.send(message);
      } catch {
        // The socket is closing; its close event moves what it carried.
      }
    },
    close: (code, reason) => {
      isClosed = true;
      // A peer that does not answer the close keeps its socket in the list of those that a hub wakes with.
      socket.serializeAttachment(null);
      socket.close(code, reason.slice(0, 100));
    },
    save: (changed) => {
      if (!isClosed) socket.serializeAttachment(changed);
    },
    soon: (work) => void setTimeout(work, COMPANY_WITHIN_MS),
    heardAt,
  };
}
