// Every entry of a hub's journal, in order, with the hub's own times: a trigger in its database copies each, because the hub
// itself forgets what it has summed up. The hub must not run while it is put there.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Entry } from "../../edge/gate/books.ts";

const TRIGGER = `
  CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY, entries TEXT NOT NULL);
  CREATE TRIGGER IF NOT EXISTS audit_journal AFTER INSERT ON journal
    BEGIN INSERT INTO audit (entries) VALUES (new.entries); END;
`;

/** @param state the edge's `--state`. */
export async function keepJournal(state: string): Promise<void> {
  for (const file of await databases(state)) using(file, (database) => database.exec(TRIGGER));
}

export async function readJournal(state: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const file of await databases(state)) {
    using(file, (database) => {
      const rows = database.prepare("SELECT entries FROM audit ORDER BY seq").all();
      for (const row of rows) entries.push(...(JSON.parse(String(row["entries"])) as Entry[]));
    });
  }
  return entries;
}

async function databases(state: string): Promise<string[]> {
  const folder = join(state, "do/heartcode-hub");
  const files = (await readdir(folder)).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
  if (files.length === 0) throw new Error(`no hub has written anything in ${folder}`);
  return files.map((file) => join(folder, file));
}

function using(file: string, work: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(file);
  try {
    work(database);
  } finally {
    database.close();
  }
}
