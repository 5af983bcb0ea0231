// The connector's identity: an Ed25519 key in a file that only its owner can read, and the short-lived tokens signed with it.
import { randomUUID } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";
import { z } from "zod";

const LIFETIME_S = 60;

const PrivateJwk = z.object({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  d: z.string(),
  kid: z.string().min(1).max(128),
});

export interface ConnectorIdentity {
  readonly kid: string;
  /** A token that opens one socket, once. */
  token(socket: { url: string; shard: number; slot: number }, nowMs: number): Promise<string>;
}

/** What is wrong with a key file, said so that the operator can mend it. */
export class KeyFileError extends Error {
  readonly wrong: string;
  readonly remedy: string;

  constructor(wrong: string, remedy: string) {
    super(`${wrong}; ${remedy}`);
    this.wrong = wrong;
    this.remedy = remedy;
  }
}

/**
 * Makes a key, writes it to `file` (0600, never over an existing file) and returns the public JWK for the edge's set.
 * The `kid` is the connector's id and a piece of the thumbprint, so that a connector may have several keys at once.
 */
export async function generateKey(id: string, file: string): Promise<Record<string, unknown>> {
  const { publicKey, privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const jwk = await exportJWK(publicKey);
  const kid = `${id}#${(await calculateJwkThumbprint(jwk)).slice(0, 8)}`;
  const handle = await open(file, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST")
      throw new KeyFileError(`${file} exists already`, "a key is never overwritten: name another file");
    throw new KeyFileError(
      `${file} cannot be written (${error.code})`,
      "name a file in a folder that you may write to",
    );
  });
  try {
    await handle.writeFile(`${JSON.stringify({ ...(await exportJWK(privateKey)), kid, alg: "EdDSA" })}\n`);
  } finally {
    await handle.close();
  }
  return { ...jwk, kid, alg: "EdDSA", use: "sig" };
}

/** @throws KeyFileError */
export async function loadIdentity(id: string, file: string): Promise<ConnectorIdentity> {
  const { kid, key } = await readKey(file, id);
  if (kid.split("#")[0] !== id) {
    throw new KeyFileError(
      `${file} is the key of \`${kid.split("#")[0]}\`, but edge.id is \`${id}\``,
      "edge.id must be what keygen was given with --id",
    );
  }
  return {
    kid,
    token: ({ url, shard, slot }, nowMs) => {
      const { host, pathname } = new URL(url);
      const iat = Math.floor(nowMs / 1000);
      return new SignJWT({ shard, slot })
        .setProtectedHeader({ alg: "EdDSA", kid })
        .setIssuer(id)
        .setAudience(`${host}${pathname}`)
        .setIssuedAt(iat)
        .setExpirationTime(iat + LIFETIME_S)
        .setJti(randomUUID())
        .sign(key);
    },
  };
}

/**
 * Only its owner can read it. A credential of systemd belongs to root and opens to the service by an access list, which the
 * mode shows as the group's right: 0440, and nobody else is in that list.
 */
export function isPrivate(mode: number, uid: number, gid: number): boolean {
  const isCredential = uid === 0 && gid === 0 && (mode & 0o777 & ~0o440) === 0;
  return (mode & 0o077) === 0 || isCredential;
}

async function readKey(file: string, id: string): Promise<{ kid: string; key: CryptoKey | Uint8Array }> {
  let text: string;
  try {
    const { mode, uid, gid } = await stat(file);
    if (!isPrivate(mode, uid, gid)) {
      const bits = (mode & 0o777).toString(8);
      throw new KeyFileError(`${file} can be read by others (mode ${bits})`, `run: chmod 600 ${file}`);
    }
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof KeyFileError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") {
      throw new KeyFileError(`${file} does not exist`, `make it with: connector keygen --id ${id} --out ${file}`);
    }
    const remedy =
      code === "EACCES"
        ? "run this as its owner; a service of systemd reads its credential: key_file in config/cloud/connector.yaml"
        : "edge.key_file must name the file that keygen has written";
    throw new KeyFileError(`${file} cannot be read (${code ?? String(error)})`, remedy);
  }
  try {
    const jwk = PrivateJwk.parse(JSON.parse(text));
    return { kid: jwk.kid, key: await importJWK(jwk, "EdDSA") };
  } catch {
    throw new KeyFileError(
      `${file} is not a private Ed25519 JWK as keygen writes it`,
      `move it away and make a new one: connector keygen --id ${id} --out ${file}`,
    );
  }
}
