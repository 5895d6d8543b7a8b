/**
 * Reads what `kexec -d` printed on a running system: the system as kexec-tools saw it, and the segments that it loaded.
 *
 * Source: kexec-tools 2.0.25, the `dbgprintf` calls of `kexec/arch/arm64/*.c`, `kexec/crashdump-elf.c`, `kexec/kexec.c`.
 * With it a load can be repeated away from the machine, and compared.
 */
import { PT } from '../capture/formats/elf.ts';
import { FormatError } from '../capture/formats/errors.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import type { NoteLocation } from './elfcorehdr.ts';
import {
  firmwareMapOf,
  memoryOf,
  parseIomem,
  type IomemEntry,
  type RunningSystem,
  type X86Firmware,
} from './running-system.ts';
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
 * The system by a log.
 * @param deviceTree /sys/firmware/fdt of arm64, which the log does not hold
 * @throws FormatError naming the line that is missing
 */
export function systemOfDebugLog(
  log: string,
  deviceTree: Uint8Array,
  file?: string,
  architecture: RunningSystem['architecture'] = 'aarch64',
): RunningSystem {
  const notes = headers(log, 'Elf header').filter(({ p_type }) => p_type === PT.NOTE);
  return {
    architecture,
    ...(architecture === 'aarch64' ? memoryOfAarch64(log, file) : memoryOfX86(log, file)),
    cpuNotes: notes.map(noteOf),
    vmcoreinfo: headers(log, 'vmcoreinfo header').map(noteOf)[0],
    kernelText: headers(log, 'Kernel text Elf header').map(({ p_paddr, p_memsz, p_vaddr }) => ({
      paddr: p_paddr,
      size: p_memsz,
      vaddr: p_vaddr,
    }))[0],
    deviceTree,
  };
}

type LoggedMemory = Pick<
  RunningSystem,
  'systemRam' | 'usableRam' | 'reserved' | 'crashRegions' | 'pageOffset' | 'physOffset'
>;

function memoryOfAarch64(log: string, file: string | undefined): LoggedMemory {
  const crashRegions = rangesUnder(log, 'Reserved memory range', file);
  const coredump = rangesUnder(log, 'Coredump memory ranges', file);
  return {
    systemRam: mergeAdjacent([...coredump, ...crashRegions]),
    usableRam: rangesUnder(log, 'System RAM ranges;', file),
    reserved: excludedRanges(log),
    crashRegions,
    pageOffset: BigInt(`0x${need(log, /page_offset:\s+([\da-f]{16})/, 'page_offset:', file)}`),
    physOffset: Number.parseInt(need(log, /phys_offset:\s+([\da-f]{16})/, 'phys_offset:', file), 16),
  };
}

/** What `get_memory_ranges` takes out of System RAM. */
function excludedRanges(log: string): PhysicalRange[] {
  const lines = log.matchAll(/^get_memory_ranges:- +([\da-f]{16}) - ([\da-f]{16})/gm);
  return [...lines].map(([, start, end]) => ({
    start: Number.parseInt(start!, 16),
    end: Number.parseInt(end!, 16) + 1,
  }));
}

/** On x86_64 kexec repeats /proc/iomem. */
function memoryOfX86(log: string, file: string | undefined): LoggedMemory {
  const { systemRam, usableRam, reserved, crashRegions } = memoryOf(iomemOfLog(log, file));
  const load = headers(log, 'Elf header').find(({ p_type }) => p_type === PT.LOAD);
  if (load === undefined) throw new FormatError('no PT_LOAD in the log of kexec -d', { file });
  return {
    systemRam,
    usableRam,
    reserved,
    crashRegions,
    pageOffset: load.p_vaddr - BigInt(load.p_paddr),
    physOffset: 0,
  };
}

/** What firmware told an x86 kernel, by a log. */
export function firmwareOfDebugLog(log: string, file?: string): X86Firmware {
  const iomem = iomemOfLog(log, file);
  const rsdp = /\sacpi_rsdp=0x([\da-f]+)/.exec(log)?.[1];
  return { iomem, memoryMap: firmwareMapOf(iomem), acpiRsdp: rsdp === undefined ? 0 : Number.parseInt(rsdp, 16) };
}

function iomemOfLog(log: string, file: string | undefined): IomemEntry[] {
  const lines = log.match(/^[\da-f]{16}-[\da-f]{16} : .*$/gm);
  if (lines === null)
    throw new FormatError('not the log of kexec -p -c -d on x86_64: no lines of /proc/iomem', { file });
  return parseIomem(lines.join('\n'), file);
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
