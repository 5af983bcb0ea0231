// What doctor looks at on the road to the edge: name, port, certificate, what answers there, and its clock.
import { lookup } from "node:dns/promises";
import { get as getPlain } from "node:http";
import { get as getSecure } from "node:https";
import { connect, isIP } from "node:net";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import { isLoopback } from "../loopback.ts";
import type { Check, Finding } from "./checks.ts";
import { span } from "./columns.ts";
import { type Remedy, remedy } from "./remedies.ts";

const STEP_MS = 5_000;
const EXPIRES_SOON_MS = 14 * 86_400_000;
/** The edge takes a token whose clock is off by so much (edge/api/uplink.ts). */
export const SKEW_REFUSED_MS = 30_000;
export const SKEW_WARNED_MS = 2_000;

export function roadChecks(url: string): Check[] {
  const { protocol, hostname, port, host } = new URL(url);
  const isSecure = protocol === "wss:";
  // URL writes an IPv6 address in brackets, node:net wants it without.
  const name = hostname.replace(/^\[|\]$/g, "");
  const at = { host: name, port: Number(port || (isSecure ? 443 : 80)) };
  const origin = `${isSecure ? "https:" : "http:"}//${host}`;
  return [
    { name: "edge: name", needs: ["config"], run: () => resolveName(name) },
    { name: "edge: TCP", needs: ["edge: name"], run: () => dialTcp(at) },
    { name: "edge: TLS", needs: ["edge: TCP"], run: () => (isSecure ? dialTls(at) : plainRoad(hostname)) },
    { name: "edge: HTTP", needs: ["edge: TLS"], run: () => askHealth(origin) },
  ];
}

/** @param skewMs our clock minus theirs. @param toleranceMs how exactly it is known. */
export function clockFinding(skewMs: number, toleranceMs: number): Finding {
  const off = Math.abs(skewMs);
  const detail =
    off <= toleranceMs
      ? `no difference to be seen (${span(toleranceMs)} would not be)`
      : `this clock is ${span(off)} ${skewMs > 0 ? "ahead of" : "behind"} the edge's`;
  if (off - toleranceMs <= SKEW_WARNED_MS) return { verdict: "PASS", detail };
  return { verdict: off - toleranceMs > SKEW_REFUSED_MS ? "FAIL" : "WARN", detail, remedy: remedy("clock") };
}

async function resolveName(name: string): Promise<Finding> {
  if (isIP(name) !== 0) return { verdict: "PASS", detail: `${name} is an address` };
  try {
    const addresses = await lookup(name, { all: true });
    return { verdict: "PASS", detail: `${name} is ${addresses.map(({ address }) => address).join(", ")}` };
  } catch (error) {
    return {
      verdict: "FAIL",
      detail: `${name} is not resolved (${codeOf(error)})`,
      remedy: remedy("name", { name }),
    };
  }
}

function dialTcp({ host, port }: { host: string; port: number }): Promise<Finding> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: STEP_MS });
    const end = (finding: Finding) => {
      socket.destroy();
      resolve(finding);
    };
    socket.once("connect", () => end({ verdict: "PASS", detail: `${socket.remoteAddress} port ${port} is open` }));
    socket.once("timeout", () =>
      end({
        verdict: "FAIL",
        detail: `no answer from ${host} port ${port} within ${span(STEP_MS)}`,
        remedy: remedy("tcpSilent", { host, port }),
      }),
    );
    socket.once("error", (error) =>
      end({
        verdict: "FAIL",
        detail: `${host} port ${port}: ${codeOf(error)}`,
        remedy: codeOf(error) === "ECONNREFUSED" ? remedy("tcpRefused") : remedy("tcp", { host, port }),
      }),
    );
  });
}

function dialTls({ host, port }: { host: string; port: number }): Promise<Finding> {
  return new Promise((resolve) => {
    const servername = isIP(host) === 0 ? { servername: host } : {};
    const socket = connectTls({ host, port, timeout: STEP_MS, ...servername });
    const end = (finding: Finding) => {
      socket.destroy();
      resolve(finding);
    };
    socket.once("secureConnect", () => end(judge(socket.getPeerCertificate(), socket.getProtocol() ?? "TLS")));
    socket.once("timeout", () =>
      end({
        verdict: "FAIL",
        detail: `no TLS handshake within ${span(STEP_MS)}`,
        remedy: remedy("tlsSilent"),
      }),
    );
    socket.once("error", (error) => {
      const code = codeOf(error);
      end({ verdict: "FAIL", detail: `${code}: ${error.message}`, remedy: remedy(remedyOfTls(code)) });
    });
  });
}

function judge({ valid_to, issuer }: PeerCertificate, protocol: string): Finding {
  const left = Date.parse(valid_to) - Date.now();
  const by = [issuer?.O, issuer?.CN].filter((part) => part !== undefined).join(" ");
  const detail = `${protocol}, certificate by ${by}, valid for ${span(left)}`;
  if (left > EXPIRES_SOON_MS) return { verdict: "PASS", detail };
  return { verdict: "WARN", detail, remedy: remedy("tlsSoon") };
}

function remedyOfTls(code: string): Remedy {
  if (code === "CERT_HAS_EXPIRED") return "tlsExpired";
  if (code === "CERT_NOT_YET_VALID") return "tlsEarly";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "tlsHost";
  return /SELF_SIGNED|UNABLE_TO|UNKNOWN_CA/.test(code) ? "tlsIssuer" : "tlsNone";
}

async function plainRoad(hostname: string): Promise<Finding> {
  if (isLoopback(hostname)) return { verdict: "PASS", detail: "none on ws://, which stays on this machine" };
  return {
    verdict: "WARN",
    detail: "none: with ws:// tokens, keys and answers cross the network in the clear",
    remedy: remedy("tlsPlain"),
  };
}

/** The edge's own health; on the way its clock is read off the Date header. */
async function askHealth(origin: string): Promise<Finding> {
  const askedAt = Date.now();
  let answer: { status: number; date: string | undefined; text: string };
  try {
    answer = await ask(`${origin}/health`);
  } catch (error) {
    return { verdict: "FAIL", detail: `GET ${origin}/health: ${codeOf(error)}`, remedy: remedy("http") };
  }
  const ms = Date.now() - askedAt;
  const { status, date, text } = answer;
  if (status !== 200 || !/"status"\s*:\s*"ok"/.test(text)) {
    const detail = `GET ${origin}/health answers ${status}: ${text.slice(0, 100)}`;
    return { verdict: "FAIL", detail, remedy: remedy("http") };
  }
  const clock: Check = {
    name: "edge: clock",
    needs: [],
    run: async () => {
      if (date === undefined || Number.isNaN(Date.parse(date)))
        return { verdict: "SKIP", detail: "the edge's answers have no Date; the uplink tells its clock" };
      // A Date is cut to the second: on the average it is half a second old.
      return clockFinding(askedAt + ms / 2 - (Date.parse(date) + 500), 500 + ms / 2);
    },
  };
  return { verdict: "PASS", detail: `${origin}/health answers 200`, ms, more: [clock] };
}

function ask(url: string): Promise<{ status: number; date: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith("https:") ? getSecure : getPlain;
    const request = get(url, { timeout: STEP_MS, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        if (text.length < 10_000) text += piece;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, date: response.headers.date, text }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${span(STEP_MS)}`)));
    request.on("error", reject);
  });
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
