// The connector's way in: its token is verified here, before a hub is touched (wire/spec.md §1).
import { decodeProtectedHeader, errors, importJWK, jwtVerify } from "jose";
import { z } from "zod";
import { UPLINK_HEADER, type UplinkRequest } from "../../shared/hop.ts";
import { FINAL, REFUSAL_HEADER, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import type { Env } from "../env.ts";
import type { ConnectorKey, Settings } from "../settings.ts";
import { hubOf } from "./hubs.ts";

/** The clocks of site and edge may differ by so much, either way. */
const SKEW_S = 30;
const LIFETIME_S = 60;
/** A clock that is wrong may be set right while the connector waits: a machine that starts has none yet. */
const EXPIRED = "the token has expired: compare the clocks of site and edge";
/** It would be good for as long as that clock is ahead, and longer than its lifetime says. */
const EARLY = "the token is from the future: compare the clocks of site and edge";
const OF_CLOCKS: ReadonlySet<unknown> = new Set([EXPIRED, EARLY]);

const Claims = z.object({
  iss: z.string().min(1).max(128),
  jti: z.string().min(8).max(128),
  iat: z.number(),
  exp: z.number(),
  shard: z.number().int().min(0),
  slot: z.number().int().min(0).max(15),
});

export async function uplink(request: Request, env: Env, settings: Settings): Promise<Response> {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return refuse(426, "a WebSocket is expected here");
  const offered = request.headers.get("sec-websocket-protocol") ?? "";
  if (!offered.split(",").some((name) => name.trim() === SUBPROTOCOL)) {
    return refuse(403, `the subprotocol ${SUBPROTOCOL} is required`, true);
  }
  const asked = await verify(request, settings.connectorKeys);
  if (typeof asked === "string") return refuse(401, asked, !OF_CLOCKS.has(asked));
  if (asked.shard >= settings.shards) return refuse(404, "there is no such shard");
  const headers = {
    upgrade: "websocket",
    "sec-websocket-protocol": SUBPROTOCOL,
    [UPLINK_HEADER]: JSON.stringify(asked),
  };
  return hubOf(env, asked.shard).fetch("http://hub/", { headers });
}

/** What the token says, or why it is refused: the operator reads that in the connector's log. */
async function verify(request: Request, keys: readonly ConnectorKey[]): Promise<UplinkRequest | string> {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (token === undefined) return "no token";
  try {
    const { host, pathname } = new URL(request.url);
    const { kid } = decodeProtectedHeader(token);
    const key = keys.find((candidate) => candidate.kid === kid);
    if (key === undefined) return "the key of this connector is not known here";
    const { payload } = await jwtVerify(token, await importJWK(key, "EdDSA"), {
      algorithms: ["EdDSA"],
      audience: `${host}${pathname}`,
      clockTolerance: SKEW_S,
      requiredClaims: ["iss", "jti", "iat", "exp", "shard", "slot"],
    });
    const { iss, jti, iat, exp, shard, slot } = Claims.parse(payload);
    if (exp - iat > LIFETIME_S) return `the token lives longer than ${LIFETIME_S} s`;
    if (iat - Date.now() / 1000 > SKEW_S) return EARLY;
    if (iss !== key.kid.split("#")[0]) return "the key belongs to another connector";
    return { connector: iss, shard, slot, jti, exp };
  } catch (error) {
    if (error instanceof errors.JWTExpired) return EXPIRED;
    if (error instanceof errors.JWTClaimValidationFailed)
      return `the token's \`${error.claim}\` is not accepted: ${error.message}`;
    return "the token is not valid";
  }
}

/** @param isFinal dialling again would change nothing: the connector stops. */
function refuse(status: number, reason: string, isFinal = false): Response {
  const headers = { "content-type": "text/plain; charset=utf-8", ...(isFinal ? { [REFUSAL_HEADER]: FINAL } : {}) };
  return new Response(`${reason}\n`, { status, headers });
}
