// Port 80 of an edge with TLS: sends everything to https, and answers the challenges by which a certificate is renewed.
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

const CHALLENGE = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]+)$/;
const HEAD_MS = 10_000;

export interface RedirectOptions {
  readonly host: string;
  readonly port: number;
  /** A socket that listens already, instead of both. */
  readonly fd?: number;
  /** Of the edge itself. */
  readonly httpsPort: number;
  /** Where an ACME client puts its challenges: `certbot certonly --webroot -w FOLDER`. */
  readonly acmeFolder?: string;
}

/** @throws Error with `code` EADDRINUSE and its like. */
export async function startRedirect(options: RedirectOptions): Promise<{ port: number; close(): void }> {
  const { host, port, fd, httpsPort, acmeFolder } = options;
  const server: Server = createServer(
    { headersTimeout: HEAD_MS, requestTimeout: HEAD_MS },
    async (request, response) => {
      response.setHeader("connection", "close");
      const token = CHALLENGE.exec(request.url ?? "")?.[1];
      if (token !== undefined && acmeFolder !== undefined) {
        const proof = await readFile(join(acmeFolder, ".well-known/acme-challenge", token)).catch(() => null);
        response.writeHead(proof === null ? 404 : 200, { "content-type": "text/plain" }).end(proof);
        return;
      }
      const location = locationFor(request.headers.host, request.url, httpsPort);
      if (location === null) response.writeHead(400).end();
      // 308: a POST stays a POST.
      else response.writeHead(308, { location, "content-length": "0" }).end();
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(fd === undefined ? { port, host } : { fd }, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Null where the request names no host, or nothing that can stand in a URL. */
export function locationFor(host: string | undefined, path: string | undefined, httpsPort: number): string | null {
  const name = /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d+)?$/i.exec(host ?? "")?.[1];
  if (name === undefined || !path?.startsWith("/")) return null;
  return `https://${name}${httpsPort === 443 ? "" : `:${httpsPort}`}${path}`;
}
