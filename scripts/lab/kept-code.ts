/**
 * Translated guest code, kept in the cache from run to run: a kernel that has been run is not translated again.
 *
 * What is kept changes how fast a run is, never what it does. A file is of one version of the engine, one kernel, and machines
 * that translate alike; it can be deleted at any time.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import type { BoardMachine } from '../../emulator/index.ts';
import { cacheFolder, writeFileAtomically } from '../../kernel-images/cache-folder.ts';

/** Bytes that all files may have; those used longest ago go first. */
const LIMIT = 512 * 2 ** 20;
/** Blocks and regions that are worth a file. */
const LEAST = 2000;
/** A run that has translated less than this share of what there is leaves the file as it is. */
const WORTH_SAVING = 0.02;
/** What decides how code is translated. */
const ENGINE_SOURCES = ['cpu', 'wasm'].map(folder =>
  fileURLToPath(new URL(`../../emulator/${folder}`, import.meta.url)),
);

/** A machine, as far as its code is concerned. */
type Translating = Pick<BoardMachine, 'translatedCode'>;

/** The kept code of a machine's kind. */
export class KeptCode {
  readonly #machine: Translating;
  readonly #path: string | undefined;
  readonly #sizeBefore: number;

  /**
   * Hands what was kept to a machine that has not run.
   * @param kernel the image that it boots
   */
  constructor(machine: Translating, kernel: Uint8Array) {
    const { identity } = machine.translatedCode;
    this.#machine = machine;
    this.#path = identity === undefined ? undefined : join(keptCodeFolder(), fileName(identity, kernel));
    if (this.#path !== undefined) load(machine, this.#path);
    this.#sizeBefore = machine.translatedCode.size;
  }

  /** Keeps what has been translated since. */
  save(): void {
    const { translatedCode } = this.#machine;
    const translated = Math.abs(translatedCode.size - this.#sizeBefore);
    const path = this.#path;
    if (path === undefined || translated < Math.max(LEAST, WORTH_SAVING * translatedCode.size)) return;
    const params = { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 };
    attempt(() => {
      writeFileAtomically(path, zstdCompressSync(translatedCode.export(), { params }));
      prune();
    });
  }
}

function load({ translatedCode }: Translating, path: string): void {
  const code = attempt(() => zstdDecompressSync(readFileSync(path)));
  // a damaged file goes
  if (code === undefined) attempt(() => rmSync(path));
  else if (translatedCode.import(code)) attempt(() => utimesSync(path, new Date(), new Date()));
}

/** Where the files are. */
export function keptCodeFolder(): string {
  return join(cacheFolder(), 'code');
}

function fileName(identity: string, kernel: Uint8Array): string {
  const hash = createHash('sha256').update(engineVersion()).update(identity);
  return `${crc32(kernel).toString(16).padStart(8, '0')}-${hash.digest('hex').slice(0, 32)}.zst`;
}

/** A hash of the sources that translate. */
function engineVersion(): string {
  const hash = createHash('sha256');
  for (const sources of ENGINE_SOURCES) {
    for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' }).toSorted()) {
      if (name.endsWith('.ts')) hash.update(name).update(readFileSync(join(sources, name)));
    }
  }
  return hash.digest('hex');
}

function prune(): void {
  const files = readdirSync(keptCodeFolder())
    .filter(name => name.endsWith('.zst'))
    .map(name => usage(join(keptCodeFolder(), name)))
    .toSorted((a, b) => b.used - a.used);
  let total = 0;
  for (const { path, size } of files) {
    total += size;
    if (total > LIMIT) rmSync(path, { force: true });
  }
}

function usage(path: string): { readonly path: string; readonly size: number; readonly used: number } {
  const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
  return { path, size, used: mtimeMs };
}

/** A cache that cannot be read or written is none: undefined then. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
