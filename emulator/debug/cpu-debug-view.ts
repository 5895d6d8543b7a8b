/** What the debug views of all architectures have in common: memory, breakpoints and steps. */
import type { Engine } from '../cpu/execute/engine.ts';
import type { Watchpoints } from '../cpu/execute/watchpoints.ts';
import { PhysicalDma } from '../memory/physical-dma.ts';
import { VirtualMemory } from './virtual-memory.ts';

/** A CPU of any architecture, as far as these need it. */
interface DebuggedCpu {
  translateForDebugger(vaddr: bigint): number | undefined;
}

/** The machine-independent part of a debug target is the session's: who runs, who pauses. */
export abstract class CpuDebugView<Cpu extends DebuggedCpu> {
  protected readonly cpus: readonly Cpu[];
  protected readonly engine: Engine;
  readonly #dma: PhysicalDma;
  readonly #virtual: VirtualMemory;

  constructor(cpus: readonly Cpu[], engine: Engine) {
    this.cpus = cpus;
    this.engine = engine;
    this.#dma = new PhysicalDma(engine.memory, (address, size) => engine.code.written(address, size));
    this.#virtual = new VirtualMemory(this.#dma, engine.memory, (cpu, vaddr) => this.translate(cpu, vaddr));
  }

  get cpuCount(): number {
    return this.cpus.length;
  }

  readMemory(index: number, address: bigint, length: number): Uint8Array {
    return this.#virtual.read(index, address, length);
  }

  writeMemory(index: number, address: bigint, bytes: Uint8Array): boolean {
    return this.#virtual.write(index, address, bytes);
  }

  readPhysical(address: bigint, length: number): Uint8Array {
    return this.engine.memory.ramSlice(Number(address), length);
  }

  writePhysical(address: bigint, bytes: Uint8Array): boolean {
    if (this.readPhysical(address, bytes.length).length < bytes.length) return false;
    this.#dma.write(Number(address), bytes);
    return true;
  }

  translate(index: number, vaddr: bigint): number | undefined {
    return this.cpus[index]!.translateForDebugger(vaddr);
  }

  get watchpoints(): Watchpoints {
    return this.engine.watchpoints;
  }

  addBreakpoint(address: bigint): void {
    this.engine.code.breakpoints.add(address);
  }

  removeBreakpoint(address: bigint): void {
    this.engine.code.breakpoints.remove(address);
  }

  step(index: number): void {
    this.engine.step(this.engine.cpus[index]!);
  }
}
