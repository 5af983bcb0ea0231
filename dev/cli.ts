// The manners of a command line: values read by functions that throw, one clear line for what is wrong, exit code 2.
import { type Command, CommanderError, InvalidArgumentError } from "commander";

/** Commander's form of a parser that throws an Error. */
export function reading<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

export interface NumberRule {
  readonly least: number;
  readonly most?: number;
  readonly whole?: boolean;
}

export function number({ least, most = Number.MAX_SAFE_INTEGER, whole = true }: NumberRule): (text: string) => number {
  return reading((text) => {
    const value = Number(text);
    const fits = value >= least && value <= most && (!whole || Number.isInteger(value));
    if (text.trim() === "" || !fits) {
      const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
      throw new Error(`It must be a ${whole ? "whole " : ""}number ${range}.`);
    }
    return value;
  });
}

/**
 * What `read` makes of the parsed command line, or the code to exit with: 0 after help, 2 for what cannot be understood.
 * @param read throws an Error for what is wrong.
 */
export function readCommand<T>(
  program: Command,
  argv: readonly string[],
  read: () => T,
): { readonly given: T } | { readonly exit: number } {
  const oneLine = (text: string) => `${text.trim().replace(/\s*\n\s*/g, " ")}\n`;
  program.configureOutput({ outputError: (text, write) => write(oneLine(text)) }).exitOverride();
  try {
    program.parse(argv);
    return { given: read() };
  } catch (error) {
    if (error instanceof CommanderError) return { exit: error.exitCode === 0 ? 0 : 2 };
    process.stderr.write(oneLine(`error: ${error instanceof Error ? error.message : String(error)}`));
    return { exit: 2 };
  }
}
