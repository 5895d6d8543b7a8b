/**
 * Reference dumps and what the real crash printed on them. Found beside the checkout (`../shared/dumps`), or where
 * `KDUMP_LAB_DUMPS` says; each folder has `commands.tsv` (name, command) and `expected/NAME.out`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export interface ReferenceCase {
  readonly name: string;
  readonly line: string;
  readonly expected: string;
}

/** Folder of a reference dump, or undefined when the dumps are not there. */
export function findDumpFolder(name: string): string | undefined {
  const root = process.env['KDUMP_LAB_DUMPS'] ?? resolve(import.meta.dirname, '../../../shared/dumps');
  const folder = join(root, name);
  return existsSync(join(folder, 'vmcore')) || existsSync(join(folder, 'vmcore.d31')) ? folder : undefined;
}

/** The commands of a reference dump with the reference's output. */
export function referenceCases(folder: string): ReferenceCase[] {
  return readFileSync(join(folder, 'commands.tsv'), 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [name = '', command = ''] = line.split('\t');
      return { name, line: command, expected: readFileSync(join(folder, 'expected', `${name}.out`), 'latin1') };
    });
}

/** Removes what cannot be the same: paths, blanks at line ends and empty lines at both ends. */
export function normalise(text: string): string {
  return text
    .replace(/^( +KERNEL: ).*$/m, '$1vmlinux')
    .replace(/^( +DUMPFILE: ).*$/m, '$1vmcore')
    .replace(/^( +namelist: ).*$/m, '$1vmlinux')
    .replace(/^( +dumpfile: ).*$/m, '$1vmcore')
    .replaceAll(/\$\d+ = /g, '$N = ')
    .split('\n')
    .map(line => line.trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '');
}

const RECORDED = join(import.meta.dirname, '../fixtures/crash-9.0.2');

/** A command with what crash printed. */
export interface RecordedCase {
  readonly line: string;
  readonly needsVmlinux: boolean;
  readonly expected: string;
}

/** The recorded commands of a dump: `tests/fixtures/crash-9.0.2/NAME.txt`. */
export function recordedCases(dump: string): RecordedCase[] {
  const parts = readFileSync(join(RECORDED, `${dump}.txt`), 'latin1')
    .split(/^crash([+>]) (.*)\n/m)
    .slice(1);
  return Array.from({ length: parts.length / 3 }, (_, index) => ({
    needsVmlinux: parts[3 * index] === '>',
    line: parts[3 * index + 1]!,
    expected: parts[3 * index + 2]!,
  }));
}
