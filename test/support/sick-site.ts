// Sites and edges that are sick in one way each, for doctor to look at.
import { readFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { makeDatedCertificate, type TestCertificate } from "./certificate.ts";
import { type Address, falseEdge, type Upgrade, well } from "./false-edge.ts";

/** What doctor is given. Where nothing is said, all is well. */
export interface Site {
  /** Of `edge.url`. */
  readonly url?: string;
  readonly id?: string;
  readonly key?: string;
  readonly backend?: string;
  /** More lines of the configuration, or others. */
  readonly change?: (text: string) => string;
  readonly pools?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly answers?: true;
  readonly close?: () => Promise<void>;
}

export const edgeUrl = (port: number, scheme = "ws", host = "127.0.0.1") => `${scheme}://${host}:${port}/uplink`;
export const at = (address: Address, scheme?: string, host?: string): Site => ({
  url: edgeUrl(address.port, scheme, host),
  close: () => address.close(),
});
/** An edge whose uplink does this. */
export const dialled = (upgrade: Upgrade) => async () => at(await falseEdge({ health: well, upgrade }));

/** @param known the machine has been told of it. */
export async function tls(pair: TestCertificate, host?: string, known = true): Promise<Site> {
  const options = { tls: { cert: await readFile(pair.cert), key: await readFile(pair.key) } };
  const edge = await falseEdge(host === undefined ? options : { ...options, host });
  return { ...at(edge, "wss", host), env: known ? { NODE_EXTRA_CA_CERTS: pair.cert } : {} };
}
const DAY_MS = 86_400_000;
/** With a certificate that is valid from one day to another, from now. */
export const dated = async (directory: string, fromDays: number, toDays: number) => {
  const day = (days: number) => new Date(Date.now() + days * DAY_MS);
  return tls(await makeDatedCertificate(directory, day(fromDays), day(toDays)));
};
/** An edge whose clock is off by so much. */
export const dating = (ms: number) => async () =>
  at(
    await falseEdge({
      health: (response) => {
        response.setHeader("date", new Date(Date.now() + ms).toUTCString());
        well(response);
      },
    }),
  );

export async function serving(listener: RequestListener): Promise<{ origin: string; close: () => Promise<void> }> {
  const server = createServer(listener);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** A backend that is well but for one of its answers; status 0: the connection breaks. */
export const backend = (health: number, status: number, body: string) => async (): Promise<Site> => {
  const { origin, close } = await serving((request, response) => {
    const isHealth = request.url!.endsWith("/health");
    if (!isHealth && status === 0) request.socket.destroy();
    else response.writeHead(isHealth ? health : status).end(isHealth ? "" : body);
  });
  return { backend: origin, close };
};

/** An engine of a pool `m` of kind chat. */
export const engine =
  (answers: { health?: number; models?: readonly string[]; chat?: [status: number, body: string] | null }) =>
  async (): Promise<Site> => {
    const { health = 200, models = ["m"], chat = [200, '{"choices":[{}]}'] } = answers;
    const { origin, close } = await serving((request, response) => {
      if (request.url === "/health") response.writeHead(health).end();
      else if (request.url === "/v1/models") response.end(JSON.stringify({ data: models.map((id) => ({ id })) }));
      else if (chat !== null) response.writeHead(chat[0]).end(chat[1]);
    });
    return { pools: `[{ model: m, kind: chat, upstreams: ["${origin}"] }]`, answers: true, close };
  };
