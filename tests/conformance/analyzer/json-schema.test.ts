/**
 * Every command's `--json` on the reference dumps against the published schema, judged by Ajv. A change of a command's
 * data that the schema does not know fails here: run `scripts/update-json-schema.ts`.
 */
import { join } from 'node:path';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, describe, expect, test } from 'vitest';

import { Session } from '../../../analyzer/commands/session.ts';
import { Program } from '../../../analyzer/program.ts';
import { COMMAND_LINES } from '../../../analyzer/schema/command-lines.ts';
import { DATA_SCHEMAS, lineSchema } from '../../../analyzer/schema/schema.ts';
import { runLine } from '../../../analyzer/shell.ts';
import { findDumpFolder } from '../../support/crash-reference.ts';

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true });
const validators = new Map(Object.keys(DATA_SCHEMAS).map(name => [name, ajv.compile(lineSchema(name))]));

test('the schema of all commands is a JSON schema', () => {
  expect(ajv.validateSchema(lineSchema())).toBe(true);
});

for (const [name, file] of [
  ['aarch64-6.1', 'vmcore'],
  ['x86_64-6.1', 'vmcore'],
  ['aarch64-6.12-va52', 'vmcore.d31'],
] as const) {
  const folder = findDumpFolder(name);
  if (folder === undefined) {
    test.skip(`${name}: no reference dump`);
    continue;
  }
  describe(name, () => {
    const program = new Program({ dump: [join(folder, file)] });
    const session = new Session(program);
    afterAll(() => program[Symbol.dispose]());

    test.each(COMMAND_LINES)('%s', async line => {
      const { text, error } = await runLine(session, line, true);
      if (error !== undefined || text === '') return;
      const printed = JSON.parse(text) as { command: string };
      const validate = validators.get(printed.command);
      expect(validate, `no schema of ${printed.command}`).toBeDefined();
      expect(validate!(printed), ajv.errorsText(validate!.errors)).toBe(true);
    });
  });
}
