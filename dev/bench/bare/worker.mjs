// The least that a tunnel on this platform can be, in layers that are added one by one: no keys, no limits, no streams, nothing that
// could fail. What the product costs beyond it is what the product does; what this costs is the platform's.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";

const HEAD = { headers: { "content-type": "application/json" } };
/** Of the hop: small bodies are cheapest in a header. */
const BODY_HEADER = "x-body";
/** As long as the product waits for company. */
const COMPANY_WITHIN_MS = 1;

export class Hub extends DurableObject {
  #last = 0;
  #asking = new Map();
  #batch = [];

  async fetch(request) {
    const body = request.headers.get(BODY_HEADER);
    if (body === null) return this.#uplink();
    if (request.url.endsWith("/hub")) return carrying(this.env.ANSWER);
    const id = ++this.#last;
    const { promise, resolve } = Promise.withResolvers();
    this.#asking.set(id, resolve);
    this.#batch.push([id, body]);
    if (this.#batch.length === 1) setTimeout(() => this.#send(), COMPANY_WITHIN_MS);
    return carrying(await promise);
  }

  webSocketMessage(_socket, message) {
    for (const [id, answer] of JSON.parse(message)) {
      this.#asking.get(id)?.(answer);
      this.#asking.delete(id);
    }
  }

  #send() {
    // Of this object's earlier lives, too: it may have slept.
    const [socket] = this.ctx.getWebSockets();
    socket.send(JSON.stringify(this.#batch.splice(0)));
  }

  #uplink() {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }
}

/** What whoever runs workerd asks for (edge/worker.ts). */
export class Control extends WorkerEntrypoint {
  fetch() {
    return new Response("alive");
  }
}

/** @param body in base64, from the connector on. */
function carrying(body) {
  return new Response(null, { headers: { [BODY_HEADER]: body } });
}

function answering(body) {
  return new Response(Uint8Array.fromBase64(body), HEAD);
}

let hub;

export default {
  async fetch(request, env) {
    const path = request.url.slice(request.url.indexOf("/", "http://".length));
    if (path === "/answer") return answering(env.ANSWER);
    hub ??= env.HUB.idFromName("bare");
    if (path === "/uplink") return env.HUB.get(hub).fetch(request);
    const question = await request.text();
    if (path === "/read") return answering(env.ANSWER);
    const answer = await env.HUB.get(hub).fetch(`http://hub${path}`, { headers: { [BODY_HEADER]: question } });
    return answering(answer.headers.get(BODY_HEADER));
  },
};
