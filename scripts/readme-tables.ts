/**
 * Fills the README's generated sections from the code: `node scripts/readme-tables.ts` writes them, `--check` only compares.
 *
 * A section stands between `<!-- generated: NAME -->` and `<!-- end -->`.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { COMMANDS, loadCommand } from '../analyzer/commands/registry.ts';
import {
  A64_FEATURE_NAMES,
  A64_INSTRUCTIONS,
  CPU_MODEL_NAMES,
  cpuModel,
  X64_INSTRUCTIONS,
  X64_MODEL_NAMES,
  x64Model,
} from '../emulator/index.ts';
import { DEVICE_TYPES, MACHINE_TYPES } from './commands/boot-options.ts';
import { HELP as MAKEDUMPFILE_HELP } from './commands/makedumpfile/texts.ts';

const ROOT = join(import.meta.dirname, '..');
const README = join(ROOT, 'README.md');
const SECTION = /(<!-- generated: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g;

/** Text of each section, by name. */
const SECTIONS: Readonly<Record<string, () => string | Promise<string>>> = {
  'arm64-models': arm64Models,
  'x86-models': x86Models,
  'not-executed': notExecuted,
  machines,
  devices,
  commands,
  makedumpfile: () => `\`\`\`text\n${MAKEDUMPFILE_HELP.trim()}\n\`\`\``,
  'not-modelled': notModelled,
  'not-implemented': notImplemented,
};

/** A README with all sections filled. @throws Error for a section that nobody makes, or one that is missing */
export async function fillReadme(text: string): Promise<string> {
  const contents = new Map<string, string>();
  for (const [name, make] of Object.entries(SECTIONS)) contents.set(name, await make());
  const filled = text.replaceAll(SECTION, (_, start: string, name: string, end: string) => {
    const content = contents.get(name);
    if (content === undefined) throw new Error(`README: no generated section is called ${name}`);
    contents.delete(name);
    return `${start}\n${content}\n\n${end}`;
  });
  if (contents.size > 0) throw new Error(`README: sections are missing: ${[...contents.keys()].join(', ')}`);
  return filled;
}

/** The README as it is. */
export function readReadme(): string {
  return readFileSync(README, 'utf8');
}

const line = (cells: readonly string[]): string => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

interface Row {
  readonly name: string;
  readonly reason: string;
}

function arm64Models(): string {
  const rows = CPU_MODEL_NAMES.map(name => {
    const { features, physicalAddressBits } = cpuModel(name);
    const executed = A64_INSTRUCTIONS.filter(
      ({ feature, semantics }) => typeof semantics === 'function' && (feature === undefined || features.has(feature)),
    );
    const names = A64_FEATURE_NAMES.filter(feature => features.has(feature)).map(feature => feature.slice(5));
    return [`\`${name}\``, String(executed.length), `${physicalAddressBits} bits`, names.join(', ')];
  });
  return table(['`-cpu`', 'Encodings', 'Physical addresses', 'FEAT_… beyond Armv8.0-A'], rows);
}

function x86Models(): string {
  const rows = X64_MODEL_NAMES.map(name => {
    const { features, physicalAddressBits } = x64Model(name);
    return [`\`${name}\``, `${physicalAddressBits} bits`, [...features].toSorted().join(', ')];
  });
  const executed = X64_INSTRUCTIONS.filter(({ semantics }) => typeof semantics === 'function').length;
  return `${table(['`-cpu`', 'Physical addresses', 'Features'], rows)}\n\nThe opcode map has ${executed} executed rows.`;
}

function byReason(architecture: string, rows: readonly Row[]): string[][] {
  return [...Map.groupBy(rows, ({ reason }) => reason)].map(([reason, group]) => [
    architecture,
    [...new Set(group.map(({ name }) => `\`${name}\``))].join(', '),
    reason,
  ]);
}

function notExecuted(): string {
  const a64 = A64_INSTRUCTIONS.flatMap(({ name, semantics }) =>
    typeof semantics === 'function' ? [] : [{ name, reason: semantics.unimplemented }],
  );
  const x64 = X64_INSTRUCTIONS.flatMap(({ mnemonic, semantics }) =>
    typeof semantics === 'function' ? [] : [{ name: mnemonic, reason: semantics.unimplemented }],
  );
  return table(['', 'Instructions', 'Why'], [...byReason('arm64', a64), ...byReason('x86_64', x64)]);
}

function machines(): string {
  const types = Object.entries(MACHINE_TYPES).map(([type, architecture]) => `\`${type}\` (${architecture})`);
  return `Machines: ${types.join(', ')}. Devices: ${DEVICE_TYPES.map(type => `\`${type}\``).join(', ')}.`;
}

/** Files in `emulator/devices` that are parts of devices, and no device. */
const DEVICE_PARTS: ReadonlySet<string> = new Set([
  'backend.ts',
  'cpu-interface.ts',
  'device-core.ts',
  'distributor.ts',
  'file-backend.ts',
  'its-commands.ts',
  'its-tables.ts',
  'lpi-tables.ts',
  'msix.ts',
  'overlay-backend.ts',
  'redistributor.ts',
]);

function devices(): string {
  const rows = sourceFiles('emulator/devices').flatMap(({ path, text }) => {
    if (DEVICE_PARTS.has(basename(path))) return [];
    const [, name, what] = /^\/\*\*\n \* ([^:\n]{2,40}): (.*?)\.?\n/.exec(text) ?? [];
    return name === undefined || what === undefined ? [] : [[name.replace(/^(?:The|A) /, ''), what]];
  });
  return table(['Device', 'What it is'], rows);
}

async function commands(): Promise<string> {
  const rows: string[][] = [];
  for (const name of Object.keys(COMMANDS)) {
    const command = (await loadCommand(name))!;
    if (command.name !== name) continue;
    rows.push([`\`${name}\``, command.summary, command.options.map(({ flag }) => `\`${flag}\``).join(' ')]);
  }
  return table(['Command', 'What it shows', 'Options'], rows);
}

/** What the sources say after the words `Not modelled:`, by file. */
function notModelled(): string {
  const rows = ['emulator', 'capture', 'kexec', 'kernel-images', 'analyzer'].flatMap(folder =>
    sourceFiles(folder).flatMap(({ path, text }) => {
      const notes = [...text.matchAll(/Not modelled: ([\s\S]*?)\.?(?:\s\*\/|\.\s|\n \*\s*\n)/g)];
      return notes.map(([, note]) => [`\`${path}\``, note!.replaceAll(/\s*\n\s*\* /g, ' ')]);
    }),
  );
  return table(['Source', 'Not modelled'], rows);
}

/** Messages of `UnimplementedError`: what ends in one line instead. What a kernel lacks is not ours to implement. */
function notImplemented(): string {
  const folders = ['emulator', 'capture', 'kexec', 'kernel-images', 'scripts'];
  const rows = folders.flatMap(folder =>
    sourceFiles(folder).flatMap(({ path, text }) => {
      const thrown = [...text.matchAll(/new UnimplementedError\(\s*(?:'([^']+)'|"([^"]+)"|`([^`]+)`)/g)];
      return thrown.map(([, single, double, template]) => [
        (single ?? double ?? template ?? '').replaceAll(/\$\{[^}]*\}/g, '…'),
        `\`${basename(path)}\``,
      ]);
    }),
  );
  return table(['What', 'Where'], rows);
}

interface SourceFile {
  /** From the project's folder on. */
  readonly path: string;
  readonly text: string;
}

function sourceFiles(folder: string): SourceFile[] {
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter(name => name.endsWith('.ts'))
    .toSorted()
    .map(name => ({ path: join(folder, name), text: readFileSync(join(ROOT, folder, name), 'utf8') }));
}

if (import.meta.main) {
  const old = readReadme();
  const text = await fillReadme(old);
  if (!process.argv.includes('--check')) writeFileSync(README, text);
  else if (text !== old) {
    console.error('README.md is stale: run node scripts/readme-tables.ts');
    process.exitCode = 1;
  }
}
