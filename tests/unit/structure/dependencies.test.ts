/** Who may import whom: the table of the parts, as imports really are. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

/** Rooms from the most specific path on, with the rooms that each may import besides itself. */
const MAY_IMPORT: readonly (readonly [room: string, allowed: readonly string[]])[] = [
  ['capture/formats', []],
  ['capture/addrxlat', ['capture/formats']],
  ['capture', ['capture/formats', 'capture/addrxlat']],
  ['analyzer', ['capture/formats', 'capture/addrxlat', 'capture/sources']],
  ['kexec', ['capture/formats', 'emulator/machine/boot-state.ts']],
  ['emulator/wasm', []],
  ['emulator/cpu/ir', ['capture/formats/errors.ts']],
  ['emulator/cpu/float', ['emulator/cpu/ir', 'capture/formats/errors.ts']],
  ['emulator/cpu/execute', ['emulator/cpu/ir', 'emulator/wasm', 'emulator/memory', 'capture/formats/errors.ts']],
  [
    'emulator/cpu/a64',
    [
      'emulator/cpu/ir',
      'emulator/cpu/float',
      'emulator/cpu/execute/guest.ts',
      'emulator/cpu/execute/cpu-state.ts',
      'capture/formats/errors.ts',
    ],
  ],
  [
    'emulator/cpu/x64',
    [
      'emulator/cpu/ir',
      'emulator/cpu/float',
      'emulator/cpu/execute/guest.ts',
      'emulator/cpu/execute/cpu-state.ts',
      'capture/formats/errors.ts',
    ],
  ],
  ['emulator/devices', ['emulator/memory/device.ts', 'capture/formats']],
  ['emulator/memory', ['capture/formats']],
  ['emulator/machine', ['emulator', 'capture/formats']],
  ['emulator', ['emulator', 'capture/formats']],
  ['kernel-images', ['capture/formats']],
];

/** Rooms that nothing restricts. */
const FREE = ['scripts', 'tests'];

function sourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => relative(ROOT, join(entry.parentPath, entry.name)));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const specifiers = text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...specifiers].map(([, specifier]) => relative(ROOT, join(ROOT, dirname(file), specifier!)));
}

function isIn(path: string, room: string): boolean {
  return path === room || path.startsWith(`${room}/`);
}

/** Imports that the table does not allow, as `file → import`. */
function violations(file: string): string[] {
  const rule = MAY_IMPORT.find(([room]) => isIn(file, room));
  if (rule === undefined) return [`${file} is in no room`];
  const [room, allowed] = rule;
  // A room's own files are those that no more specific room has.
  const roomOf = (path: string): string | undefined => MAY_IMPORT.find(([candidate]) => isIn(path, candidate))?.[0];
  return importsOf(file)
    .filter(path => path !== 'package.json' && roomOf(path) !== room && !allowed.some(other => isIn(path, other)))
    .map(path => `${file} → ${path}`);
}

const TOP_LEVEL = ['emulator', 'kernel-images', 'kexec', 'capture', 'analyzer'];

test.each(TOP_LEVEL)('%s imports only what its room may', folder => {
  expect(sourceFiles(folder).flatMap(violations)).toEqual([]);
});

/** Scripts and those who share a table with the emulator come in by its front door. */
test.each(['scripts', 'kexec', 'kernel-images', 'analyzer', 'capture'])(
  '%s sees of the emulator what emulator/index.ts shows',
  folder => {
    const allowed = new Set(['emulator/index.ts', ...(folder === 'kexec' ? ['emulator/machine/boot-state.ts'] : [])]);
    const others = sourceFiles(folder).flatMap(file =>
      importsOf(file)
        .filter(path => isIn(path, 'emulator') && !allowed.has(path))
        .map(path => `${file} → ${path}`),
    );
    expect(others).toEqual([]);
  },
);

test('devices import no other device but their own parts', () => {
  const deviceOf = (path: string): string => path.split('/')[2]!.replace(/\.ts$/, '');
  /** Building blocks that several devices are made of. */
  const shared = new Set(['primecell', 'tick-rate', 'gic', 'block', 'net', 'pci', 'virtio']);
  const crossing = sourceFiles('emulator/devices').flatMap(file =>
    importsOf(file)
      .filter(
        path => isIn(path, 'emulator/devices') && deviceOf(path) !== deviceOf(file) && !shared.has(deviceOf(path)),
      )
      .map(path => `${file} → ${path}`),
  );
  expect(crossing).toEqual([]);
});

test('every top-level folder of sources has a rule or is free', () => {
  const folders = readdirSync(ROOT, { withFileTypes: true })
    .filter(
      entry =>
        entry.isDirectory() &&
        !entry.name.startsWith('.') &&
        !['node_modules', 'out', 'kdump-lab-out'].includes(entry.name),
    )
    .map(entry => entry.name);
  expect(folders.filter(folder => ![...TOP_LEVEL, ...FREE].includes(folder))).toEqual([]);
});
