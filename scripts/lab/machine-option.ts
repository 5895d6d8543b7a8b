/** Reads the value of QEMU's `-machine` option: `virt,gic-version=3,its=off` for arm64, `q35` or `microvm,pit=on` for x86_64. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { BoardChoice, PcParts } from '../../emulator/index.ts';

type PcName = 'q35' | 'microvm';
type VirtChoice = BoardChoice & { readonly type: 'virt' };

/** @throws UsageError for a board that is not there, or a property that the board does not have */
export function parseBoard(text: string): BoardChoice {
  if (text.startsWith('virt')) return parseMachineOption(text);
  const { board, parts } = parsePcMachineOption(text);
  return { type: board, parts };
}

/** @throws UsageError for another board, or a property that the board does not have */
export function parseMachineOption(text: string): VirtChoice {
  const [board, ...properties] = text.split(',');
  if (board !== 'virt') throw new UsageError(`-machine ${text}: the arm64 machine is virt`);
  let option: VirtChoice = { type: 'virt', gicVersion: 3, its: true, virtualization: false, seeds: true };
  for (const property of properties) option = { ...option, ...readProperty(property) };
  return option;
}

/** Properties of QEMU's PCs that turn parts on and off. */
const PC_PARTS: Readonly<Record<PcName, Readonly<Record<string, keyof PcParts>>>> = {
  q35: { acpi: 'acpi', pit: 'pit', pic: 'pic', hpet: 'hpet' },
  microvm: { acpi: 'acpi', pit: 'pit', pic: 'pic', rtc: 'rtc', 'isa-serial': 'isaSerial' },
};

/** Properties that these boards have in one state only. */
const PC_FIXED: Readonly<Record<string, readonly string[]>> = {
  accel: ['tcg'],
  smm: ['off', 'auto'],
  vmport: ['off', 'auto'],
  graphics: ['off'],
  usb: ['off'],
  sata: ['on', 'off'],
  smbus: ['off'],
  'kernel-irqchip': ['off'],
  pcie: ['off', 'auto'],
  ioapic2: ['on', 'auto'],
  'auto-kernel-cmdline': ['on'],
  'x-option-roms': ['on', 'off'],
};

/** @throws UsageError for another board, or a property that the board does not have */
export function parsePcMachineOption(text: string): { readonly board: PcName; readonly parts: Partial<PcParts> } {
  const [board, ...properties] = text.split(',');
  if (board !== 'q35' && board !== 'microvm')
    throw new UsageError(`-machine ${text}: x86_64 machines are q35 and microvm`);
  const known = PC_PARTS[board];
  const parts: { -readonly [part in keyof PcParts]?: boolean } = {};
  for (const property of properties) {
    const [name = '', value = 'on'] = property.replaceAll('_', '-').split('=');
    const part = known[name];
    if (part !== undefined) parts[part] = value === 'auto' || pcOnOff(board, name, value);
    else if (PC_FIXED[name]?.includes(value) !== true) throw unknownPcProperty(board, property);
  }
  return { board, parts };
}

function pcOnOff(board: PcName, name: string, value: string): boolean {
  if (value === 'on' || value === 'off') return value === 'on';
  throw new UsageError(`-machine ${board},${name}=${value}: must be on or off`);
}

function unknownPcProperty(board: PcName, property: string): UsageError {
  const known = Object.keys(PC_PARTS[board]).map(name => `${name}=on|off`);
  return new UsageError(`-machine ${board},${property}: not possible here; known are ${known.join(', ')}`);
}

/** Properties that virt has in one state only. */
const VIRT_FIXED: Readonly<Record<string, readonly string[]>> = {
  accel: ['tcg'],
  highmem: ['on'],
  'highmem-ecam': ['on'],
  'highmem-mmio': ['on'],
  'highmem-redists': ['on'],
  secure: ['off'],
  mte: ['off'],
  iommu: ['none'],
  usb: ['off'],
  graphics: ['off'],
  'kernel-irqchip': ['off'],
  acpi: ['off', 'auto'],
  ras: ['off'],
  'default-bus-bypass-iommu': ['off'],
};

function readProperty(property: string): Partial<VirtChoice> {
  const [name = '', value = 'on'] = property.replaceAll('_', '-').split('=');
  switch (name) {
    case 'gic-version':
      return { gicVersion: gicVersion(value) };
    case 'its':
      return { its: onOff(property, value) };
    case 'virtualization':
      return { virtualization: onOff(property, value) };
    case 'dtb-randomness':
    case 'dtb-kaslr-seed':
      return { seeds: onOff(property, value) };
    default:
      if (VIRT_FIXED[name]?.includes(value) === true) return {};
      throw new UsageError(
        `-machine virt,${property}: not possible here; known are gic-version=2|3, its=on|off, virtualization=on|off, dtb-randomness=on|off`,
      );
  }
}

function gicVersion(value: string): 2 | 3 {
  if (value === '2') return 2;
  if (value === '3' || value === 'max') return 3;
  throw new UsageError(`-machine virt,gic-version=${value}: must be 2 or 3`);
}

function onOff(property: string, value: string): boolean {
  if (value === 'on' || value === 'off') return value === 'on';
  throw new UsageError(`-machine virt,${property}: must be on or off`);
}
