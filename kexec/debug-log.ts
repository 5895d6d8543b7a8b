/**
 * Reads what `kexec -d` printed on a running system: the system as kexec-tools saw it, and the segments that it loaded.
 *
 * Source: kexec-tools 2.0.25, the `dbgprintf` calls of `kexec/arch/arm64/*.c`, `kexec/crashdump-elf.c`, `kexec/kexec.c`.
 * With it a load can be repeated away from the machine, and compared.
 */
import { FormatError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import type { NoteLocation } from './elfcorehdr.ts';
import type { RunningSystem } from './running-system.ts';
import { mergeAdjacent } from './segments.ts';

/** A segment as kexec-tools printed it. */
export interface LoggedSegment {
  readonly bufsz: number;
  readonly mem: number;
  readonly memsz: number;
}

/** The system call as kexec-tools printed it. */
export interface LoggedLoad {
  readonly entry: number;
  readonly flags: number;
  readonly segments: readonly LoggedSegment[];
}

interface LoggedHeader {
  readonly p_type: number;
  readonly p_paddr: number;
  readonly p_vaddr: bigint;
  readonly p_memsz: number;
}

/**
 * The system by an arm64 log.
 * @param deviceTree /sys/firmware/fdt, which the log does not hold
 * @throws FormatError naming the line that is missing
 */
export function systemOfDebugLog(log: string, deviceTree: Uint8Array, file?: string): RunningSystem {
  const crashRegions = rangesUnder(log, 'Reserved memory range', file);
  const coredump = rangesUnder(log, 'Coredump memory ranges', file);
  const notes = headers(log, 'Elf header').filter(({ p_type }) => p_type === 4);
  return {
    architecture: 'aarch64',
    systemRam: mergeAdjacent([...coredump, ...crashRegions]),
    usableRam: rangesUnder(log, 'System RAM ranges;', file),
    crashRegions,
    cpuNotes: notes.map(noteOf),
    vmcoreinfo: headers(log, 'vmcoreinfo header').map(noteOf)[0],
    kernelText: headers(log, 'Kernel text Elf header').map(({ p_paddr, p_memsz, p_vaddr }) => ({
      paddr: p_paddr,
      size: p_memsz,
      vaddr: p_vaddr,
    }))[0],
    pageOffset: BigInt(`0x${need(log, /page_offset:\s+([\da-f]{16})/, 'page_offset:', file)}`),
    physOffset: Number.parseInt(need(log, /phys_offset:\s+([\da-f]{16})/, 'phys_offset:', file), 16),
    deviceTree,
  };
}

/** The system call by a log. @throws FormatError when the log ends before it */
export function loadOfDebugLog(log: string, file?: string): LoggedLoad {
  const call = /kexec_load: entry = 0x([\da-f]+) flags = 0x([\da-f]+)/.exec(log);
  if (call === null) throw new FormatError('no kexec_load in the log of kexec -d', { file });
  const segments = log
    .slice(call.index)
    .matchAll(
      /segment\[\d+\]\.bufsz = 0x([\da-f]+)\s+segment\[\d+\]\.mem +(?:=) 0x([\da-f]+)\s+segment\[\d+\]\.memsz = 0x([\da-f]+)/g,
    );
  return {
    entry: Number.parseInt(call[1]!, 16),
    flags: Number.parseInt(call[2]!, 16),
    segments: [...segments].map(([, bufsz, mem, memsz]) => ({
      bufsz: Number.parseInt(bufsz!, 16),
      mem: Number.parseInt(mem!, 16),
      memsz: Number.parseInt(memsz!, 16),
    })),
  };
}

/** Lines `start-end (type)` behind a title. */
function rangesUnder(log: string, title: string, file: string | undefined): PhysicalRange[] {
  const lines = log.split(/\r?\n/);
  const at = lines.findIndex(line => line.endsWith(title));
  if (at < 0) throw new FormatError(`not the log of kexec -p -c -d on arm64: "${title}" is missing`, { file });
  const ranges: PhysicalRange[] = [];
  for (const line of lines.slice(at + 1)) {
    const match = /^([\da-f]{16})-([\da-f]{16}) \(\d+\)/.exec(line);
    if (match === null) break;
    ranges.push({ start: Number.parseInt(match[1]!, 16), end: Number.parseInt(match[2]!, 16) + 1 });
  }
  return ranges;
}

function headers(log: string, prefix: string): LoggedHeader[] {
  const line = new RegExp(
    String.raw`^${prefix}: p_type = (\d+), p_offset = 0x[\da-f]+ p_paddr = 0x([\da-f]+) p_vaddr = 0x([\da-f]+) p_filesz = 0x[\da-f]+ p_memsz = 0x([\da-f]+)`,
    'gm',
  );
  return [...log.matchAll(line)].map(([, type, paddr, vaddr, memsz]) => ({
    p_type: Number(type),
    p_paddr: Number.parseInt(paddr!, 16),
    p_vaddr: BigInt(`0x${vaddr!}`),
    p_memsz: Number.parseInt(memsz!, 16),
  }));
}

function noteOf({ p_paddr, p_memsz }: LoggedHeader): NoteLocation {
  return { paddr: p_paddr, size: p_memsz };
}

function need(log: string, pattern: RegExp, what: string, file: string | undefined): string {
  const value = pattern.exec(log)?.[1];
  if (value === undefined) throw new FormatError(`not the log of kexec -d on arm64: "${what}" is missing`, { file });
  return value;
}
