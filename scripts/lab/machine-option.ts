/** Reads the value of QEMU's `-machine` option: `virt,gic-version=3,its=off` for arm64, `q35` or `microvm,pit=on` for x86_64. */
import { UsageError } from '../../capture/formats/errors.ts';

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

/** Properties of QEMU's PCs that leave our boards as they are. */
const PC_PROPERTIES: Readonly<Record<'q35' | 'microvm', readonly string[]>> = {
  q35: ['accel=tcg', 'hpet=on', 'acpi=on', 'pit=on', 'pic=on', 'smm=off', 'vmport=off', 'graphics=off', 'usb=off'],
  microvm: ['accel=tcg', 'acpi=on', 'pit=on', 'pic=on', 'rtc=on', 'isa-serial=on', 'pcie=off', 'usb=off'],
};

/** @throws UsageError for another board, or a property that the board does not have */
export function parsePcMachineOption(text: string): 'q35' | 'microvm' {
  const [board, ...properties] = text.split(',');
  if (board !== 'q35' && board !== 'microvm')
    throw new UsageError(`-machine ${text}: x86_64 machines are q35 and microvm`);
  const known = PC_PROPERTIES[board];
  for (const property of properties) {
    if (!known.includes(property)) {
      throw new UsageError(`-machine ${board},${property}: unknown property; known are ${known.join(', ')}`);
    }
  }
  return board;
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
