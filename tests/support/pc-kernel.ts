/** Tiny kernels for a PC: what they print on the serial port tells what they have found. */
import { PcBoard } from '../../emulator/machine/pc-x86_64/board.ts';

const MEMORY_BYTES = 64 * 2 ** 20;

/** The end of a kernel's code: prints AL. */
export const PRINT_AND_STOP = [0x66, 0xba, 0xf8, 0x03, 0xee, 0xfa, 0xf4]; // mov dx, 0x3f8; out dx, al; cli; hlt

/** Boots a kernel on q35 with the command line `hello`. @returns what it prints */
export async function runPcKernel(kernel: Uint8Array, initrd?: Uint8Array): Promise<string> {
  let text = '';
  const board = new PcBoard({
    board: 'q35',
    cpu: 'qemu64',
    cpuCount: 1,
    memoryBytes: MEMORY_BYTES,
    drives: [],
    consoleOutput: byte => (text += String.fromCharCode(byte)),
    epochSeconds: 0,
  });
  board.loadLinux({ kernel, commandLine: 'hello', ...(initrd && { initrd }) });
  await board.machine.run(1e6);
  return text;
}
