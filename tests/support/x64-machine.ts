/** A bare x86_64 machine for tests of system behaviour: one CPU, RAM mapped to itself, descriptor tables, handlers that record. */
import { Engine, engineReservedBytes } from '../../emulator/cpu/execute/engine.ts';
import { createX64Guest, type X64Cpu, x64Model } from '../../emulator/cpu/x64/index.ts';
import { GPR, SEGMENT } from '../../emulator/cpu/x64/state.ts';
import { Bus } from '../../emulator/memory/bus.ts';
import { GuestMemory } from '../../emulator/memory/guest-memory.ts';

/** Where things are. */
export const AT = {
  PML4: 0x1000,
  PDPT: 0x2000,
  PD: 0x3000,
  PT: 0x4000,
  GDT: 0x5000,
  IDT: 0x6000,
  TSS: 0x7000,
  /** Handlers of vector n are at HANDLERS + 16 × n: they halt. */
  HANDLERS: 0x8000,
  CODE: 0x1_0000,
  DATA: 0x2_0000,
  /** Top of the stacks of level 0, of interrupts by IST 1, and of level 3. */
  STACK: 0x3_0000,
  IST_STACK: 0x3_8000,
  USER_STACK: 0x4_0000,
} as const;

const MEMORY = 0x20_0000;

/** Selectors of the GDT. */
export const SELECTOR = { CODE: 0x10, DATA: 0x18, USER_CODE: 0x2b, USER_DATA: 0x23, TSS: 0x30 } as const;

/** Page-table bits. */
export const PAGE_BITS = { P: 1n, W: 2n, U: 4n, A: 0x20n, D: 0x40n, NX: 1n << 63n } as const;

export class X64TestMachine {
  readonly memory = new GuestMemory(engineReservedBytes(1), [{ start: 0, size: MEMORY }]);
  readonly engine: Engine;
  readonly cpu: X64Cpu;
  /** Vectors that `acknowledge` gives, first to last. */
  readonly interrupts: number[] = [];
  tripleFaults = 0;

  constructor(model = 'max') {
    const cpus: X64Cpu[] = [];
    const guest = createX64Guest(x64Model(model), 1, () => cpus[0]!);
    this.engine = new Engine(guest, this.memory, new Bus('memory'), 1, cpu => {
      cpus.push(guest.createCpu(cpu, this.#surroundings()));
      return cpus[0]!;
    });
    this.cpu = cpus[0]!;
    this.#writeTables();
    this.cpu.start({
      mode: 'long64',
      rip: BigInt(AT.CODE),
      rsi: 0n,
      rbx: 0n,
      cr3: AT.PML4,
      gdt: { base: BigInt(AT.GDT), limit: 0x3f },
    });
    this.cpu.registers.idtr = { base: BigInt(AT.IDT), limit: 0xfff };
    this.cpu.state.setSegment(SEGMENT.TR, {
      selector: SELECTOR.TSS,
      base: BigInt(AT.TSS),
      limit: 0x67,
      attributes: 0x8b00,
    });
    this.cpu.state.setGpr(GPR.SP, BigInt(AT.STACK));
  }

  #surroundings() {
    const apic = {
      readBase: () => 0xfee0_0900n,
      writeBase: () => true,
      readMsr: () => undefined,
      writeMsr: () => false,
      isX2apic: false,
      readTscDeadline: () => 0n,
      writeTscDeadline: () => undefined,
      readCR8: () => 0n,
      writeCR8: () => undefined,
      acknowledge: () => {
        this.cpu.setInterrupt(this.interrupts.length > 1);
        return this.interrupts.shift() ?? -1;
      },
    };
    return {
      apic,
      ports: { read: () => 0, write: () => undefined },
      timestamp: () => BigInt(this.engine.retired),
      host: { tripleFault: () => void this.tripleFaults++ },
    };
  }

  write(address: number, ...bytes: readonly number[]): void {
    this.memory.ramSlice(address, bytes.length).set(bytes);
    this.cpu.engine.written(this.memory.ramAddress(address), bytes.length);
  }
  write64(address: number, value: bigint): void {
    this.memory.view.setBigUint64(this.memory.ramAddress(address), BigInt.asUintN(64, value), true);
  }
  read64(address: number): bigint {
    return this.memory.view.getBigUint64(this.memory.ramAddress(address), true);
  }

  /** Sets the entry of the page at a linear address below 2 MiB. */
  mapPage(address: number, entry: bigint): void {
    this.write64(AT.PT + (address >> 12) * 8, entry);
    this.cpu.flushTranslations();
  }

  #writeTables(): void {
    this.write64(AT.PML4, BigInt(AT.PDPT) | 7n);
    this.write64(AT.PDPT, BigInt(AT.PD) | 7n);
    this.write64(AT.PD, BigInt(AT.PT) | 7n);
    for (let page = 0; page < 512; page++) this.write64(AT.PT + 8 * page, BigInt(page * 4096) | 7n);
    const descriptors = [
      0n,
      0n,
      0x00af_9a00_0000_ffffn,
      0x00cf_9200_0000_ffffn,
      0x00cf_f200_0000_ffffn,
      0x00af_fa00_0000_ffffn,
    ];
    descriptors.forEach((descriptor, i) => this.write64(AT.GDT + 8 * i, descriptor));
    for (let vector = 0; vector < 256; vector++) {
      this.setGate(vector, {});
      this.write(AT.HANDLERS + 16 * vector, 0xf4);
    }
    this.write64(AT.TSS + 4, BigInt(AT.STACK));
    this.write64(AT.TSS + 0x24, BigInt(AT.IST_STACK));
  }

  /** An interrupt gate to the handler of the vector. */
  setGate(
    vector: number,
    { dpl = 0, ist = 0, present = true }: { dpl?: number; ist?: number; present?: boolean },
  ): void {
    const handler = BigInt(AT.HANDLERS + 16 * vector);
    const attributes = BigInt((present ? 0x8e00 : 0x0e00) | (dpl << 13) | ist);
    this.write64(AT.IDT + 16 * vector, (handler & 0xffffn) | (BigInt(SELECTOR.CODE) << 16n) | (attributes << 32n));
    this.write64(AT.IDT + 16 * vector + 8, handler >> 32n);
  }

  /** Runs the bytes at AT.CODE until the CPU halts. @returns the vector whose handler halted it, or undefined */
  run(...code: readonly number[]): number | undefined {
    this.write(AT.CODE, ...code);
    for (let slices = 0; slices < 50 && this.cpu.idle === 'running'; slices++) {
      this.engine.runSlice(this.engine.cpus[0]!, 1000);
    }
    const pc = Number(this.cpu.engine.pc);
    return pc >= AT.HANDLERS && pc < AT.HANDLERS + 0x1000 ? (pc - AT.HANDLERS) >> 4 : undefined;
  }

  /** Continues at CPL 3, at AT.CODE. */
  enterUser(): void {
    const { state } = this.cpu;
    state.setSegment(SEGMENT.CS, {
      selector: SELECTOR.USER_CODE,
      base: 0n,
      limit: 0xffff_ffff,
      attributes: 0x00a0_fb00,
    });
    state.setSegment(SEGMENT.SS, {
      selector: SELECTOR.USER_DATA,
      base: 0n,
      limit: 0xffff_ffff,
      attributes: 0x00c0_f300,
    });
    state.setGpr(GPR.SP, BigInt(AT.USER_STACK));
    this.cpu.contextChanged();
  }

  /** What the handler finds on its stack, from the stack pointer up. */
  frame(words: number): bigint[] {
    const top = Number(this.cpu.state.gpr(GPR.SP));
    return Array.from({ length: words }, (_, i) => this.read64(top + 8 * i));
  }
}
