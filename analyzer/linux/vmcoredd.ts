/** Dumps that drivers add to a vmcore; `include/linux/crash_dump.h`, `include/uapi/linux/vmcore.h`. */
import { cString } from '../../capture/formats/bytes.ts';
import type { Program } from '../program.ts';

/** `NT_VMCOREDD`. */
const NT_VMCOREDD = 0x700;
/** `vmcoredd_header.dump_name`. */
const NAME_SIZE = 44;

/** One device's dump. */
export interface DeviceDump {
  readonly index: number;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly data: Uint8Array;
}

/** The notes of type NT_VMCOREDD: a name, then what the driver wrote. */
export function deviceDumps(program: Program): DeviceDump[] {
  return program.dump.notes
    .filter(({ name, type, descriptor }) => name === 'LINUX' && type === NT_VMCOREDD && descriptor.length >= NAME_SIZE)
    .map(({ descriptor }, index) => {
      const data = descriptor.subarray(NAME_SIZE);
      return { index, name: cString(descriptor, 0, NAME_SIZE), size: data.length, data };
    });
}
