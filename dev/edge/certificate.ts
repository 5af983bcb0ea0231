// The certificate of the front: two PEM files, read again when they change on disk or on SIGHUP. A pair that does not fit
// (half of a renewal, say) changes nothing: the old one serves on, and the reason is told.
import { X509Certificate } from "node:crypto";
import { unwatchFile, watchFile } from "node:fs";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { KeyPair } from "./front.ts";

/** By looking at the files: `live/` of certbot is full of links, which notifications do not follow. ms. */
const LOOK_EVERY_MS = 5_000;

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface Certificate extends KeyPair {
  /** For people: "for edge.example.com, until 2027-02-24". */
  readonly summary: string;
}

/** @throws Error in one line that names the file. */
export async function readCertificate(files: CertificateFiles): Promise<Certificate> {
  const [cert, key] = await Promise.all([read(files.cert), read(files.key)]);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const reason = (error as Error).message.replace(/^error:[^:]*:[^:]*:[^:]*:/, "");
    throw new Error(`${files.cert} and ${files.key} are no certificate and its key: ${reason}`);
  }
  const { validTo, subject, subjectAltName } = new X509Certificate(cert);
  const names = subjectAltName?.replace(/DNS:|IP Address:/g, "") ?? subject;
  return { cert, key, summary: `for ${names}, until ${new Date(validTo).toISOString().slice(0, 10)}` };
}

/** Calls `changed` with every new pair. @returns how to look now, as on SIGHUP. */
export function watchCertificate(
  files: CertificateFiles,
  first: KeyPair,
  told: { changed(certificate: Certificate): void; failed(error: Error): void },
): { reload(): Promise<void>; stop(): void } {
  let current = first;
  const reload = async (): Promise<void> => {
    try {
      const next = await readCertificate(files);
      if (next.cert === current.cert && next.key === current.key) return;
      told.changed(next);
      current = next;
    } catch (error) {
      told.failed(error as Error);
    }
  };
  const look = () => void reload();
  const paths = [files.cert, files.key];
  for (const path of paths) watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, look);
  return {
    reload,
    stop() {
      for (const path of paths) unwatchFile(path, look);
    },
  };
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
