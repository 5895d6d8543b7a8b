/**
 * Probes in a running kernel's functions: a host call in place of an instruction, and a handler for it.
 *
 * Kernels built for ftrace begin their functions with two instructions that it patches, the second a NOP: a host call there can stay,
 * because the CPU just goes on behind it. Elsewhere it is there for one hit.
 */
import { readU32, writeU32 } from '../../capture/formats/bytes.ts';
import { type A64Cpu, HOST_CALL_WORD } from '../../emulator/cpu/a64/index.ts';
import type { VirtBoard } from '../../emulator/machine/virt-aarch64/board.ts';
import { PhysicalDma } from '../../emulator/memory/physical-dma.ts';

const NOP = 0xd503_201f;
const INSTRUCTION = 4;

/** Called with the PC at the probe. `stay`: the CPU does not go on. */
export type ProbeHandler = (cpu: A64Cpu) => 'continue' | 'stay';

interface Probe {
  readonly original: Uint8Array;
  readonly isNop: boolean;
  readonly handler: ProbeHandler;
}

/** The probes of one board. */
export class KernelProbes {
  readonly dma: PhysicalDma;
  readonly #board: VirtBoard;
  readonly #word = new Uint8Array(INSTRUCTION);
  readonly #probes = new Map<number, Probe>();

  /** @param exceptionLevel in which the kernel was started: decides which call reaches the host */
  constructor(board: VirtBoard, exceptionLevel: 1 | 2) {
    const { machine, memory } = board;
    this.#board = board;
    this.dma = new PhysicalDma(memory, (address, size) => machine.engine.code.written(address, size));
    writeU32(this.#word, 0, exceptionLevel === 2 ? HOST_CALL_WORD.smc : HOST_CALL_WORD.hvc);
  }

  /** Puts a probe at the beginning of a function, where it can stay if possible. @param paddr of its first instruction */
  plantAtFunction(paddr: number, handler: ProbeHandler): void {
    const second = paddr + INSTRUCTION;
    this.plant(readU32(this.dma.read(second, INSTRUCTION), 0) === NOP ? second : paddr, handler);
  }

  /** Puts a probe at an instruction. */
  plant(paddr: number, handler: ProbeHandler): void {
    if (this.#probes.has(paddr)) return;
    const original = this.dma.read(paddr, INSTRUCTION);
    this.#probes.set(paddr, { original, isNop: readU32(original, 0) === NOP, handler });
    this.dma.write(paddr, this.#word);
    for (const cpu of this.#board.cpus) cpu.hostCall = () => this.#hit(cpu);
  }

  /** Takes all probes out: the kernel's memory is as it was. */
  removeAll(): void {
    for (const paddr of this.#probes.keys()) this.#remove(paddr);
    for (const cpu of this.#board.cpus) cpu.hostCall = undefined;
  }

  #remove(paddr: number): void {
    const probe = this.#probes.get(paddr);
    if (probe === undefined) return;
    this.#probes.delete(paddr);
    this.dma.write(paddr, probe.original);
  }

  #hit(cpu: A64Cpu): void {
    const { pc } = cpu.engine;
    const paddr = cpu.translateForDebugger(pc);
    const probe = paddr === undefined ? undefined : this.#probes.get(paddr);
    // A call that is not ours: of a guest that knows the number. It does nothing.
    if (probe === undefined || paddr === undefined) {
      cpu.engine.pc = pc + BigInt(INSTRUCTION);
      return;
    }
    if (probe.handler(cpu) === 'stay') return;
    if (probe.isNop) cpu.engine.pc = pc + BigInt(INSTRUCTION);
    else this.#remove(paddr);
  }
}
