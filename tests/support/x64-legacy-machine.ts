/** `X64TestMachine` in 32-bit protected mode without paging, with descriptors of its own. */
import { GPR, SEGMENT } from '../../emulator/cpu/x64/state.ts';
import { CR0 } from '../../emulator/cpu/x64/system/control-bits.ts';
import { AT, X64TestMachine } from './x64-machine.ts';

/** Selectors that every machine has: flat segments of both levels, and its task. */
export const FLAT = { CODE: 0x08, DATA: 0x10, USER_CODE: 0x1b, USER_DATA: 0x23, TASK: 0x28 } as const;
/** First selector for tests. */
export const FREE = 0x30;
const GDT_ENTRIES = 32;

/** What a segment descriptor says. Type and the bits beside it as in its second word. */
export interface SegmentDescription {
  readonly base?: number;
  /** As in the descriptor: in bytes, or pages with `pages`. */
  readonly limit?: number;
  /** Bits 11 to 8. */
  readonly type: number;
  readonly system?: boolean;
  readonly dpl?: number;
  readonly present?: boolean;
  readonly long?: boolean;
  /** D or B. */
  readonly big?: boolean;
  readonly pages?: boolean | undefined;
}

const FLAT_SEGMENT = {
  base: 0,
  limit: 0xf_ffff,
  system: false,
  dpl: 0,
  present: true,
  long: false,
  big: true,
  pages: undefined,
};

/** The 8 bytes of a segment descriptor. Source: Intel SDM vol. 3A "Segment Descriptors". */
export function segmentDescriptor(description: SegmentDescription): bigint {
  const { base, limit, type, system, dpl, present, long, big, pages } = { ...FLAT_SEGMENT, ...description };
  const access = type | (Number(!system) << 4) | (dpl << 5) | (Number(present) << 7);
  const flags = (Number(long) << 1) | (Number(big && !system) << 2) | (Number(pages ?? limit === 0xf_ffff) << 3);
  const low = ((base & 0xffff) << 16) | (limit & 0xffff);
  const high = ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf_0000) | (flags << 20) | ((base >>> 24) << 24);
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** The 8 bytes of a gate: of calls, tasks, interrupts. */
export function gateDescriptor(
  type: number,
  selector: number,
  offset: number,
  { dpl = 0, present = true, parameters = 0 } = {},
): bigint {
  const attributes = parameters | ((type | (dpl << 5) | (present ? 0x80 : 0)) << 8);
  const high = ((offset & 0xffff_0000) | attributes) >>> 0;
  return (BigInt(high) << 32n) | (BigInt(selector) << 16n) | BigInt(offset & 0xffff);
}

export class X64LegacyMachine extends X64TestMachine {
  constructor() {
    super();
    const { registers, state } = this.cpu;
    registers.efer = 0;
    registers.cr4 = 0;
    registers.cr0 = CR0.PE | CR0.ET | CR0.NE;
    registers.gdtr = { base: BigInt(AT.GDT), limit: GDT_ENTRIES * 8 - 1 };
    registers.idtr = { base: BigInt(AT.IDT), limit: 256 * 8 - 1 };
    this.describe(FLAT.CODE, { type: 0xb });
    this.describe(FLAT.DATA, { type: 3 });
    this.describe(FLAT.USER_CODE, { type: 0xb, dpl: 3 });
    this.describe(FLAT.USER_DATA, { type: 3, dpl: 3 });
    this.describe(FLAT.TASK, { type: 0xb, system: true, base: AT.TSS, limit: 0x67 });
    for (let vector = 0; vector < 256; vector++) this.setLegacyGate(vector, 0xe, FLAT.CODE);
    this.write64(AT.TSS + 4, BigInt(AT.STACK) | (BigInt(FLAT.DATA) << 32n));
    this.useSegments(FLAT.CODE, FLAT.DATA, 0);
    const task = { base: BigInt(AT.TSS), limit: 0x67, attributes: 0x8b00 };
    state.setSegment(SEGMENT.TR, { selector: FLAT.TASK, ...task });
    state.setGpr(GPR.SP, BigInt(AT.STACK));
    this.cpu.translationChanged();
  }

  /** Puts a segment descriptor into the GDT. */
  describe(selector: number, description: SegmentDescription): void {
    this.setDescriptor(selector, segmentDescriptor(description));
  }

  setDescriptor(selector: number, descriptor: bigint): void {
    this.write64(AT.GDT + (selector & ~7), descriptor);
  }

  /** A gate of the IDT: to the handler of the vector, or with type 5 to a task. */
  setLegacyGate(vector: number, type: number, selector: number): void {
    this.write64(AT.IDT + 8 * vector, gateDescriptor(type, selector, AT.HANDLERS + 16 * vector));
  }

  /** Continues at level 3. */
  override enterUser(): void {
    this.useSegments(FLAT.USER_CODE, FLAT.USER_DATA, 3);
    this.cpu.state.setGpr(GPR.SP, BigInt(AT.USER_STACK));
    this.cpu.contextChanged();
  }

  private useSegments(code: number, data: number, dpl: number): void {
    const { state } = this.cpu;
    const flat = { base: 0n, limit: 0xffff_ffff };
    state.setSegment(SEGMENT.CS, { selector: code, ...flat, attributes: 0x00c0_9b00 | (dpl << 13) });
    for (const n of [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS, SEGMENT.FS, SEGMENT.GS]) {
      state.setSegment(n, { selector: data, ...flat, attributes: 0x00c0_9300 | (dpl << 13) });
    }
  }

  /** 32-bit words on the stack, from the stack pointer up. */
  words(count: number): number[] {
    const top = Number(this.cpu.state.gpr(GPR.SP) & 0xffff_ffffn);
    return Array.from({ length: count }, (_, i) => Number(this.read64(top + 4 * i) & 0xffff_ffffn));
  }
}
