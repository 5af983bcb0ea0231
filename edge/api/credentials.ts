// Who is asking: the first look at a request, before anything of it is read. A key of the wrong form reaches no hub.
import { Failure } from "../../shared/errors.ts";
import type { Credentials } from "../../shared/hop.ts";
import type { Settings } from "../settings.ts";

/** What the gate's room knows of keys, passed in by the composition root. */
export interface KeyForm {
  bearer(authorization: string | null): string | null;
  isKey(text: string): boolean;
  digestOf(key: string): string;
  isSame(given: string, secret: string): boolean;
}

/** @throws Failure invalid_api_key: one text for missing, malformed and wrong. */
export function readCredentials(request: Request, settings: Settings, form: KeyForm): Credentials {
  const key = form.bearer(request.headers.get("authorization"));
  if (key === null) throw new Failure("invalid_api_key");
  if (settings.authMode === "master-key") {
    if (form.isSame(key, settings.masterKey)) return { mode: "master-key" };
    throw new Failure("invalid_api_key");
  }
  if (!form.isKey(key)) throw new Failure("invalid_api_key");
  return { mode: "backend", key, digest: form.digestOf(key) };
}
