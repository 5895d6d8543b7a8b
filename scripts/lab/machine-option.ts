/** Reads the value of QEMU's `-machine` option for arm64: `virt,gic-version=3,its=off`. */
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
