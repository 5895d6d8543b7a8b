/**
 * Reads QEMU's command line into a plain description of a machine.
 *
 * Source: `qemu-system-aarch64(1)`, `qemu-system-x86_64(1)`. Options have one or two dashes; property names may be written with `_`
 * instead of `-`; repeated `-machine` merge, as in QEMU.
 * Not modelled: graphics, networks, firmware images, QEMU's own accelerators; each says so by name.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import { parseSize } from '../../kernel-images/command-line.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';

/** `name,property=value,…` */
export interface TypeWithProperties {
  readonly type: string;
  /** Names with dashes. */
  readonly properties: Readonly<Record<string, string>>;
}

/** A disk and how it is attached. */
export interface DiskOption {
  readonly id: string;
  readonly file: string;
  readonly readOnly: boolean;
  /** Writes go to memory and are lost at the end. */
  readonly snapshot: boolean;
  readonly bus: 'mmio' | 'pci';
  /** Up to 20 characters that the guest can read. */
  readonly serial: string | undefined;
}

/** Where a serial port or the monitor is connected. */
export type CharacterBackend =
  | { readonly kind: 'terminal'; readonly withMonitor: boolean }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'none' };

/** A QEMU command line, understood. */
export interface BootOptions {
  /** From the machine type; undefined: whatever the kernel is for. */
  readonly architecture: Architecture | undefined;
  readonly machine: TypeWithProperties | undefined;
  readonly cpu: string | undefined;
  readonly cpus: number;
  /** RAM in bytes. */
  readonly memorySize: number;
  readonly kernel: string;
  readonly initrd: string | undefined;
  readonly append: string;
  readonly dtb: string | undefined;
  readonly disks: readonly DiskOption[];
  /** Devices other than disks: `virtio-rng-pci`. */
  readonly devices: readonly TypeWithProperties[];
  readonly serial: CharacterBackend;
  /** `-chardev` by id, for consoles. */
  readonly characterDevices: Readonly<Record<string, CharacterBackend>>;
  readonly reboot: boolean;
  /** Items of `-d`. */
  readonly trace: readonly string[];
  readonly traceFile: string | undefined;
  /** TCP port of the gdb server. */
  readonly gdbPort: number | undefined;
  /** Wait for gdb before the first instruction. */
  readonly startPaused: boolean;
}

/** Machine types by architecture. */
export const MACHINE_TYPES: Readonly<Record<string, Architecture>> = {
  virt: 'aarch64',
  q35: 'x86_64',
  pc: 'x86_64',
  microvm: 'x86_64',
};

/** Devices that `-device` takes. */
export const DEVICE_TYPES = [
  'virtio-blk-device',
  'virtio-blk-pci',
  'virtio-rng-device',
  'virtio-rng-pci',
  'virtio-serial-device',
  'virtio-serial-pci',
  'virtconsole',
  'pvpanic-pci',
  'vmcoreinfo',
] as const;

interface Drive {
  readonly id: string;
  readonly file: string;
  readonly interface: string;
  readonly readOnly: boolean;
  readonly snapshot: boolean;
}

/** What the options have said so far. */
interface Draft {
  machine: TypeWithProperties | undefined;
  cpu: string | undefined;
  cpus: number;
  memorySize: number;
  kernel: string | undefined;
  initrd: string | undefined;
  append: string;
  dtb: string | undefined;
  drives: Drive[];
  devices: TypeWithProperties[];
  serial: CharacterBackend | undefined;
  characterDevices: Record<string, CharacterBackend>;
  monitor: string | undefined;
  nographic: boolean;
  reboot: boolean;
  snapshot: boolean;
  trace: string[];
  traceFile: string | undefined;
  gdbPort: number | undefined;
  startPaused: boolean;
}

type Handler = (draft: Draft, value: string, option: string) => void;

const DEFAULT_MEMORY = 128 * 2 ** 20;
const DEFAULT_GDB_PORT = 1234;

const machine: Handler = (draft, value) => {
  const { type, properties } = splitProperties(value, 'type');
  const known = MACHINE_TYPES[type];
  if (known === undefined && type !== '')
    throw new UsageError(`machine ${type}: there are ${Object.keys(MACHINE_TYPES).join(', ')}`);
  draft.machine = {
    type: type === '' ? (draft.machine?.type ?? '') : type,
    properties: { ...draft.machine?.properties, ...properties },
  };
};

const hardDisk =
  (index: number): Handler =>
  (draft, value) => {
    draft.drives.push({ id: `hd${index}`, file: value, interface: 'virtio', readOnly: false, snapshot: false });
  };

/** Options that take a value. */
const WITH_VALUE: Readonly<Record<string, Handler>> = {
  M: machine,
  machine,
  cpu: (draft, value) => (draft.cpu = value),
  smp: (draft, value) => (draft.cpus = parseSmp(value)),
  m: (draft, value) => (draft.memorySize = parseMemory(value)),
  kernel: (draft, value) => (draft.kernel = value),
  initrd: (draft, value) => (draft.initrd = value),
  append: (draft, value) => (draft.append = value),
  dtb: (draft, value) => (draft.dtb = value),
  drive: (draft, value) => draft.drives.push(parseDrive(value, draft.drives.length)),
  hda: hardDisk(0),
  hdb: hardDisk(1),
  device: (draft, value) => draft.devices.push(parseDevice(value)),
  chardev: (draft, value) => addCharacterDevice(draft, value),
  serial: (draft, value) => (draft.serial = parseCharacterBackend(value, '-serial')),
  monitor: (draft, value) => (draft.monitor = value),
  d: (draft, value) => draft.trace.push(...value.split(',')),
  D: (draft, value) => (draft.traceFile = value),
  gdb: (draft, value) => (draft.gdbPort = parseGdbPort(value)),
  display: (_, value) => {
    if (value !== 'none') throw new UsageError(`-display ${value}: there are no graphics (none is possible)`);
  },
  nic: requireNone,
  net: requireNone,
  vga: requireNone,
  accel: (_, value) => {
    if (!value.startsWith('tcg')) throw new UsageError(`-accel ${value}: this machine is always emulated`);
  },
};

/** Options without a value. */
const FLAGS: Readonly<Record<string, (draft: Draft) => void>> = {
  nographic: draft => (draft.nographic = true),
  'no-reboot': draft => (draft.reboot = false),
  snapshot: draft => (draft.snapshot = true),
  nodefaults: () => undefined,
  s: draft => (draft.gdbPort = DEFAULT_GDB_PORT),
  S: draft => (draft.startPaused = true),
};

function requireNone(_: Draft, value: string, option: string): void {
  if (value !== 'none') throw new UsageError(`-${option} ${value}: not supported (none is possible)`);
}

/** Reads a QEMU command line, without the program's name. @throws UsageError */
export function parseBootOptions(args: readonly string[]): BootOptions {
  const draft = newDraft();
  for (let i = 0; i < args.length; i++) {
    const option = /^--?([A-Za-z][\w-]*)$/.exec(args[i]!)?.[1];
    const handler = option === undefined ? undefined : WITH_VALUE[option];
    const flag = option === undefined ? undefined : FLAGS[option];
    if (option === undefined || (handler === undefined && flag === undefined))
      throw new UsageError(`${args[i]!}: unknown option`);
    flag?.(draft);
    if (handler === undefined) continue;
    const value = args[++i];
    if (value === undefined) throw new UsageError(`-${option}: a value is missing`);
    handler(draft, value, option);
  }
  return finish(draft);
}

function newDraft(): Draft {
  return {
    machine: undefined,
    cpu: undefined,
    cpus: 1,
    memorySize: DEFAULT_MEMORY,
    kernel: undefined,
    initrd: undefined,
    append: '',
    dtb: undefined,
    drives: [],
    devices: [],
    serial: undefined,
    characterDevices: {},
    monitor: undefined,
    nographic: false,
    reboot: true,
    snapshot: false,
    trace: [],
    traceFile: undefined,
    gdbPort: undefined,
    startPaused: false,
  };
}

function finish(draft: Draft): BootOptions {
  if (draft.kernel === undefined) throw new UsageError('-kernel: which kernel to boot?');
  const { machine: type, disks, devices } = { machine: draft.machine, ...attachDrives(draft) };
  return {
    architecture: type === undefined ? undefined : MACHINE_TYPES[type.type],
    machine: type,
    cpu: draft.cpu,
    cpus: draft.cpus,
    memorySize: draft.memorySize,
    kernel: draft.kernel,
    initrd: draft.initrd,
    append: draft.append,
    dtb: draft.dtb,
    disks,
    devices,
    // There are no graphics, so the first serial port is on the terminal unless something else is said.
    serial: draft.serial ?? { kind: 'terminal', withMonitor: draft.monitor !== 'none' },
    characterDevices: draft.characterDevices,
    reboot: draft.reboot,
    trace: draft.trace,
    traceFile: draft.traceFile,
    gdbPort: draft.gdbPort,
    startPaused: draft.startPaused,
  };
}

/** Joins drives (`-drive if=none,id=x`) with the devices that name them (`-device virtio-blk-device,drive=x`). */
function attachDrives(draft: Draft): { disks: DiskOption[]; devices: TypeWithProperties[] } {
  const unattached = new Map(draft.drives.filter(drive => drive.interface === 'none').map(drive => [drive.id, drive]));
  const disks = draft.drives
    .filter(drive => drive.interface !== 'none')
    .map(drive => toDisk(drive, 'pci', undefined, draft.snapshot));
  const devices: TypeWithProperties[] = [];
  for (const device of draft.devices) {
    if (!device.type.startsWith('virtio-blk-')) {
      devices.push(device);
      continue;
    }
    const id = device.properties['drive'];
    const drive = id === undefined ? undefined : unattached.get(id);
    if (drive === undefined)
      throw new UsageError(
        `-device ${device.type}: ${id === undefined ? 'drive= is missing' : `there is no free -drive with id=${id}`}`,
      );
    unattached.delete(drive.id);
    disks.push(
      toDisk(drive, device.type === 'virtio-blk-pci' ? 'pci' : 'mmio', device.properties['serial'], draft.snapshot),
    );
  }
  return { disks, devices };
}

function toDisk(drive: Drive, bus: DiskOption['bus'], serial: string | undefined, snapshot: boolean): DiskOption {
  return {
    id: drive.id,
    file: drive.file,
    readOnly: drive.readOnly,
    snapshot: snapshot || drive.snapshot,
    bus,
    serial,
  };
}

/** Splits `type,name=value,flag`; a doubled comma is a comma. `implied` names the property that may come first without its name. */
export function splitProperties(text: string, implied: string): TypeWithProperties {
  const parts = text.split(/(?<!,),(?!,)/).map(part => part.replaceAll(',,', ','));
  const properties: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    const equals = part.indexOf('=');
    if (equals === -1 && index === 0) properties[implied] = part;
    else if (equals === -1) properties[dashed(part)] = 'on';
    else properties[dashed(part.slice(0, equals))] = part.slice(equals + 1);
  }
  const { [implied]: type = '', ...rest } = properties;
  return { type, properties: rest };
}

function dashed(name: string): string {
  return name.replaceAll('_', '-');
}

const SMP_TOPOLOGY = new Set(['cores', 'sockets', 'threads', 'dies', 'clusters', 'maxcpus']);

function parseSmp(value: string): number {
  const { type, properties } = splitProperties(value, 'cpus');
  for (const name of Object.keys(properties)) {
    if (!SMP_TOPOLOGY.has(name)) throw new UsageError(`-smp: unknown property ${name}`);
  }
  const cpus = Number(type);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 8) throw new UsageError(`-smp ${value}: 1 to 8 CPUs are possible`);
  return cpus;
}

function parseMemory(value: string): number {
  const { type } = splitProperties(value, 'size');
  const size = /^\d+$/.test(type) ? Number(type) * 2 ** 20 : parseSize(type);
  if (size < 2 ** 20 || size > 3 * 2 ** 30) throw new UsageError(`-m ${value}: 1M to 3G are possible`);
  return size;
}

const DRIVE_PROPERTIES = new Set([
  'file',
  'format',
  'if',
  'id',
  'readonly',
  'snapshot',
  'index',
  'media',
  'cache',
  'aio',
  'discard',
]);

function parseDrive(value: string, index: number): Drive {
  const { properties } = splitProperties(`drive,${value}`, 'type');
  for (const name of Object.keys(properties)) {
    if (!DRIVE_PROPERTIES.has(name)) throw new UsageError(`-drive: unknown property ${name}`);
  }
  const { file, format = 'raw', if: attached = 'virtio', id = `drive${index}` } = properties;
  if (file === undefined) throw new UsageError('-drive: file= is missing');
  if (format !== 'raw') throw new UsageError(`-drive format=${format}: only raw images are possible`);
  if (attached !== 'virtio' && attached !== 'none')
    throw new UsageError(`-drive if=${attached}: virtio and none are possible`);
  return {
    id,
    file,
    interface: attached,
    readOnly: isOn(properties['readonly']),
    snapshot: isOn(properties['snapshot']),
  };
}

function isOn(value: string | undefined): boolean {
  return value === 'on' || value === 'true' || value === 'yes';
}

function parseDevice(value: string): TypeWithProperties {
  const device = splitProperties(value, 'driver');
  if (!DEVICE_TYPES.some(type => type === device.type)) {
    throw new UsageError(`-device ${device.type}: unknown device; there are ${DEVICE_TYPES.join(', ')}`);
  }
  return device;
}

function parseCharacterBackend(value: string, option: string): CharacterBackend {
  if (value === 'stdio') return { kind: 'terminal', withMonitor: false };
  if (value === 'mon:stdio') return { kind: 'terminal', withMonitor: true };
  if (value === 'none' || value === 'null') return { kind: 'none' };
  if (value.startsWith('file:')) return { kind: 'file', path: value.slice('file:'.length) };
  throw new UsageError(`${option} ${value}: stdio, mon:stdio, file:PATH, null and none are possible`);
}

function addCharacterDevice(draft: Draft, value: string): void {
  const { type, properties } = splitProperties(value, 'backend');
  const { id, path } = properties;
  if (id === undefined) throw new UsageError(`-chardev ${value}: id= is missing`);
  if (type === 'file' && path === undefined) throw new UsageError(`-chardev ${value}: path= is missing`);
  draft.characterDevices[id] = parseCharacterBackend(type === 'file' ? `file:${path}` : type, '-chardev');
}

function parseGdbPort(value: string): number {
  const match = /^tcp:[\w.]*:(\d+)(,.*)?$/.exec(value);
  if (match === null) throw new UsageError(`-gdb ${value}: only tcp::PORT is possible`);
  return Number(match[1]);
}
