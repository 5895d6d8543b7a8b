/**
 * Probes in a running kernel's functions: a host call in place of an instruction, and a handler for it.
 *
 * Kernels built for ftrace begin their functions with a no-operation that it patches: a host call there can stay, because the CPU just
 * goes on behind it. Elsewhere it is there for one hit.
 */
import { PhysicalDma } from '../../emulator/index.ts';
import { PROBE_WINDOW, type WatchedBoard, type WatchedCpu } from './watched-board.ts';

/** Called with the PC at the probe. `stay`: the CPU does not go on. */
export type ProbeHandler = (cpu: WatchedCpu) => 'continue' | 'stay';

interface Probe {
  readonly original: Uint8Array;
  /** Bytes behind which to go on; 0: the probe goes, and the instruction is executed. */
  readonly skip: number;
  readonly handlers: ProbeHandler[];
}

/** The probes of one board. */
export class KernelProbes {
  readonly dma: PhysicalDma;
  readonly board: WatchedBoard;
  readonly #probes = new Map<number, Probe>();

  constructor(board: WatchedBoard) {
    const { machine, memory } = board;
    this.board = board;
    this.dma = new PhysicalDma(memory, (address, size) => machine.engine.code.written(address, size));
  }

  /** Puts a probe at the beginning of a function, where it can stay if possible. @param paddr of its first instruction */
  plantAtFunction(paddr: number, handler: ProbeHandler): void {
    const { offset, skip } = this.board.probe.findSite(this.dma.read(paddr, PROBE_WINDOW));
    // Somebody else's probe hides the no-operation.
    const site = this.#probes.has(paddr) ? paddr : paddr + offset;
    this.#plant(site, skip, handler);
  }

  /** Puts a probe at an instruction; it goes with the first hit. */
  plant(paddr: number, handler: ProbeHandler): void {
    this.#plant(paddr, 0, handler);
  }

  #plant(paddr: number, skip: number, handler: ProbeHandler): void {
    const there = this.#probes.get(paddr);
    if (there !== undefined) return void there.handlers.push(handler);
    const { bytes } = this.board.probe;
    this.#probes.set(paddr, { original: this.dma.read(paddr, bytes.length), skip, handlers: [handler] });
    this.dma.write(paddr, bytes);
    for (const cpu of this.board.cpus) cpu.onHostCall(() => this.#hit(cpu));
  }

  /** Takes all probes out: the kernel's memory is as it was. */
  removeAll(): void {
    for (const paddr of this.#probes.keys()) this.#remove(paddr);
    for (const cpu of this.board.cpus) cpu.onHostCall(undefined);
  }

  #remove(paddr: number): void {
    const probe = this.#probes.get(paddr);
    if (probe === undefined) return;
    this.#probes.delete(paddr);
    this.dma.write(paddr, probe.original);
  }

  #hit(cpu: WatchedCpu): void {
    const { pc } = cpu;
    const paddr = cpu.translate(pc);
    const probe = paddr === undefined ? undefined : this.#probes.get(paddr);
    // A call that is not ours: of a guest that knows the number. It does nothing.
    if (probe === undefined || paddr === undefined) {
      cpu.pc = pc + BigInt(this.board.probe.bytes.length);
      return;
    }
    // All of them, because those that trace come beside one that takes over.
    const wishes = probe.handlers.map(handler => handler(cpu));
    if (wishes.includes('stay')) return;
    if (probe.skip > 0) cpu.pc = pc + BigInt(probe.skip);
    else this.#remove(paddr);
  }
}
