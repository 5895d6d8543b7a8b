/** `dev`: devices, resources, disks, PCI. */
import { UsageError } from '../../capture/formats/errors.ts';
import { mapPresent, readIfPresent } from '../gaps.ts';
import { blockDevices, charDevices, genDisks, pciBuses, resources } from '../linux/device.ts';
import type { Resource } from '../linux/device.ts';
import { deviceDumps } from '../linux/vmcoredd.ts';
import type { Program } from '../program.ts';
import type { StructObject } from '../types/object.ts';
import { writeHostFile } from '../text/host-file.ts';
import { center, hex, hex16, lines, printable } from '../text/layout.ts';
import type { Command } from './command.ts';
import { VIEW_OUTPUT } from './view.ts';
import type { View } from './view.ts';

/** `dev`. */
export const dev: Command<View> = {
  name: 'dev',
  summary: 'character and block devices, resources, disk requests, PCI',
  synopsis: '[-i | -p | -d | -D] [-V | -v index [file]]',
  options: [
    { flag: '-i', help: 'I/O port and memory resources' },
    { flag: '-p', help: 'PCI devices' },
    { flag: '-d', help: 'disks and their requests in flight' },
    { flag: '-D', help: 'as -d, only disks with requests' },
    { flag: '-V', help: 'dumps that devices left in the vmcore' },
    { flag: '-v', takes: 'index', help: 'the bytes of one of them, or into a file' },
  ],
  description: 'Without options lists registered character and block devices with their operations.',
  examples: [{ line: 'dev -d', why: 'is a disk stuck' }],
  run(session, args) {
    const { program } = session;
    if (args.has('-i')) return resourcesView(program);
    if (args.has('-p')) return pciView(program);
    if (args.has('-V')) return deviceDumpsView(program);
    if (args.has('-v')) return deviceDumpView(program, args.value('-v')!, args.positionals[0]);
    if (args.has('-d') || args.has('-D')) return disksView(program, args.has('-D'));
    return {
      data: {
        char: charDevices(program),
        block: blockDevices(program).map(({ disk, ...device }) => ({ ...device, disk: disk?.address })),
      },
      text: `${charText(program)}\n${blockText(program)}`,
    };
  },
  ...VIEW_OUTPUT,
};

const NONE = center('(none)', 16);

function operationsText(program: Program, address: bigint | undefined): string {
  if (address === undefined) return '?';
  return address === 0n ? '' : (program.symbols.format(address) ?? hex(address));
}

function charText(program: Program): string {
  const rows = charDevices(program).map(({ major, name, cdev, operations }) => {
    const end = cdev === 0n ? NONE : `${hex16(cdev)}  ${operationsText(program, operations)}`;
    return `${String(major).padStart(4)}      ${name.padEnd(14)} ${end}\n`;
  });
  return `CHRDEV    NAME                 CDEV        OPERATIONS\n${rows.join('')}`;
}

function blockText(program: Program): string {
  const rows = blockDevices(program).map(({ major, name, disk }) => {
    const end =
      disk === undefined
        ? NONE
        : `${hex16(disk.address)}  ${operationsText(
            program,
            readIfPresent(() => disk.pointer('fops')),
          )}`;
    return `${String(major).padStart(4)}      ${name.padEnd(14)} ${end}\n`;
  });
  return `BLKDEV    NAME                GENDISK      OPERATIONS\n${rows.join('')}`;
}

/** `dev -i`. */
function resourcesView(program: Program): View {
  const names = ['ioport_resource', 'iomem_resource'] as const;
  return {
    data: names.map(name => ({ name, resources: resources(program, name) })),
    text: names.map(name => resourcesText(program, name)).join('\n'),
  };
}

function resourcesText(program: Program, symbol: string): string {
  const all = resources(program, symbol);
  const width = Math.max(
    4,
    ...all.slice(symbol === 'iomem_resource' ? 1 : 0).map(() => 0),
    symbol === 'ioport_resource' && (all[0]?.end ?? 0n) <= 0xffffn ? 4 : 8,
  );
  const range = ({ start, end }: Resource): string =>
    `${hex(start).padStart(width, '0')}-${hex(end).padStart(width, '0')}`;
  const rows = all.map(entry => `${hex16(entry.address)}  ${range(entry)}  ${entry.name}\n`);
  return `    RESOURCE      ${center('RANGE', 2 * width + 1).padEnd(2 * width + 1)}  NAME\n${rows.join('')}`;
}

const CLASS_BRIDGE_PCI = 0x0604;
/** `PCI_HEADER_TYPE` and PCIe port types that crash names. */
const EXPRESS_TYPES: Readonly<Record<number, string>> = {
  0: 'ENDPOINT',
  1: 'LEG_END',
  4: 'ROOT_PORT',
  5: 'UPSTREAM',
  6: 'DOWNSTREAM',
  7: 'PCI_BRIDGE',
  9: 'RC_END',
  10: 'RC_EC',
};

interface PciDevice {
  readonly address: bigint;
  readonly slot: string;
  readonly class: number;
  readonly vendor: number;
  readonly device: number;
  readonly type: string;
}

/** `dev -p`. */
function pciView(program: Program): View {
  const data = pciBuses(program).map(({ struct, name, devices }) => ({
    address: struct.address,
    name,
    devices: mapPresent(program, 'PCI devices', devices, pciDevice),
  }));
  const blocks = data.map(({ address, name, devices }) =>
    lines([
      '    ROOT BUS     BUSNAME',
      `${hex16(address)} ${name}`,
      '      PCI DEV      DO:BU:SL.FN  CLASS   PCI_ID      TYPE',
      ...devices.map(pciRow),
      '',
    ]),
  );
  return { data, text: blocks.join('') };
}

function pciDevice(device: StructObject): PciDevice {
  const kind = (device.num('class') >> 8) & 0xffff;
  const flags = device.has('pcie_flags_reg') ? device.num('pcie_flags_reg') : 0;
  const plain = kind === CLASS_BRIDGE_PCI ? 'PCI_BRIDGE' : 'ENDPOINT';
  return {
    address: device.address,
    slot: device.embedded('dev').stringAt('kobj.name', 32),
    class: kind,
    vendor: device.num('vendor'),
    device: device.num('device'),
    type: device.num('pcie_cap') === 0 ? plain : (EXPRESS_TYPES[(flags >> 4) & 0xf] ?? ''),
  };
}

function pciRow({ address, slot, class: kind, vendor, device, type }: PciDevice): string {
  const id = `${hex(vendor)}:${hex(device)}`;
  return `  ${hex16(address)} ${slot}  ${hex(kind).padStart(4, '0')}  ${center(id, 9)}  ${type}`;
}

/** `dev -d` and `-D`. */
function disksView(program: Program, busyOnly: boolean): View {
  const data = mapPresent(program, 'disks', genDisks(program), disk => ({
    major: disk.num('major'),
    address: disk.address,
    name: disk.string('disk_name'),
    queue: disk.pointer('queue'),
    ...inFlight(program, disk),
  })).filter(({ reads, writes }) => !busyOnly || reads + writes > 0);
  const rows = data.map(({ major, address, name, queue, reads, writes }) => {
    const cells = [reads + writes, reads, writes].map(count => String(count).padStart(5));
    return `${String(major).padStart(5)} ${hex16(address)}   ${name.padEnd(10)} ${hex16(queue)}   ${cells.join(' ')}`;
  });
  return { data, text: lines(['MAJOR GENDISK            NAME       REQUEST_QUEUE      TOTAL  READ WRITE', ...rows]) };
}

/** `part_in_flight`: per-cpu `bd_stats->in_flight[]` of the whole disk. */
function inFlight(program: Program, disk: StructObject): { reads: number; writes: number } {
  const stats = disk.follow('part0')?.pointer('bd_stats');
  if (stats === undefined || stats === 0n) return { reads: 0, writes: 0 };
  let [reads, writes] = [0, 0];
  for (const offset of program.percpuOffsets) {
    const local = program.object('disk_stats', BigInt.asUintN(64, stats + offset));
    reads += local.num('in_flight[0].a.counter');
    writes += local.num('in_flight[1].a.counter');
  }
  return { reads: Math.max(0, reads), writes: Math.max(0, writes) };
}

/** Width of a line of bytes. */
const BYTES_PER_LINE = 16;

/** `dev -V`. */
function deviceDumpsView(program: Program): View {
  const dumps = deviceDumps(program);
  if (dumps.length === 0) throw new UsageError('no device dumps found in this dumpfile');
  const rows = dumps.map(
    ({ index, size, name }) => `${String(index).padStart(3)}    ${String(size).padEnd(12)} ${name}`,
  );
  return {
    data: dumps.map(({ index, size, name }) => ({ index, size, name })),
    text: lines(['INDEX  SIZE         NAME', ...rows]),
  };
}

/** `dev -v`: writes a device's dump into a file, or shows its bytes. */
function deviceDumpView(program: Program, word: string, file: string | undefined): View {
  if (deviceDumps(program).length === 0) throw new UsageError('no device dumps found in this dumpfile');
  const dump = deviceDumps(program).find(({ index }) => String(index) === word);
  if (dump === undefined) throw new UsageError(`no device dump of that index: ${word}`);
  if (file !== undefined) {
    writeHostFile(file, dump.data);
    return { data: { file, size: dump.size }, text: `${dump.size} bytes copied to ${file}\n` };
  }
  const rows: string[] = [];
  for (let at = 0; at < dump.size; at += BYTES_PER_LINE) {
    const bytes = dump.data.subarray(at, at + BYTES_PER_LINE);
    const cells = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(' ');
    rows.push(`${at.toString(16).padStart(16)}:  ${cells.padEnd(3 * BYTES_PER_LINE)} ${printable(bytes)}`);
  }
  return { data: { name: dump.name, bytes: dump.data }, text: lines(rows) };
}
