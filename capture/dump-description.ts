/** What the headers of a dump say about machine and kernel, from the dump it is made of. */
import { asBuffer, cString } from './formats/bytes.ts';
import type { DiskDumpFile } from './formats/diskdump.ts';
import { NT, buildNote } from './formats/elf-notes.ts';
import { FaultError, FormatError } from './formats/errors.ts';
import type { DumpedKernel } from './open-kernel.ts';
import type { Architecture, Dump } from './sources/dump-file.ts';

/** `struct new_utsname`. */
export interface Utsname {
  readonly sysname: string;
  readonly nodename: string;
  readonly release: string;
  readonly version: string;
  readonly machine: string;
  readonly domainname: string;
}

/** What headers record. */
export interface DumpDescription {
  readonly architecture: Architecture;
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly utsname: Utsname;
  /** Time of the crash in seconds since 1970. */
  readonly timestamp: number;
  /** x86_64: `phys_base`. arm64: PHYS_OFFSET. */
  readonly physBase: bigint;
  readonly cpus: number;
  /** A whole note segment: registers of each CPU, VMCOREINFO. */
  readonly notes: Uint8Array;
  /** VMCOREINFO's text inside `notes`; undefined when they have none. */
  readonly vmcoreinfo: { readonly offset: number; readonly size: number } | undefined;
}

/** `__NEW_UTS_LEN` and its NUL. */
const UTS_LENGTH = 65;

/**
 * Describes a dump, from its headers when it is kdump-compressed and from the kernel's memory otherwise.
 * @param kernel undefined when the dump has no VMCOREINFO
 */
export function describeDump(dump: Dump, kernel: DumpedKernel | undefined): DumpDescription {
  const [file] = dump.diskDumps;
  const architecture = dump.architecture ?? kernel?.architecture;
  if (architecture === undefined) throw new FormatError('the dump does not tell its architecture', { file: dump.path });
  const { pageSize, maxPfn } = dump.memory;
  const told = file === undefined ? describeKernel(dump, kernel, architecture) : describeHeader(file);
  return { ...told, architecture, pageSize, maxPfn, ...describeNotes(dump) };
}

/** A dump whose VMCOREINFO had to be looked for gets a note of it. */
function describeNotes(dump: Dump): Pick<DumpDescription, 'notes' | 'vmcoreinfo'> {
  const own = findVmcoreinfo(dump);
  const text = dump.vmcoreinfo?.text;
  if (own !== undefined || text === undefined) return { notes: dump.noteBytes, vmcoreinfo: own };
  const descriptor = Buffer.from(text, 'latin1');
  const note = buildNote({ name: 'VMCOREINFO', type: NT.VMCOREINFO, descriptor });
  const offset = dump.noteBytes.length + asBuffer(note).indexOf(descriptor);
  return { notes: Buffer.concat([dump.noteBytes, note]), vmcoreinfo: { offset, size: descriptor.length } };
}

type MachineFacts = Pick<DumpDescription, 'utsname' | 'timestamp' | 'physBase' | 'cpus'>;

function describeHeader({ header, subHeader }: DiskDumpFile): MachineFacts {
  const { sysname, nodename, release, version, machine, domainname } = header;
  return {
    utsname: { sysname, nodename, release, version, machine, domainname },
    timestamp: header.tv_sec,
    physBase: subHeader.phys_base,
    cpus: header.nr_cpus,
  };
}

function describeKernel(dump: Dump, kernel: DumpedKernel | undefined, architecture: Architecture): MachineFacts {
  return {
    utsname: readUtsname(kernel, architecture),
    timestamp: kernel?.vmcoreinfo.crashTime ?? 0,
    physBase: physBase(kernel),
    cpus: dump.notes.filter(({ name, type }) => name === 'CORE' && type === NT.PRSTATUS).length,
  };
}

/** The kernel's own names, or what is known without its memory. */
function readUtsname(kernel: DumpedKernel | undefined, machine: Architecture): Utsname {
  const release = kernel?.vmcoreinfo.osRelease ?? '';
  const unknown = { sysname: 'Linux', nodename: '', release, version: '', machine, domainname: '' };
  const namespace = kernel?.vmcoreinfo.symbol('init_uts_ns');
  if (kernel === undefined || namespace === undefined) return unknown;
  const offset = kernel.vmcoreinfo.offsetOf('uts_namespace.name') ?? 4;
  try {
    const bytes = kernel.memory.read(namespace + BigInt(offset), 6 * UTS_LENGTH);
    const text = (index: number): string => cString(bytes, index * UTS_LENGTH, UTS_LENGTH);
    return {
      sysname: text(0),
      nodename: text(1),
      release: text(2),
      version: text(3),
      machine: text(4),
      domainname: text(5),
    };
  } catch (error) {
    if (error instanceof FaultError) return unknown;
    throw error;
  }
}

function physBase(kernel: DumpedKernel | undefined): bigint {
  return kernel?.vmcoreinfo.number(kernel.architecture === 'aarch64' ? 'PHYS_OFFSET' : 'phys_base') ?? 0n;
}

/** Finds the text by its bytes: notes of several segments lie one after the other. */
function findVmcoreinfo({ notes, noteBytes }: Dump): DumpDescription['vmcoreinfo'] {
  const note = notes.find(({ name }) => name === 'VMCOREINFO');
  if (note === undefined) return undefined;
  const offset = Buffer.from(noteBytes.buffer, noteBytes.byteOffset, noteBytes.byteLength).indexOf(note.descriptor);
  return offset === -1 ? undefined : { offset, size: note.descriptor.length };
}
