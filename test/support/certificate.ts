// Certificates for one run of the tests, made by openssl: a self-signed one vouches for itself.
import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
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

/** One that is valid from one time to another: openssl's `req` can only count days from now. */
export async function makeDatedCertificate(directory: string, from: Date, to: Date): Promise<TestCertificate> {
  const folder = await mkdtemp(join(directory, "ca-"));
  const file = (name: string): string => join(folder, name);
  const config = `[ca]\ndefault_ca = one\n[one]\ndatabase = ${file("index")}\nnew_certs_dir = ${folder}\nrand_serial = yes
default_md = sha256\npolicy = any\nx509_extensions = more\nunique_subject = no\n[any]\ncommonName = supplied
[more]\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n`;
  await Promise.all([writeFile(file("index"), ""), writeFile(file("config"), config)]);
  const openssl = (...args: string[]) => promisify(execFile)("openssl", args);
  const pair = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", file("key")];
  await openssl("req", "-new", ...pair, "-subj", "/CN=dated", "-out", file("csr"));
  const time = (date: Date): string => date.toISOString().replace(/[-:T]|\.\d+/g, "");
  const dates = ["-startdate", time(from), "-enddate", time(to)];
  const files = ["-config", file("config"), "-keyfile", file("key"), "-in", file("csr"), "-out", file("crt")];
  await openssl("ca", "-selfsign", "-batch", "-notext", ...files, ...dates);
  return { cert: file("crt"), key: file("key") };
}
