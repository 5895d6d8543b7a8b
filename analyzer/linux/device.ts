/** Devices; `fs/char_dev.c`, `block/genhd.c`, `include/linux/{ioport,pci}.h`. */
import type { Program } from '../program.ts';
import { mapPresent, readIfPresent, readOr, readOrWarn, untilGap } from '../gaps.ts';
import { StructObject } from '../types/object.ts';
import { listForEach, listForEachEntry } from './list.ts';

const CHRDEV_MAJOR_HASH_SIZE = 255;
const BLKDEV_MAJOR_HASH_SIZE = 255;
const MAX_CHAIN = 10_000;
const MAX_RESOURCES = 100_000;
const MAX_DEVICES = 100_000;
const MINORBITS = 20;

/** A registered range of character devices. */
export interface CharDevice {
  readonly major: number;
  readonly name: string;
  readonly cdev: bigint;
  /** Undefined when it cannot be read. */
  readonly operations: bigint | undefined;
}

/** `chrdevs[]`, in order of majors. */
export function charDevices(program: Program): CharDevice[] {
  const table = program.symbols.find('chrdevs');
  if (table === undefined) return [];
  const found: CharDevice[] = [];
  for (let slot = 0; slot < CHRDEV_MAJOR_HASH_SIZE; slot++) {
    const entries = chain(program, table + BigInt(8 * slot), 'char_device_struct');
    found.push(...mapPresent(program, 'character devices', entries, entry => charDevice(program, entry)));
  }
  return found.sort((a, b) => a.major - b.major);
}

function charDevice(program: Program, entry: StructObject): CharDevice {
  const [major, name] = [entry.num('major'), entry.string('name')];
  const cdev = readIfPresent(() => entry.follow('cdev') ?? probedCdev(program, major, entry.num('baseminor')));
  const operations = cdev === undefined ? 0n : readIfPresent(() => cdev.pointer('ops'));
  return { major, name, cdev: cdev?.address ?? 0n, operations };
}

function* chain(program: Program, head: bigint, struct: string): Generator<StructObject> {
  let address = program.memory.readU64(head);
  for (let count = 0; address !== 0n && count < MAX_CHAIN; count++) {
    const entry = program.object(struct, address);
    yield entry;
    address = entry.pointer('next');
  }
}

/** `cdev_map`: drivers that register devices without a range of their own (misc, tty) are found through the probes. */
function probedCdev(program: Program, major: number, minor: number): StructObject | undefined {
  const variable = program.symbols.find('cdev_map');
  const type = program.types.findStruct('kobj_map');
  const probeType = program.types.findStruct('probe');
  if (variable === undefined || type === undefined || probeType === undefined) return undefined;
  const map = program.memory.readU64(variable);
  let address = program.memory.readU64(map + BigInt(8 * (major % CHRDEV_MAJOR_HASH_SIZE)));
  const wanted = major * 2 ** MINORBITS + minor;
  for (let count = 0; address !== 0n && count < MAX_CHAIN; count++) {
    const probe = new StructObject(program.memory, probeType, address);
    const start = probe.num('dev');
    const isOwn = probe.pointer('data') !== 0n && wanted >= start && wanted < start + probe.num('range');
    if (isOwn) return program.object('cdev', probe.pointer('data'));
    address = probe.pointer('next');
  }
  return undefined;
}

/** A registered major of block devices, with a disk of it when there is one. */
export interface BlockDevice {
  readonly major: number;
  readonly name: string;
  readonly disk: StructObject | undefined;
}

/** `major_names[]`, in the order of its hash chains; `blkdevs` in older kernels. */
export function blockDevices(program: Program): BlockDevice[] {
  const table = program.symbols.find('major_names');
  if (table === undefined) return [];
  const disks = genDisks(program);
  const found: BlockDevice[] = [];
  for (let slot = 0; slot < BLKDEV_MAJOR_HASH_SIZE; slot++) {
    const entries = chain(program, table + BigInt(8 * slot), 'blk_major_name');
    found.push(...mapPresent(program, 'block devices', entries, entry => blockDevice(entry, disks)));
  }
  return found;
}

function blockDevice(entry: StructObject, disks: readonly StructObject[]): BlockDevice {
  const major = entry.num('major');
  const disk = disks.find(candidate => readIfPresent(() => candidate.num('major')) === major);
  return { major, name: entry.string('name'), disk };
}

/** Disks of `block_class`: devices of type `disk_type`. */
export function genDisks(program: Program): StructObject[] {
  const type = program.types.findStruct('gendisk');
  if (type === undefined) return [];
  const part = program.object('block_device', 0n);
  const diskOf = (device: StructObject): StructObject | undefined => {
    const block = new StructObject(program.memory, part.type, device.address - BigInt(part.offsetOf('bd_device')));
    const disk = block.follow('bd_disk');
    return disk !== undefined && disk.pointer('part0') === block.address ? disk : undefined;
  };
  return mapPresent(program, 'disks', classDevices(program, 'block_class'), diskOf).filter(disk => disk !== undefined);
}

/** Devices of a class: `class->p->klist_devices`; since 6.4 the private part is found in `class_kset` (commit 7b884b7f24b4). */
function* classDevices(program: Program, symbol: string): Generator<StructObject> {
  const address = program.symbols.find(symbol);
  const subsystem = address === undefined ? undefined : subsystemOf(program, address);
  if (subsystem === undefined) return;
  const priv = program.object('device_private', 0n);
  const offset = BigInt(priv.offsetOf('knode_class.n_node'));
  for (const node of listForEach(program, subsystem.addressOf('klist_devices.k_list'), MAX_DEVICES)) {
    const device = new StructObject(program.memory, priv.type, node - offset).follow('device');
    if (device !== undefined) yield device;
  }
}

function subsystemOf(program: Program, address: bigint): StructObject | undefined {
  const type = program.object('class', address);
  if (type.has('p')) return type.follow('p');
  const kset = program.symbols.find('class_kset');
  if (kset === undefined) return undefined;
  const member = program.object('subsys_private', 0n);
  const offset = BigInt(member.offsetOf('subsys.kobj.entry'));
  const list = program.object('kset', program.memory.readU64(kset)).addressOf('list');
  for (const node of listForEach(program, list, MAX_DEVICES)) {
    const candidate = new StructObject(program.memory, member.type, node - offset);
    if (candidate.pointer('class') === address) return candidate;
  }
  return undefined;
}

/** A range of I/O ports or memory. */
export interface Resource {
  readonly address: bigint;
  readonly start: bigint;
  readonly end: bigint;
  readonly name: string;
}

/** A tree of resources, parents before children. */
export function resources(program: Program, symbol: string): Resource[] {
  const root = program.findGlobal('resource', symbol);
  const found: Resource[] = [];
  const stack = root === undefined ? [] : [root];
  const seen = new Set<bigint>();
  while (stack.length > 0 && found.length < MAX_RESOURCES) {
    const entry = stack.pop()!;
    if (seen.has(entry.address)) continue;
    seen.add(entry.address);
    readOrWarn(program, 'resources', () => {
      found.push(resource(entry));
      const [sibling, child] = [entry.follow('sibling'), entry.follow('child')];
      if (sibling !== undefined && entry !== root) stack.push(sibling);
      if (child !== undefined) stack.push(child);
    });
  }
  return found;
}

function resource(entry: StructObject): Resource {
  const [start, end] = [entry.pointer('start'), entry.pointer('end')];
  const name = readOr(
    () => entry.stringAt('name', 128),
    () => '?',
  );
  return { address: entry.address, start, end, name };
}

/** A root bus and the devices below it. */
export interface PciBus {
  readonly struct: StructObject;
  readonly name: string;
  readonly devices: readonly StructObject[];
}

/** `pci_root_buses`, each with the devices of all its buses. */
export function pciBuses(program: Program): PciBus[] {
  const head = program.symbols.find('pci_root_buses');
  if (head === undefined) return [];
  return mapPresent(program, 'PCI buses', listForEachEntry(program, head, 'pci_bus', 'node', MAX_DEVICES), struct => ({
    struct,
    name: struct.embedded('dev').stringAt('kobj.name', 64),
    devices: busDevices(program, struct, 0),
  }));
}

const MAX_BUS_DEPTH = 32;

function busDevices(program: Program, bus: StructObject, depth: number): StructObject[] {
  if (depth > MAX_BUS_DEPTH) return [];
  const own = listForEachEntry(program, bus.addressOf('devices'), 'pci_dev', 'bus_list', MAX_DEVICES);
  const inner = listForEachEntry(program, bus.addressOf('children'), 'pci_bus', 'node', MAX_DEVICES);
  const children = [...untilGap(program, 'PCI buses', inner)];
  return [
    ...untilGap(program, 'PCI devices', own),
    ...children.flatMap(child => busDevices(program, child, depth + 1)),
  ];
}
