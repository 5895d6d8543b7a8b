/**
 * How a load plan is shown: the last lines of `kexec -d`, an ASCII map, JSON.
 *
 * Sources: kexec-tools 2.0.25 `kexec/kexec.c` "print_segments"; Linux v6.12 `kernel/kexec_file.c` "kexec_file_load".
 */
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { hex } from './debug-lines.ts';
import type { LoadPlan } from './load-plan.ts';
import { segmentEnd } from './segments.ts';

/** The system call and its segments. Buffers have no address here: they are shown by the name of what they hold. */
export function planLines(plan: LoadPlan): string[] {
  return plan.syscall === 'kexec_load' ? kexecLoadLines(plan) : kexecFileLoadLines(plan);
}

function kexecLoadLines({ entry, flags, segments }: LoadPlan): string[] {
  return [
    `kexec_load: entry = 0x${hex(entry)} flags = 0x${hex(flags)}`,
    `nr_segments = ${segments.length}`,
    ...segments.flatMap(({ name, bytes, mem, memsz }, i) => [
      `segment[${i}].buf   = ${name}`,
      `segment[${i}].bufsz = 0x${hex(bytes.length)}`,
      `segment[${i}].mem   = 0x${hex(mem)}`,
      `segment[${i}].memsz = 0x${hex(memsz)}`,
    ]),
  ];
}

function kexecFileLoadLines({ entry, flags, segments }: LoadPlan): string[] {
  return [
    `kexec_file: nr_segments = ${segments.length}`,
    ...segments.map(
      ({ name, bytes, mem, memsz }, i) =>
        `kexec_file: segment[${i}]: buf=${name} bufsz=0x${hex(bytes.length)} mem=0x${hex(mem)} memsz=0x${hex(memsz)}`,
    ),
    `kexec_file: kexec_file_load: type:${(flags & 2) === 0 ? 0 : 1}, start:0x${hex(entry)} head:0x4 flags:0x${hex(flags)}`,
  ];
}

/** What a map shows of a plan, or of an image in a guest. */
export interface MappedImage {
  readonly entry: number;
  readonly segments: readonly { readonly name: string; readonly mem: number; readonly memsz: number }[];
}

/** What lies where, by address, holes included. */
export function mapLines(plan: MappedImage, region: PhysicalRange): string[] {
  const rows: { start: number; end: number; what: string }[] = [];
  let at = region.start;
  const hole = (end: number): void => {
    if (end > at) rows.push({ start: at, end, what: '' });
  };
  for (const segment of plan.segments.toSorted((a, b) => a.mem - b.mem)) {
    hole(segment.mem);
    at = segmentEnd(segment);
    const isEntered = plan.entry >= segment.mem && plan.entry < at;
    rows.push({
      start: segment.mem,
      end: at,
      what: `${segment.name}${isEntered ? `  <- entry 0x${hex(plan.entry)}` : ''}`,
    });
  }
  hole(region.end);
  const width = hex(region.end).length;
  const line = `+${'-'.repeat(width * 2 + 7)}+`;
  return [
    line,
    ...rows.flatMap(({ start, end, what }) => [
      `| 0x${hex(start).padStart(width, '0')}-0x${hex(end - 1).padStart(width, '0')} | ${sizeText(end - start).padStart(10)}  ${what || '(free)'}`,
      line,
    ]),
  ];
}

function sizeText(size: number): string {
  return size % 2 ** 20 === 0 ? `${size / 2 ** 20} MiB` : `${Math.round(size / 1024).toLocaleString('en')} KiB`;
}

/** The plan as plain data; segments without their bytes. */
export function planJson(plan: LoadPlan): object {
  const { syscall, segments, entry, dtb, flags } = plan;
  return {
    syscall,
    entry,
    dtb,
    flags,
    segments: segments.map(({ name, bytes, mem, memsz }) => ({ name, bufsz: bytes.length, mem, memsz })),
  };
}
