/**
 * RAM of a machine that runs. As a file that the machine shares (QEMU's `-object memory-backend-file,share=on,mem-path=FILE`) it is
 * named as crash names it, `live:FILE@ADDRESS`, several separated by commas, and may change at any time. Through a gdb stub it is
 * `live:gdb:HOST:PORT`. It can be written to.
 */
import { closeSync, openSync, writeSync } from 'node:fs';

import type { CpuRegisters } from '../../capture/formats/elf-notes.ts';
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { openDump, ramDump } from '../../capture/sources/dump-file.ts';
import type { Architecture, Dump } from '../../capture/sources/dump-file.ts';
import { GdbMemory } from './gdb-memory.ts';
import { RawMemory } from '../../capture/sources/raw-memory.ts';

/** Physical memory that can be written to, and that nothing keeps a copy of. */
export interface LiveMemory extends MemorySource {
  /** @throws FaultError where there is no RAM, UsageError when it may not be written to */
  write(paddr: number, bytes: Uint8Array): void;
  /** What each CPU has in its registers, where that is known; the pid is the CPU's number and 1, as in a dump that QEMU wrote. */
  registers?(architecture: Architecture): readonly CpuRegisters[];
  /** Stops the machine for as long as a command reads it; where that cannot be, what is read may change meanwhile. */
  hold?(): void;
  /** Lets the machine run on. */
  release?(): void;
}

/** Tells whether memory is that of a running machine. */
export function isLive(memory: MemorySource): memory is LiveMemory {
  return 'write' in memory;
}

const PREFIX = 'live:';
/** `live:gdb:HOST:PORT`, or `live:gdb::PORT`. */
const STUB = /^live:gdb:(?:tcp:)?(.*):(\d{1,5})$/;

/** Tells whether a word names the memory of a running machine. */
export function namesLiveMemory(word: string): boolean {
  return word.startsWith(PREFIX);
}

/** Opens the memory of a running machine. @throws UsageError, FormatError */
export function openLive(words: readonly string[]): Dump {
  const [word = ''] = words;
  const stub = STUB.exec(word);
  if (stub !== null) return ramDump(word, new GdbMemory(word, stub[1] || 'localhost', Number(stub[2])));
  const images = words.map(word => word.slice(PREFIX.length));
  const dump = openDump(images);
  const memory = new LiveRam(images);
  return Object.create(dump, { memory: { value: memory, enumerable: true } }) as Dump;
}

/** RAM images of which no page is kept. */
class LiveRam extends RawMemory implements LiveMemory {
  write(paddr: number, bytes: Uint8Array): void {
    const [first, last] = [paddr, paddr + bytes.length - 1].map(address => Math.floor(address / this.pageSize));
    const image = this.images.find(({ firstPfn, endPfn }) => firstPfn <= first! && last! < endPfn);
    if (image === undefined) throw new FaultError(paddr, 'no RAM is there');
    const fd = openForWriting(image.source.name);
    try {
      writeSync(fd, bytes, 0, bytes.length, paddr - image.firstPfn * this.pageSize);
    } finally {
      closeSync(fd);
    }
  }
}

function openForWriting(path: string): number {
  try {
    return openSync(path, 'r+');
  } catch (error) {
    throw new UsageError(`${path}: cannot be written to: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
