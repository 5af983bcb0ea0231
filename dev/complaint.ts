// What is wrong with data that does not fit its schema: the first thing, with the name of the field. Pure.
import type { z } from "zod";

export function complaint(error: z.ZodError): string {
  const issue = error.issues[0];
  const path = issue?.path.join(".") ?? "";
  return `${path === "" ? "" : `${path}: `}${issue?.message ?? "invalid"}`;
}
