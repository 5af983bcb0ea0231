// Builds the Worker once before the files that run it.
import { buildWorker } from "../../dev/edge/build.ts";

export default async function setup(): Promise<void> {
  await buildWorker();
}
