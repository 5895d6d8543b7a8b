/**
 * The published JSON schema of what `crash --json` prints: one object a line, `{ "command": NAME, "data": … }`.
 *
 * `commands.json` holds the schema of each command's `data`; `scripts/update-json-schema.ts` writes it from what the
 * commands print on dumps, and a test checks their output against it. Addresses and 64-bit values are strings of
 * hexadecimal digits with `0x`; bytes are a string of hexadecimal digits; a structure is its type's name and address.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import { COMMANDS } from '../commands/registry.ts';
import commands from './commands.json' with { type: 'json' };

const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

/** A JSON schema, as far as we write them. */
export type Schema = Readonly<Record<string, unknown>>;

/** Schema of each command's `data`; commands that print none are not there. */
export const DATA_SCHEMAS: Readonly<Record<string, Schema>> = commands;

/** Schema of a line of `--json`. @throws UsageError for an unknown command */
export function lineSchema(command?: string): Schema {
  if (command === undefined)
    return { $schema: DIALECT, title: 'crash --json', oneOf: Object.keys(COMMANDS).map(lineOf) };
  if (!Object.hasOwn(COMMANDS, command)) throw new UsageError(`there is no command ${command}`);
  return { $schema: DIALECT, ...lineOf(command) };
}

function lineOf(command: string): Schema {
  return {
    title: command,
    type: 'object',
    properties: { command: { const: command }, data: DATA_SCHEMAS[command] ?? {} },
    required: ['command', 'data'],
    additionalProperties: false,
  };
}

/** What `crash --json-schema [COMMAND]` prints. */
export function schemaText(command: string | undefined): string {
  return `${JSON.stringify(lineSchema(command), undefined, 2)}\n`;
}
