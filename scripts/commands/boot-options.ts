/**
 * Reads QEMU's command line into a plain description of a machine.
 *
 * Source: `qemu-system-aarch64(1)`, `qemu-system-x86_64(1)`. Options have one or two dashes; property names may be written with `_`
 * instead of `-`; repeated `-machine` merge, as in QEMU.
 * Not modelled: graphics, networks that need rights on the host, sound, USB, firmware images, QEMU's own accelerators; each says so by name.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import { parseSize } from '../../kernel-images/command-line.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import { parseCharacterDevice, placeConsoles, type CharacterBackend, type MonitorPlace } from './boot/characters.ts';
import { attachDrives, isDiskDevice, parseBlockNode, parseDrive, type DiskOption, type Drive } from './boot/drives.ts';
import {
  checkCaptures,
  isCapture,
  isCard,
  parseCapture,
  parseNetNic,
  parseNetwork,
  parseNic,
  plugCards,
  type CaptureOption,
  type CardOption,
  type NetworkOption,
} from './boot/networks.ts';
import { requireKnown, splitProperties, type TypeWithProperties } from './boot/properties.ts';
import {
  isSocket,
  parseControlSocket,
  parseMonSocket,
  parseSocketDevice,
  type ControlOption,
} from './boot/controls.ts';
import { FLAGS_WITHOUT_EFFECT, REFUSED_FLAGS, REFUSED_WITH_VALUE, WITHOUT_EFFECT } from './boot/unsupported.ts';

export type { CharacterBackend, MonitorPlace } from './boot/characters.ts';
export type { DiskOption } from './boot/drives.ts';
export { splitProperties, type TypeWithProperties } from './boot/properties.ts';

/** `-fw_cfg`: a file that the guest can read. */
export interface FirmwareFileOption {
  readonly name: string;
  /** A file of the host, or the contents. */
  readonly source: { readonly file: string } | { readonly text: string };
}

/** What happens at an event (`-action`). */
export interface ActionOptions {
  readonly reboot: 'reset' | 'shutdown';
  readonly shutdown: 'poweroff' | 'pause';
  /** What pvpanic's report leads to. */
  readonly panic: 'shutdown' | 'exit-failure' | 'pause' | 'none';
}

/** A QEMU command line, understood. */
export interface BootOptions {
  /** From `--arch` or the machine type; undefined: whatever the kernel is for. */
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
  readonly networks: readonly NetworkOption[];
  readonly cards: readonly CardOption[];
  /** `-object filter-dump`. */
  readonly captures: readonly CaptureOption[];
  readonly firmwareFiles: readonly FirmwareFileOption[];
  /** Date of the clock at power-on, seconds since 1970-01-01 UTC; undefined: the fixed one. */
  readonly epochSeconds: number | undefined;
  readonly serial: CharacterBackend;
  readonly monitor: MonitorPlace;
  /** `-chardev` by id, for consoles. */
  readonly characterDevices: Readonly<Record<string, CharacterBackend>>;
  /** Sockets from which the machine is controlled. */
  readonly controls: readonly ControlOption[];
  /** Code of the key that begins a command of the console. */
  readonly escapeKey: number;
  readonly actions: ActionOptions;
  /** Items of `-d`. */
  readonly trace: readonly string[];
  readonly traceFile: string | undefined;
  /** TCP port of the gdb server. */
  readonly gdbPort: number | undefined;
  /** Wait for gdb, or for the monitor, before the first instruction. */
  readonly startPaused: boolean;
}

/** Machine types by architecture. */
export const MACHINE_TYPES: Readonly<Record<string, Architecture>> = {
  virt: 'aarch64',
  q35: 'x86_64',
  microvm: 'x86_64',
};

const DISK_TYPES = ['virtio-blk-device', 'virtio-blk-pci'];
/** Devices other than disks, with their properties. */
const OTHER_DEVICES: Readonly<Record<string, readonly string[]>> = {
  'virtio-rng-device': ['rng', 'bus'],
  'virtio-rng-pci': ['rng', 'bus'],
  'virtio-serial-device': ['bus'],
  'virtio-serial-pci': ['bus'],
  'virtio-net-device': ['netdev', 'mac', 'bus'],
  'virtio-net-pci': ['netdev', 'mac', 'bus', 'addr', 'romfile', 'vectors', 'disable-legacy', 'disable-modern'],
  virtconsole: ['chardev', 'name', 'nr', 'bus'],
  'pvpanic-pci': ['bus'],
  pvpanic: ['ioport'],
  'isa-debug-exit': ['iobase', 'iosize'],
  vmcoreinfo: [],
};
/** QEMU's names that stand for the one or the other. */
const DEVICE_ALIASES = ['virtio-blk', 'virtio-net', 'virtio-rng', 'virtio-serial'];

/** Devices that `-device` takes. */
export const DEVICE_TYPES: readonly string[] = [...DISK_TYPES, ...Object.keys(OTHER_DEVICES)];

/** What the options have said so far. */
interface Draft {
  architecture: Architecture | undefined;
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
  networks: NetworkOption[];
  captures: CaptureOption[];
  firmwareFiles: FirmwareFileOption[];
  epochSeconds: number | undefined;
  serial: string[];
  characterDevices: Record<string, CharacterBackend>;
  monitor: string | undefined;
  mons: string[];
  /** Values of `-chardev socket` by id, as `-qmp` takes them. */
  sockets: Map<string, string>;
  controls: ControlOption[];
  escapeKey: number;
  actions: { -readonly [event in keyof ActionOptions]: ActionOptions[event] };
  snapshot: boolean;
  trace: string[];
  traceFile: string | undefined;
  gdbPort: number | undefined;
  startPaused: boolean;
}

type Handler = (draft: Draft, value: string, option: string) => void;

const DEFAULT_MEMORY = 128 * 2 ** 20;
const DEFAULT_GDB_PORT = 1234;
const CTRL_A = 1;
/** Where `-net nic` and `-net user` meet. */
const HUB = 'hub0';

/** `virt-7.2` and `pc-q35-7.2` are what `virt` and `q35` were in a version of QEMU. */
function machineType(name: string): string {
  return name.replace(/^pc-q35(-[\d.]+)?$/, 'q35').replace(/^virt-[\d.]+$/, 'virt');
}

const machine: Handler = (draft, value) => {
  const split = splitProperties(value, 'type');
  const type = machineType(split.type);
  if (type === 'pc' || type.startsWith('pc-i440fx'))
    throw new UsageError(`machine ${type}: the i440fx is not modelled; PCs are q35 and microvm`);
  if (type !== '' && !Object.hasOwn(MACHINE_TYPES, type))
    throw new UsageError(`machine ${type}: there are ${Object.keys(MACHINE_TYPES).join(', ')}`);
  draft.machine = {
    type: type === '' ? (draft.machine?.type ?? '') : type,
    properties: { ...draft.machine?.properties, ...split.properties },
  };
};

const hardDisk =
  (index: number): Handler =>
  (draft, file) => {
    draft.drives.push({ id: `hd${index}`, file, interface: 'default', readOnly: false, snapshot: false });
  };

/** Options that take a value. */
const WITH_VALUE: Readonly<Record<string, Handler>> = {
  M: machine,
  machine,
  arch: (draft, value) => (draft.architecture = parseArchitecture(value)),
  cpu: (draft, value) => (draft.cpu = value),
  smp: (draft, value) => (draft.cpus = parseSmp(value)),
  m: (draft, value) => (draft.memorySize = parseMemory(value)),
  kernel: (draft, value) => (draft.kernel = value),
  initrd: (draft, value) => (draft.initrd = value),
  append: (draft, value) => (draft.append = value),
  dtb: (draft, value) => (draft.dtb = value),
  drive: (draft, value) => draft.drives.push(parseDrive(value, draft.drives.length)),
  blockdev: (draft, value) => draft.drives.push(parseBlockNode(value, draft.drives)),
  hda: hardDisk(0),
  hdb: hardDisk(1),
  hdc: hardDisk(2),
  hdd: hardDisk(3),
  device: (draft, value) => draft.devices.push(parseDevice(value)),
  netdev: (draft, value) => draft.networks.push(parseNetwork(value)),
  nic: (draft, value) => {
    if (value === 'none') return;
    const { network, card } = parseNic(value, draft.networks.length);
    draft.networks.push(network);
    draft.devices.push(card);
  },
  net: (draft, value) => {
    if (value === 'none') return;
    if (/^nic(,|$)/.test(value)) draft.devices.push(parseNetNic(value, HUB));
    else draft.networks.push(parseNetwork(`${value},id=${HUB}`, '-net'));
  },
  object: (draft, value) => {
    if (isCapture(value)) draft.captures.push(parseCapture(value));
    else checkObject(value);
  },
  fw_cfg: (draft, value) => draft.firmwareFiles.push(parseFirmwareFile(value)),
  rtc: (draft, value) => (draft.epochSeconds = parseClock(value)),
  chardev: (draft, value) => {
    const socket = parseSocketDevice(value);
    if (socket === undefined) {
      const { id, backend } = parseCharacterDevice(value);
      draft.characterDevices[id] = backend;
    } else draft.sockets.set(socket.id, socket.value);
  },
  serial: (draft, value) => draft.serial.push(value),
  monitor: (draft, value) => {
    if (isSocket(value)) draft.controls.push(parseControlSocket(value, 'readline', '-monitor'));
    else draft.monitor = value;
  },
  mon: (draft, value) => draft.mons.push(value),
  qmp: (draft, value) => draft.controls.push(parseControlSocket(value, 'control', '-qmp')),
  echr: (draft, value) => (draft.escapeKey = parseEscapeKey(value)),
  action: (draft, value) => parseActions(draft, value),
  d: (draft, value) => draft.trace.push(...value.split(',')),
  D: (draft, value) => (draft.traceFile = value),
  gdb: (draft, value) => (draft.gdbPort = parseGdbPort(value)),
  accel: (_, value) => {
    if (!/^tcg(,|$)/.test(value)) throw new UsageError(`-accel ${value}: this machine is always emulated`);
  },
};

/** Options that `none` turns off, which they are anyway. */
const ONLY_NONE = new Set(['display', 'vga']);

/** Options without a value. */
const FLAGS: Readonly<Record<string, (draft: Draft) => void>> = {
  'no-reboot': draft => (draft.actions.reboot = 'shutdown'),
  'no-shutdown': draft => (draft.actions.shutdown = 'pause'),
  'no-acpi': draft => machine(draft, ',acpi=off', 'no-acpi'),
  'no-hpet': draft => machine(draft, ',hpet=off', 'no-hpet'),
  snapshot: draft => (draft.snapshot = true),
  s: draft => (draft.gdbPort = DEFAULT_GDB_PORT),
  S: draft => (draft.startPaused = true),
};

/** Reads a QEMU command line, without the program's name. @throws UsageError */
export function parseBootOptions(args: readonly string[]): BootOptions {
  const draft = newDraft();
  for (let i = 0; i < args.length; i++) {
    const option = /^--?([A-Za-z][\w-]*)$/.exec(args[i]!)?.[1];
    if (option === undefined) throw new UsageError(`${args[i]!}: unknown option`);
    if (readFlag(draft, option)) continue;
    if (!takesValue(option)) throw new UsageError(`${args[i]!}: unknown option`);
    const value = args[++i];
    if (value === undefined) throw new UsageError(`-${option}: a value is missing`);
    readValue(draft, option, value);
  }
  return finish(draft);
}

/** @returns whether it is an option without a value */
function readFlag(draft: Draft, option: string): boolean {
  if (Object.hasOwn(REFUSED_FLAGS, option)) throw new UsageError(`-${option}: ${REFUSED_FLAGS[option]!}`);
  if (Object.hasOwn(FLAGS, option)) FLAGS[option]!(draft);
  else if (!FLAGS_WITHOUT_EFFECT.has(option)) return false;
  return true;
}

function takesValue(option: string): boolean {
  return Object.hasOwn(WITH_VALUE, option) || Object.hasOwn(REFUSED_WITH_VALUE, option) || WITHOUT_EFFECT.has(option);
}

function readValue(draft: Draft, option: string, value: string): void {
  if (Object.hasOwn(WITH_VALUE, option)) return WITH_VALUE[option]!(draft, value, option);
  if (WITHOUT_EFFECT.has(option) || (ONLY_NONE.has(option) && value === 'none')) return undefined;
  throw new UsageError(`-${option} ${value}: ${REFUSED_WITH_VALUE[option]!}`);
}

function newDraft(): Draft {
  return {
    architecture: undefined,
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
    networks: [],
    captures: [],
    firmwareFiles: [],
    epochSeconds: undefined,
    serial: [],
    characterDevices: {},
    monitor: undefined,
    mons: [],
    sockets: new Map(),
    controls: [],
    escapeKey: CTRL_A,
    actions: { reboot: 'reset', shutdown: 'poweroff', panic: 'shutdown' },
    snapshot: false,
    trace: [],
    traceFile: undefined,
    gdbPort: undefined,
    startPaused: false,
  };
}

function finish(draft: Draft): BootOptions {
  const { kernel, drives, devices, snapshot, mons, sockets, controls, ...rest } = draft;
  if (kernel === undefined) throw new UsageError('-kernel: which kernel to boot?');
  const ofMachine = MACHINE_TYPES[draft.machine?.type ?? ''];
  if (ofMachine !== undefined && draft.architecture !== undefined && ofMachine !== draft.architecture)
    throw new UsageError(`-M ${draft.machine!.type}: not a machine of ${draft.architecture}`);
  return {
    ...rest,
    kernel,
    architecture: draft.architecture ?? ofMachine,
    disks: attachDrives(
      drives,
      devices.filter(({ type }) => isDiskDevice(type)),
      snapshot,
    ),
    devices: devices.filter(device => !isDiskDevice(device.type) && !isCard(device)),
    cards: plugCards(devices.filter(isCard), draft.networks),
    captures: checkCaptures(draft.captures, draft.networks),
    ...placeConsoles({ ...rest, mon: mons.find(mon => parseMonSocket(mon, sockets) === undefined) }),
    controls: [...controls, ...mons.flatMap(mon => parseMonSocket(mon, sockets) ?? [])],
  };
}

function parseArchitecture(value: string): Architecture {
  const names: Readonly<Record<string, Architecture>> = {
    aarch64: 'aarch64',
    arm64: 'aarch64',
    x86_64: 'x86_64',
    amd64: 'x86_64',
  };
  const architecture = names[value];
  if (architecture === undefined) throw new UsageError(`--arch ${value}: there are aarch64, x86_64`);
  return architecture;
}

const SMP_TOPOLOGY = ['sockets', 'dies', 'clusters', 'cores', 'threads'] as const;

/** The number, or the product of the topology. */
function parseSmp(value: string): number {
  const { type, properties } = splitProperties(value, 'cpus');
  requireKnown('-smp', properties, new Set([...SMP_TOPOLOGY, 'maxcpus']));
  const product = SMP_TOPOLOGY.reduce((count, name) => count * Number(properties[name] ?? 1), 1);
  const cpus = type === '' ? product : Number(type);
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > 8) throw new UsageError(`-smp ${value}: 1 to 8 CPUs are possible`);
  const most = properties['maxcpus'];
  if (most !== undefined && Number(most) !== cpus)
    throw new UsageError(`-smp ${value}: CPUs cannot be plugged later, so maxcpus is ${cpus}`);
  return cpus;
}

const MEMORY_UNIT = 64 * 1024;

function parseMemory(value: string): number {
  const { type, properties } = splitProperties(value, 'size');
  if (Object.keys(properties).length > 0)
    throw new UsageError(`-m ${value}: memory cannot be plugged later; only the size is possible`);
  const size = /^\d+$/.test(type) ? Number(type) * 2 ** 20 : parseSize(type);
  if (size < 2 ** 20 || size > 3 * 2 ** 30) throw new UsageError(`-m ${value}: 1M to 3G are possible`);
  if (size % MEMORY_UNIT !== 0) throw new UsageError(`-m ${value}: must be a multiple of 64K`);
  return size;
}

function parseDevice(value: string): TypeWithProperties {
  const device = splitProperties(value, 'driver');
  const { id: _, ...properties } = device.properties;
  if (isDiskDevice(device.type)) return device;
  const known = OTHER_DEVICES[DEVICE_ALIASES.includes(device.type) ? `${device.type}-pci` : device.type];
  if (known === undefined) {
    throw new UsageError(`-device ${device.type}: unknown device; there are ${DEVICE_TYPES.join(', ')}`);
  }
  requireKnown(`-device ${device.type}`, properties, new Set(['id', ...known]));
  return device;
}

/** Random numbers are always the same ones; other objects are for devices that are not there. */
function checkObject(value: string): void {
  const { type } = splitProperties(value, 'qom-type');
  if (!/^rng-(random|builtin|egd)$/.test(type))
    throw new UsageError(
      `-object ${type}: not supported; there is filter-dump, and rng-random and rng-builtin, which change nothing`,
    );
}

function parseFirmwareFile(value: string): FirmwareFileOption {
  const { type: name, properties } = splitProperties(value, 'name');
  requireKnown('-fw_cfg', properties, new Set(['file', 'string']));
  const { file, string: text } = properties;
  if (name === '' || name.length > 55) throw new UsageError(`-fw_cfg ${value}: name= of 1 to 55 characters is missing`);
  if (file !== undefined && text === undefined) return { name, source: { file } };
  if (text !== undefined && file === undefined) return { name, source: { text } };
  throw new UsageError(`-fw_cfg ${value}: either file= or string=`);
}

const MS_PER_SECOND = 1000;

/** `base=utc` and `localtime` are the host's date: runs then differ. Without `-rtc` the date is always the same. */
function parseClock(value: string): number | undefined {
  const { properties } = splitProperties(`rtc,${value}`, 'type');
  requireKnown('-rtc', properties, new Set(['base', 'clock', 'driftfix']));
  const { base, clock = 'vm', driftfix = 'none' } = properties;
  if (clock !== 'vm' && clock !== 'host' && clock !== 'rt')
    throw new UsageError(
      `-rtc clock=${clock}: host, rt and vm are possible; guest time runs as the guest's instructions do`,
    );
  if (driftfix !== 'none') throw new UsageError(`-rtc driftfix=${driftfix}: only none is possible`);
  return base === undefined ? undefined : parseDate(base);
}

function parseDate(base: string): number {
  const now = new Date();
  if (base === 'utc') return Math.floor(now.getTime() / MS_PER_SECOND);
  if (base === 'localtime') return Math.floor(now.getTime() / MS_PER_SECOND) - now.getTimezoneOffset() * 60;
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?$/.test(base);
  const parsed = isDate ? Date.parse(base.includes('T') ? `${base}Z` : base) : Number.NaN;
  if (Number.isNaN(parsed))
    throw new UsageError(`-rtc base=${base}: utc, localtime, YYYY-MM-DD and YYYY-MM-DDThh:mm:ss are possible`);
  return parsed / MS_PER_SECOND;
}

/** A number as C has it: 1 to 26 are Ctrl-a to Ctrl-z. */
function parseEscapeKey(value: string): number {
  const code = Number(value);
  if (value === '' || !Number.isInteger(code) || code < 1 || code > 255)
    throw new UsageError(`-echr ${value}: must be the code of a character, 1 to 255`);
  return code;
}

const ACTIONS: Readonly<{ [event in keyof ActionOptions]: readonly ActionOptions[event][] }> = {
  reboot: ['reset', 'shutdown'],
  shutdown: ['poweroff', 'pause'],
  panic: ['shutdown', 'exit-failure', 'pause', 'none'],
};

function parseActions(draft: Draft, value: string): void {
  const { properties } = splitProperties(`action,${value}`, 'type');
  for (const [event, action] of Object.entries(properties)) {
    if (event === 'watchdog') continue;
    const possible: readonly string[] | undefined = Object.hasOwn(ACTIONS, event)
      ? ACTIONS[event as keyof ActionOptions]
      : undefined;
    if (possible === undefined) throw new UsageError(`-action ${event}: there are ${Object.keys(ACTIONS).join(', ')}`);
    if (!possible.includes(action))
      throw new UsageError(`-action ${event}=${action}: there are ${possible.join(', ')}`);
    Object.assign(draft.actions, { [event]: action });
  }
}

function parseGdbPort(value: string): number {
  const match = /^tcp:(?:localhost|127\.0\.0\.1|0\.0\.0\.0)?:(\d+)(,.*)?$/.exec(value);
  const port = Number(match?.[1]);
  if (match === null || port > 65_535) throw new UsageError(`-gdb ${value}: only tcp::PORT is possible`);
  return port;
}
