// Where traces go and what is in them, as the configuration says it.
import { withoutEmptyCredentials } from "./config-headers.ts";

export interface TracingConfig {
  /** Share of exchanges that are traced, from 0 to 1. */
  readonly sample: number;
  readonly langfuse: LangfuseConfig | undefined;
  readonly otlp: OtlpConfig | undefined;
}

export interface LangfuseConfig {
  readonly host: string;
  readonly publicKey: string;
  readonly secretKey: string;
  /** Prompts and answers are traced too. */
  readonly content: boolean;
}

/** Any collector that speaks OTLP over HTTP. */
export interface OtlpConfig {
  /** Of traces: used as it is. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: boolean;
}

/** As it stands in the file. Empty texts are variables that are not set: nothing goes there. */
export interface TracingFile {
  readonly sample: number;
  readonly langfuse?:
    | { readonly host: string; readonly public_key: string; readonly secret_key: string; readonly content: boolean }
    | undefined;
  readonly otlp?:
    | { readonly endpoint: string; readonly headers: Readonly<Record<string, string>>; readonly content: boolean }
    | undefined;
}

export function tracingOf(file: TracingFile | undefined): TracingConfig | undefined {
  const langfuse = file?.langfuse?.host === "" ? undefined : file?.langfuse;
  const otlp = file?.otlp?.endpoint === "" ? undefined : file?.otlp;
  if (file === undefined || (langfuse === undefined && otlp === undefined)) return undefined;
  return {
    sample: file.sample,
    langfuse:
      langfuse === undefined
        ? undefined
        : {
            host: langfuse.host,
            publicKey: langfuse.public_key,
            secretKey: langfuse.secret_key,
            content: langfuse.content,
          },
    otlp: otlp === undefined ? undefined : { ...otlp, headers: withoutEmptyCredentials(otlp.headers) },
  };
}

export function isHalfLangfuse({ langfuse }: TracingFile): boolean {
  if (langfuse === undefined) return false;
  const { host, public_key, secret_key } = langfuse;
  return [host, public_key, secret_key].filter((value) => value !== "").length % 3 !== 0;
}
