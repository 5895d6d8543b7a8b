/** Devices and where they are: `info mtree`, `info qtree`, `info pci`. */
import type { DeviceRegion, Machine, PciFunctionInfo } from '../../../emulator/index.ts';
import { hex } from './target.ts';

/** Address spaces and what is in them. */
export function addressSpaces({ regions }: Machine): string[] {
  const spaces = [
    ['memory', 'address-space: memory', 'system', 0xffff_ffff_ffff_ffffn],
    ['io', 'address-space: I/O', 'io', 0xffffn],
  ] as const;
  return spaces.flatMap(([space, title, root, end]) => {
    const found = regions.filter(region => region.space === space);
    if (found.length === 0) return [];
    return [
      title,
      `  ${hex(0n, 16)}-${hex(end, 16)} (prio 0, i/o): ${root}`,
      ...found.map(region => `    ${extent(region)} (prio 0, ${kindOf(region)}): ${region.name}`),
      '',
    ];
  });
}

function kindOf({ name }: DeviceRegion): string {
  return name === 'ram' ? 'ram' : 'i/o';
}

function extent({ base, size }: DeviceRegion): string {
  return `${hex(base, 16)}-${hex(base + size - 1, 16)}`;
}

/** Devices by their bus. */
export function deviceTree({ regions, pci }: Machine): string[] {
  const platform = regions.filter(({ name }) => name !== 'ram');
  return [
    'bus: main-system-bus',
    '  type System',
    ...platform.flatMap(({ name, space, base, size }) => [
      `  dev: ${name}, id ""`,
      `    ${space === 'io' ? 'isa-port' : 'mmio'} ${hex(base, 16)}/${hex(size, 16)}`,
    ]),
    ...(pci.length === 0 ? [] : ['  bus: pcie.0', '    type PCIE']),
    ...pci.flatMap(describeOnTree),
  ];
}

function describeOnTree(found: PciFunctionInfo): string[] {
  const { device, function: number, name, config, bars } = found;
  const place = `${hex(device, 2)}.${number}`;
  return [
    `    dev: ${name}, id ""`,
    `      addr = ${place}`,
    `      class ${className(config)}, addr 00:${place}, pci id ${ids(config, 0)} (sub ${ids(config, 0x2c)})`,
    ...bars.map(({ index, kind, address = 0xffff_ffff_ffff_ffffn, size }) => {
      const where = `at 0x${hex(address, 0)} [0x${hex(BigInt.asUintN(64, BigInt(address) + BigInt(size) - 1n), 0)}]`;
      return `      bar ${index}: ${kind === 'io' ? 'i/o' : 'mem'} ${where}`;
    }),
  ];
}

/** The bus as `info pci` has it. */
export function pciBus({ pci }: Machine): string[] {
  if (pci.length === 0) return ['there is no PCI bus'];
  return pci.flatMap(({ device, function: number, config, bars }) => {
    const pin = config[0x3d]!;
    return [
      `  Bus  0, device ${String(device).padStart(3)}, function ${number}:`,
      `    ${className(config)}: PCI device ${ids(config, 0)}`,
      `      PCI subsystem ${ids(config, 0x2c)}`,
      ...(pin === 0 ? [] : [`      IRQ ${config[0x3c]!}, pin ${String.fromCharCode(0x40 + pin)}`]),
      ...bars.map(bar => `      BAR${bar.index}: ${describeBar(bar)}.`),
      '      id ""',
    ];
  });
}

const BAR_KINDS = { io: 'I/O', mem32: '32 bit', mem64: '64 bit' } as const;

function describeBar({ kind, prefetchable, size, address }: PciFunctionInfo['bars'][number]): string {
  const what = kind === 'io' ? BAR_KINDS.io : `${BAR_KINDS[kind]}${prefetchable ? ' prefetchable' : ''} memory`;
  if (address === undefined) return `${what} (not mapped)`;
  return `${what} at 0x${hex(address, 0)} [0x${hex(address + size - 1, 0)}]`;
}

/** Vendor and device at an offset. */
function ids(config: Uint8Array, at: number): string {
  const view = Buffer.from(config);
  return `${hex(view.readUInt16LE(at), 4)}:${hex(view.readUInt16LE(at + 2), 4)}`;
}

/** Base class and sub-class. Source: PCI Code and ID Assignment Specification. */
const CLASSES: Readonly<Record<number, string>> = {
  0x0100: 'SCSI controller',
  0x0106: 'SATA controller',
  0x00ff: 'Class 0255',
  0x0600: 'Host bridge',
  0x0601: 'ISA bridge',
  0x0780: 'Class 1920',
  0x0880: 'Class 2176',
};

function className(config: Uint8Array): string {
  const code = (config[0x0b]! << 8) | config[0x0a]!;
  return CLASSES[code] ?? `Class ${String(code).padStart(4, '0')}`;
}
