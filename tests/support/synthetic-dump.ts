/** A small machine's memory as a dump: enough for writers, without a kernel. */
import type { Dump } from '../../capture/sources/dump-file.ts';
import { machineDump } from '../../capture/sources/machine-memory.ts';
import type { MachineState } from '../../capture/sources/machine-memory.ts';

export const PAGE_SIZE = 4096;

/** Bytes of a page that say which page it is; every fourth is zero, every fifth cannot be compressed. */
export function pageContents(pfn: number): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  if (pfn % 4 === 0) return page;
  let state = (pfn * 2_654_435_761) >>> 0;
  for (let index = 0; index < PAGE_SIZE; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    page[index] = pfn % 5 === 0 ? state >>> 24 : ((index >> 5) & 0xff) ^ (pfn & 0xff);
  }
  return page;
}

/** A machine with a hole in its memory: pages 16 to 79 and 100 to 399. */
export function machineState(overrides: Partial<MachineState> = {}): MachineState {
  return {
    name: 'machine',
    architecture: 'x86_64',
    ram: [
      { start: 16 * PAGE_SIZE, end: 80 * PAGE_SIZE },
      { start: 100 * PAGE_SIZE, end: 400 * PAGE_SIZE },
    ],
    read: (paddr, length) => {
      const bytes = new Uint8Array(length);
      for (let offset = 0; offset < length; offset += PAGE_SIZE)
        bytes.set(pageContents((paddr + offset) / PAGE_SIZE), offset);
      return bytes;
    },
    cpus: [{ pid: 1, registers: new Map([['ip', 0xffff_ffff_8100_0000n]]) }],
    ...overrides,
  };
}

export function syntheticDump(): Dump {
  return machineDump(machineState());
}
