// One JSON request, read to the end of its answer.
import { expect } from "vitest";

/** The body of a 200. */
export async function read(url: string, body: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  expect(response.status).toBe(200);
  return response.text();
}
