// A hub with more request bodies than it can hold turns away what comes on top, and takes it again afterwards.
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { BODIES_BYTES } from "../../edge/hub/bodies.ts";
import { EXCHANGE_HEADER, readFailure } from "../../shared/hop.ts";
import { askedOf } from "../support/asked.ts";

const BODY = new Uint8Array(256 * 1024);
const MORE = 10;

test("bodies that wait for a connector take no more of a hub than they may", async () => {
  const stub = env.HUB.get(env.HUB.idFromName("shard-0"));
  const ask = async (i: number): Promise<string | undefined> => {
    const asked = askedOf(`req_${i}`, { target: "nobody" });
    const headers = { [EXCHANGE_HEADER]: JSON.stringify(asked) };
    const response = await stub.fetch("http://hub/", { method: "POST", headers, body: BODY });
    return readFailure(response.headers)?.code;
  };
  const most = BODIES_BYTES / BODY.byteLength;
  const codes = await Promise.all(Array.from({ length: most + MORE }, (_, i) => ask(i)));
  expect(codes.filter((code) => code === "queue_full")).toHaveLength(MORE);
  expect(codes.filter((code) => code === "model_unavailable")).toHaveLength(most);
  expect(await ask(most + MORE)).toBe("model_unavailable");
}, 30_000);
