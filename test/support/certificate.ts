// Certificates for one run of the tests, made by openssl: a self-signed one vouches for itself.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** For localhost and 127.0.0.1. @returns paths of PEM files. */
export async function makeCertificate(directory: string, name: string): Promise<TestCertificate> {
  const cert = join(directory, `${name}.crt`);
  const key = join(directory, `${name}.key`);
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const pair = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", key, "-out", cert];
  await promisify(execFile)("openssl", ["req", "-x509", "-days", "2", ...pair, ...subject]);
  return { cert, key };
}
