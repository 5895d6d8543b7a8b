/** A system as a dump shows it: for planning away from it, and for checking what it had loaded. */
import { Program } from '../../../analyzer/program.ts';
import { FaultError, UsageError } from '../../../capture/formats/errors.ts';
import type { PhysicalRange } from '../../../capture/formats/memory-source.ts';
import { checkProgram, type KexecCheck } from '../../lab/live-check.ts';
import { describeLiveKernel, firmwareOfLiveKernel } from '../../lab/live-kernel.ts';
import type { DescribedSystem } from './system.ts';

const PAGE = 4096;
/** Only kernels with CONFIG_KEXEC_FILE have it. */
const FILE_LOAD_SYMBOL = 'kexec_add_buffer';

/**
 * Describes the system of a dump.
 * @param given its device tree, where the dump does not have it or another shall be used
 * @throws UsageError, FormatError
 */
export function systemOfDump(file: string, given?: Uint8Array): DescribedSystem {
  using program = new Program({ dump: [file] });
  const memory = memoryOf(program);
  const tree = given ?? deviceTreeOf(program);
  const system = describeLiveKernel(program, memory, tree);
  return {
    system,
    firmware: program.architecture === 'x86_64' ? firmwareOfLiveKernel(program) : undefined,
    commandLine: savedCommandLine(program),
    hasKexecFileLoad: program.symbols.find(FILE_LOAD_SYMBOL) !== undefined,
  };
}

/** Checks what the system of a dump had loaded. @throws UsageError, FormatError */
export function checkDump(file: string): KexecCheck {
  using program = new Program({ dump: [file] });
  const memory = memoryOf(program);
  const check = checkProgram(program, memory);
  const isThere = ({ mem }: { readonly mem: number }): boolean => program.dump.memory.hasPage(mem / PAGE);
  if (check.image?.segments.some(isThere) === false)
    throw new UsageError(
      `${file} has no memory of the crash kernel region, as dumps of /proc/vmcore: check a dump of the whole machine (kdump-lab dump)`,
    );
  return check;
}

/** Memory of a dump; what it does not hold reads as zeros. */
function memoryOf({ dump: { memory } }: Program) {
  const { pageSize } = memory;
  const ram: { start: number; end: number }[] = [];
  for (let pfn = 0; pfn < memory.maxPfn; pfn++) {
    if (!memory.hasPage(pfn)) continue;
    const [start, end] = [pfn * pageSize, (pfn + 1) * pageSize];
    const last = ram.at(-1);
    if (last?.end === start) last.end = end;
    else ram.push({ start, end });
  }
  const read = (paddr: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const offset = (paddr + at) % pageSize;
      const count = Math.min(pageSize - offset, length - at);
      const pfn = Math.floor((paddr + at) / pageSize);
      if (memory.hasPage(pfn)) bytes.set(readPage(memory, pfn).subarray(offset, offset + count), at);
      at += count;
    }
    return bytes;
  };
  return { ram: ram as readonly PhysicalRange[], read };
}

function readPage(memory: Program['dump']['memory'], pfn: number): Uint8Array {
  try {
    return memory.readPage(pfn);
  } catch (error) {
    if (error instanceof FaultError) return new Uint8Array(memory.pageSize);
    throw error;
  }
}

/** `initial_boot_params`: the tree as firmware gave it, with what the kernel wiped. */
function deviceTreeOf(program: Program): Uint8Array {
  const pointer = program.symbols.find('initial_boot_params');
  const address = pointer === undefined ? 0n : program.memory.readU64(pointer);
  if (address === 0n) return new Uint8Array(0);
  const size = Buffer.from(program.memory.readBytes(address, 8)).readUInt32BE(4);
  return program.memory.readBytes(address, size);
}

function savedCommandLine(program: Program): string | undefined {
  const pointer = program.symbols.find('saved_command_line');
  const address = pointer === undefined ? 0n : program.memory.readU64(pointer);
  return address === 0n ? undefined : program.memory.readString(address, 4096);
}
