// The composition root of `doctor`: hands it the uplink's and the upstreams' own functions, so that it sees what the
// connector would see.
import { randomUUID } from "node:crypto";
import { VERIFY_KEY } from "../shared/openai.ts";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { AGENT } from "./connector.ts";
import type { Row } from "./ops/checks.ts";
import { type DoctorHands, examine } from "./ops/doctor.ts";
import { KeyFileError, loadIdentity } from "./uplink/key.ts";
import { PROBE_SLOT, visit } from "./uplink/visit.ts";
import { Backend } from "./upstream/backend.ts";

const VISIT_MS = 10_000;

export async function diagnose(file: string, wantsAnswers: boolean): Promise<Row[]> {
  let config: Config | ConfigError;
  try {
    config = await loadConfig(file, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    config = error;
  }
  const clock = {
    now: () => performance.now(),
    setTimeout,
    clearTimeout: (timer: unknown) => clearTimeout(timer as never),
  };
  return examine({ config, hands, wantsAnswers, clock });
}

function hands(config: Config): DoctorHands {
  const { url, id, keyFile } = config.edge;
  return {
    uplink: {
      identity: async () => {
        try {
          const { kid, token } = await loadIdentity(id, keyFile);
          return { kid, token: (shard) => token({ url, shard, slot: PROBE_SLOT }, Date.now()) };
        } catch (error) {
          if (error instanceof KeyFileError) return { wrong: error.wrong, remedy: error.remedy };
          throw error;
        }
      },
      visit: (token) => visit({ url, token, instance: randomUUID(), agent: AGENT, timeoutMs: VISIT_MS, now: Date.now }),
    },
    backend: config.backend === undefined ? null : backendHands(new Backend(config.backend), config.backend.timeoutS),
  };
}

function backendHands(backend: Backend, timeoutS: number): NonNullable<DoctorHands["backend"]> {
  return {
    health: () => backend.health(),
    lookup: (key) =>
      new Promise((resolve) => {
        let status: number | null = null;
        const pieces: Uint8Array[] = [];
        backend.serve(
          {
            ...VERIFY_KEY,
            headers: [["content-type", "application/json"]],
            body: new TextEncoder().encode(JSON.stringify({ api_key: key })),
            tier: "",
            tenant: "",
            deadline: Date.now() + timeoutS * 1000,
          },
          {
            onStart: () => {},
            headers: () => undefined,
            onLost: () => {},
            onHead: (given) => {
              status = given;
            },
            onData: (chunk) => {
              pieces.push(chunk.slice());
              return true;
            },
            onEnd: () => resolve({ status, body: Buffer.concat(pieces).toString("utf8"), error: null }),
            onFailure: (failure) => resolve({ status: null, body: "", error: failure.detail ?? failure.public.code }),
          },
        );
      }),
  };
}
