// `npm run docs:errors`: writes the generated pages of docs/, or with --check says which one is out of date.
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { readCommand } from "../cli.ts";
import { errorsPage } from "./errors.ts";

const DOCS = resolve(import.meta.dirname, "../../docs");
const PAGES = [["errors.md", errorsPage()]] as const;

const program = new Command("docs:errors")
  .description("Writes the generated pages of docs/.")
  .option("--check", "write nothing; exit with 1 if a page is out of date", false);
const read = readCommand(program, process.argv, () => program.opts<{ check: boolean }>());
if ("exit" in read) process.exit(read.exit);

for (const [name, page] of PAGES) {
  const file = join(DOCS, name);
  if (!read.given.check) {
    await writeFile(file, page);
    console.log(`docs/${name} written`);
  } else if ((await readFile(file, "utf8").catch(() => "")) !== page) {
    console.error(`docs/${name} is out of date; npm run docs:errors writes it anew`);
    process.exitCode = 1;
  }
}
