/**
 * Writes `analyzer/schema/commands.json`: the JSON schema of each command's `--json`, inferred from what the commands
 * print on dumps. Run it after a command's data have changed, and read the difference:
 *
 *     node scripts/update-json-schema.ts VMCORE [VMCORE …]
 *
 * The schema of the file before is kept and widened, so that what a dump does not show is not forgotten; `--fresh` begins
 * anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';

import { Session } from '../analyzer/commands/session.ts';
import { Program } from '../analyzer/program.ts';
import { COMMAND_LINES } from '../analyzer/schema/command-lines.ts';
import { mergeSchemas, schemaOf } from '../analyzer/schema/infer.ts';
import type { InferredSchema } from '../analyzer/schema/infer.ts';
import { runLine } from '../analyzer/shell.ts';

const FILE = new URL('../analyzer/schema/commands.json', import.meta.url);

const dumps = process.argv.slice(2).filter(word => word !== '--fresh');
const schemas = new Map<string, InferredSchema>(
  process.argv.includes('--fresh')
    ? []
    : Object.entries(JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, InferredSchema>),
);
for (const dump of dumps) {
  using program = new Program({ dump: [dump] });
  const session = new Session(program);
  for (const line of COMMAND_LINES) {
    const { text, error } = await runLine(session, line, true);
    if (error !== undefined) {
      process.stderr.write(`${dump}: ${line}: ${error}\n`);
      continue;
    }
    if (text === '') continue;
    const { command, data } = JSON.parse(text) as { command: string; data: unknown };
    const known = schemas.get(command);
    const found = schemaOf(data);
    schemas.set(command, known === undefined ? found : mergeSchemas(known, found));
  }
}
const sorted = Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(FILE, `${JSON.stringify(sorted, undefined, 2)}\n`);
