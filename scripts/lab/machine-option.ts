/** Reads the value of QEMU's `-machine` option: `virt,gic-version=3,its=off` for arm64, `q35` or `microvm,pit=on` for x86_64. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { PcParts } from '../../emulator/machine/pc-x86_64/board-config.ts';
import type { PcBoard } from '../../emulator/machine/pc-x86_64/layout.ts';

/** What the option chooses. */
export interface VirtMachineOption {
  readonly gicVersion: 2 | 3;
  readonly its: boolean;
  /** EL2 is implemented, and the kernel starts there. */
  readonly virtualization: boolean;
}

/** @throws UsageError for another board, or a property that the board does not have */
export function parseMachineOption(text: string): VirtMachineOption {
  const [board, ...properties] = text.split(',');
  if (board !== 'virt') throw new UsageError(`-machine ${text}: the arm64 machine is virt`);
  let option: VirtMachineOption = { gicVersion: 3, its: true, virtualization: false };
  for (const property of properties) option = { ...option, ...readProperty(property) };
  return option;
}

/** Properties of QEMU's PCs that turn parts on and off. */
const PC_PARTS: Readonly<Record<PcBoard, Readonly<Record<string, keyof PcParts>>>> = {
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
export function parsePcMachineOption(text: string): { readonly board: PcBoard; readonly parts: Partial<PcParts> } {
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

function pcOnOff(board: PcBoard, name: string, value: string): boolean {
  if (value === 'on' || value === 'off') return value === 'on';
  throw new UsageError(`-machine ${board},${name}=${value}: must be on or off`);
}

function unknownPcProperty(board: PcBoard, property: string): UsageError {
  const known = Object.keys(PC_PARTS[board]).map(name => `${name}=on|off`);
  return new UsageError(`-machine ${board},${property}: not possible here; known are ${known.join(', ')}`);
}

function readProperty(property: string): Partial<VirtMachineOption> {
  const [name, value = ''] = property.split('=');
  switch (name?.replaceAll('_', '-')) {
    case 'gic-version':
      return { gicVersion: gicVersion(value) };
    case 'its':
      return { its: onOff(property, value) };
    case 'virtualization':
      return { virtualization: onOff(property, value) };
    case 'dtb-randomness':
    case 'highmem':
    case 'secure':
      return {};
    default:
      throw new UsageError(
        `-machine virt,${property}: unknown property; known are gic-version=2|3, its=on|off, virtualization=on|off`,
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
