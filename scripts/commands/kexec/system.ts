/** The system that `kdump-lab kexec` plans for: from the files that kexec reads there, a log of kexec, or a dump. */
import { asBuffer } from '../../../capture/formats/bytes.ts';
import { UsageError } from '../../../capture/formats/errors.ts';
import { findNode, findProperty, parseFdt } from '../../../capture/formats/fdt.ts';
import type { PhysicalRange } from '../../../capture/formats/memory-source.ts';
import { readBootParams, readAcpiRsdp, SCREEN_INFO_SIZE } from '../../../kexec/boot-params.ts';
import { firmwareOfDebugLog, systemOfDebugLog } from '../../../kexec/debug-log.ts';
import {
  firmwareMapOf,
  kernelTextOf,
  memoryOf,
  parseIomem,
  parseKallsyms,
  type IomemEntry,
  type IomemMemory,
  type RunningSystem,
  type X86Firmware,
} from '../../../kexec/running-system.ts';
import { parseAddress, parseHex, readFile, readText, type Values } from './options.ts';

/** What a loader must know. */
export interface DescribedSystem {
  readonly system: RunningSystem;
  /** On x86_64. */
  readonly firmware: X86Firmware | undefined;
  /** Of the kernel that runs, where it is known. */
  readonly commandLine: string | undefined;
  /** Whether that kernel has kexec_file_load; undefined when nobody says. */
  readonly hasKexecFileLoad: boolean | undefined;
}

type Architecture = RunningSystem['architecture'];

/** sizeof(note_buf_t): NT_PRSTATUS and the end of the notes. */
const NOTE_BUFFER_SIZE = { aarch64: 424, x86_64: 368 } as const;
const DEFAULT_PAGE_OFFSET = { aarch64: '0xffff000000000000', x86_64: '0xffff888000000000' } as const;
/** Only kernels with CONFIG_KEXEC_FILE have it. */
const FILE_LOAD_SYMBOL = 'kexec_add_buffer';

/** Reads what the options name. @throws UsageError, FormatError */
export async function readSystem(values: Values, architecture: Architecture): Promise<DescribedSystem> {
  const tree = values.fdt ?? values.dtb;
  if (values.from !== undefined) {
    const { systemOfDump } = await import('./from-dump.ts');
    const described = systemOfDump(values.from, tree === undefined ? undefined : readFile('--fdt', tree));
    const cmdline = commandLineOf(values, new Uint8Array(0));
    return cmdline === undefined ? described : { ...described, commandLine: cmdline };
  }
  if (architecture === 'aarch64' && tree === undefined)
    throw new UsageError('kexec: No device tree available: give --fdt or --dtb');
  const deviceTree = tree === undefined ? new Uint8Array(0) : readFile('--fdt', tree);
  const log = values['debug-log'];
  const known = {
    commandLine: commandLineOf(values, deviceTree),
    hasKexecFileLoad: hasKexecFileLoad(values),
  };
  if (log !== undefined) {
    const text = readText('--debug-log', log);
    const system = systemOfDebugLog(text, deviceTree, log, architecture);
    const firmware = architecture === 'aarch64' ? undefined : withBootParams(values, firmwareOfDebugLog(text, log));
    return { system, firmware, ...known };
  }
  const iomem = readIomem(values);
  const system = systemOfFiles(values, architecture, memoryOf(iomem), deviceTree);
  const firmware = { memoryMap: firmwareMapOf(iomem), iomem, acpiRsdp: 0 };
  return { system, firmware: architecture === 'aarch64' ? undefined : withBootParams(values, firmware), ...known };
}

/** What is reserved for capture kernels. @throws UsageError, FormatError */
export async function readCrashRegions(values: Values): Promise<readonly PhysicalRange[]> {
  if (values.iomem !== undefined) return memoryOf(readIomem(values)).crashRegions;
  return (await readSystem(values, values.fdt === undefined ? 'x86_64' : 'aarch64')).system.crashRegions;
}

function readIomem({ iomem }: Values): IomemEntry[] {
  if (iomem === undefined) throw new UsageError('kexec: give --iomem, --debug-log or --from, to describe the system');
  return parseIomem(readText('--iomem', iomem), iomem);
}

function systemOfFiles(
  values: Values,
  architecture: Architecture,
  memory: IomemMemory,
  deviceTree: Uint8Array,
): RunningSystem {
  if (memory.systemRam.length === 0)
    throw new UsageError('kexec: Could not get memory layout: no System RAM in --iomem');
  const physOffset = architecture === 'x86_64' ? 0 : memory.systemRam[0]!.start;
  return {
    architecture,
    ...memory,
    cpuNotes: cpuNotes(values, architecture),
    vmcoreinfo: vmcoreinfo(values),
    kernelText: kernelText(values, architecture, memory),
    pageOffset: BigInt(values['page-offset'] ?? DEFAULT_PAGE_OFFSET[architecture]),
    physOffset: parseAddress('phys-offset', values['phys-offset'] ?? String(physOffset)),
    deviceTree,
  };
}

/** /sys/kernel/boot_params/data has the firmware's map, the root pointer of ACPI, and the screen. */
function withBootParams(values: Values, firmware: X86Firmware): X86Firmware {
  const file = values['boot-params'];
  if (file === undefined) return firmware;
  const bytes = readFile('--boot-params', file);
  const told = readBootParams(bytes);
  if (told === undefined) throw new UsageError(`kexec: --boot-params ${file}: not boot_params of a kernel`);
  return {
    ...firmware,
    firmwareMap: told.memoryMap,
    acpiRsdp: readAcpiRsdp(bytes),
    bootParams: bytes,
    screenInfo: bytes.subarray(0, SCREEN_INFO_SIZE),
  };
}

function cpuNotes(values: Values, architecture: Architecture): RunningSystem['cpuNotes'] {
  const size = parseAddress('crash-notes-size', values['crash-notes-size'] ?? String(NOTE_BUFFER_SIZE[architecture]));
  const addresses = values['crash-notes']?.split(',') ?? [];
  return addresses.map(address => ({ paddr: parseHex('crash-notes', address), size }));
}

function vmcoreinfo(values: Values): RunningSystem['vmcoreinfo'] {
  if (values.vmcoreinfo === undefined) return undefined;
  const [paddr = '', size = ''] = values.vmcoreinfo.trim().split(/\s+/);
  return { paddr: parseHex('vmcoreinfo', paddr), size: parseHex('vmcoreinfo', size) };
}

function kernelText(values: Values, architecture: Architecture, memory: IomemMemory): RunningSystem['kernelText'] {
  if (values.kallsyms === undefined) return undefined;
  const text = readText('--kallsyms', values.kallsyms);
  if (architecture === 'x86_64') {
    const { _text, _end } = symbols(values, text, ['_text', '_end']);
    const { kernelCode } = memory;
    return kernelCode && { paddr: kernelCode.start, size: Number(_end - _text), vaddr: _text };
  }
  const { _text, _stext, __init_begin } = symbols(values, text, ['_text', '_stext', '__init_begin']);
  return kernelTextOf(memory, { _text, _stext, __init_begin });
}

/** @throws UsageError when one has no address */
function symbols<Name extends string>(values: Values, text: string, names: readonly Name[]): Record<Name, bigint> {
  const found = parseKallsyms(text, names);
  const entries = names.map(name => {
    const address = found.get(name);
    if (address !== undefined && address !== 0n) return [name, address] as const;
    throw new UsageError(`kexec: --kallsyms ${values.kallsyms ?? ''}: no address of ${name}`);
  });
  return Object.fromEntries(entries) as Record<Name, bigint>;
}

function hasKexecFileLoad({ kallsyms }: Values): boolean | undefined {
  if (kallsyms === undefined) return undefined;
  const text = readText('--kallsyms', kallsyms);
  // A file of the few symbols that kexec wants says nothing of others.
  if (!/ panic$/m.test(text)) return undefined;
  return parseKallsyms(text, [FILE_LOAD_SYMBOL]).size > 0;
}

/** /proc/cmdline, or what firmware told an arm64 kernel. */
function commandLineOf({ cmdline }: Values, deviceTree: Uint8Array): string | undefined {
  if (cmdline !== undefined) return readText('--cmdline', cmdline).trim();
  if (deviceTree.length === 0) return undefined;
  const chosen = findNode(parseFdt(deviceTree).root, '/chosen');
  const bootargs = chosen && findProperty(chosen, 'bootargs');
  return bootargs === undefined ? undefined : asBuffer(bootargs).toString('latin1').replace(/\0.*$/s, '');
}
