/**
 * Registers that control execution, translation and exceptions at EL1, and thread pointers.
 *
 * Source: Arm ARM DDI 0487 "AArch64 System register descriptions".
 */
import { A64_STATE } from '../../state.ts';
import { computed, EL0_R_EL1_W, EL0_RW, EL1_RO, EL1_RW, LOW_WORD, registers, storage, zero } from './row.ts';

/** TTBR0_EL1 and TTBR1_EL1, TCR_EL1 and what else the table walk reads. */
export const TRANSLATION_REGISTERS = registers({
  SCTLR_EL1: storage('S3_0_C1_C0_0', EL1_RW, { written: (cpu, before) => cpu.systemControlWritten(before) }),
  CPACR_EL1: storage('S3_0_C1_C0_2', EL1_RW, { mask: LOW_WORD, written: cpu => cpu.contextChanged() }),
  TTBR0_EL1: storage('S3_0_C2_C0_0', EL1_RW, { written: cpu => cpu.translationTablesWritten() }),
  TTBR1_EL1: storage('S3_0_C2_C0_1', EL1_RW, { written: cpu => cpu.translationTablesWritten() }),
  TCR_EL1: storage('S3_0_C2_C0_2', EL1_RW, { written: (cpu, before) => cpu.translationControlWritten(before) }),
  MAIR_EL1: storage('S3_0_C10_C2_0', EL1_RW),
  AMAIR_EL1: storage('S3_0_C10_C3_0', EL1_RW),
  CONTEXTIDR_EL1: storage('S3_0_C13_C0_1', EL1_RW, { mask: LOW_WORD }),
  PAR_EL1: storage('S3_0_C7_C4_0', EL1_RW),
});

/** What exception entry writes and exception return reads. */
export const EXCEPTION_REGISTERS = registers({
  SPSR_EL1: storage('S3_0_C4_C0_0', EL1_RW),
  ELR_EL1: storage('S3_0_C4_C0_1', EL1_RW),
  ESR_EL1: storage('S3_0_C5_C2_0', EL1_RW),
  FAR_EL1: storage('S3_0_C6_C0_0', EL1_RW),
  VBAR_EL1: storage('S3_0_C12_C0_0', EL1_RW, { mask: 0xffff_ffff_ffff_f800n }),
  ISR_EL1: computed('S3_0_C12_C1_0', EL1_RO, { read: cpu => cpu.pendingInterrupts() }),
  AFSR0_EL1: zero('S3_0_C5_C1_0', EL1_RW),
  AFSR1_EL1: zero('S3_0_C5_C1_1', EL1_RW),
  ACTLR_EL1: zero('S3_0_C1_C0_1', EL1_RW),
  RVBAR_EL1: zero('S3_0_C12_C0_1', EL1_RO),
  DISR_EL1: storage('S3_0_C12_C1_1', EL1_RW, { requires: 'FEAT_RAS' }),
  ERRIDR_EL1: zero('S3_0_C5_C3_0', EL1_RO, { requires: 'FEAT_RAS' }),
});

/** Limited ordering regions: there are none (LORID_EL1 = 0), so the registers only keep their values. */
export const LIMITED_ORDERING_REGISTERS = registers({
  LORSA_EL1: storage('S3_0_C10_C4_0', EL1_RW, { requires: 'FEAT_LOR' }),
  LOREA_EL1: storage('S3_0_C10_C4_1', EL1_RW, { requires: 'FEAT_LOR' }),
  LORN_EL1: storage('S3_0_C10_C4_2', EL1_RW, { requires: 'FEAT_LOR' }),
  LORC_EL1: storage('S3_0_C10_C4_3', EL1_RW, { requires: 'FEAT_LOR' }),
  LORID_EL1: zero('S3_0_C10_C4_7', EL1_RO, { requires: 'FEAT_LOR' }),
});

export const THREAD_REGISTERS = registers({
  TPIDR_EL0: storage('S3_3_C13_C0_2', EL0_RW),
  TPIDRRO_EL0: storage('S3_3_C13_C0_3', EL0_R_EL1_W),
  TPIDR_EL1: storage('S3_0_C13_C0_4', EL1_RW),
});

/** PSTATE fields and stack pointers as registers. NZCV, DAIF, CurrentEL, FPCR and FPSR are here for tools; translated code accesses them itself. */
export const PROCESS_STATE_REGISTERS = registers({
  SP_EL0: computed('S3_0_C4_C1_0', EL1_RW, {
    undefinedWhen: cpu => cpu.process.field('SP') === 0,
    read: cpu => cpu.process.stackPointer(0),
    write: (cpu, value) => cpu.process.setStackPointer(0, value),
  }),
  SPSel: computed('S3_0_C4_C2_0', EL1_RW, {
    read: cpu => BigInt(cpu.process.field('SP')),
    write: (cpu, value) => cpu.setPstateField('SP', Number(value & 1n)),
  }),
  CurrentEL: computed('S3_0_C4_C2_2', EL1_RO, { read: cpu => BigInt(cpu.exceptionLevel << 2) }),
  PAN: computed('S3_0_C4_C2_3', EL1_RW, {
    requires: 'FEAT_PAN',
    read: cpu => BigInt(cpu.process.field('PAN')) << 22n,
    write: (cpu, value) => cpu.setPstateField('PAN', Number((value >> 22n) & 1n)),
  }),
  UAO: computed('S3_0_C4_C2_4', EL1_RW, {
    requires: 'FEAT_UAO',
    read: cpu => BigInt(cpu.process.field('UAO')) << 23n,
    write: (cpu, value) => cpu.setPstateField('UAO', Number((value >> 23n) & 1n)),
  }),
  NZCV: computed('S3_3_C4_C2_0', EL0_RW, {
    read: cpu => BigInt(cpu.process.conditionFlags >>> 0),
    write: (cpu, value) => (cpu.process.conditionFlags = Number(value & LOW_WORD) | 0),
  }),
  DAIF: computed('S3_3_C4_C2_1', EL0_RW, {
    read: cpu => BigInt(cpu.process.daif),
    write: (cpu, value) => cpu.setDaif(Number(value & 0x3c0n)),
    trap: cpu => cpu.exceptionLevel === 0 && !cpu.el0May('UMA'),
  }),
  DIT: computed('S3_3_C4_C2_5', EL0_RW, {
    requires: 'FEAT_DIT',
    read: cpu => BigInt(cpu.process.field('DIT')) << 24n,
    write: (cpu, value) => cpu.setPstateField('DIT', Number((value >> 24n) & 1n)),
  }),
  SSBS: computed('S3_3_C4_C2_6', EL0_RW, {
    requires: 'FEAT_SSBS',
    read: cpu => BigInt(cpu.process.field('SSBS')) << 12n,
    write: (cpu, value) => cpu.setPstateField('SSBS', Number((value >> 12n) & 1n)),
  }),
  FPCR: computed('S3_3_C4_C4_0', EL0_RW, {
    read: cpu => BigInt(cpu.registers.get32(A64_STATE.FPCR) >>> 0),
    write: (cpu, value) => cpu.registers.set32(A64_STATE.FPCR, Number(value & LOW_WORD) | 0),
  }),
  FPSR: computed('S3_3_C4_C4_1', EL0_RW, {
    read: cpu => BigInt(cpu.registers.get32(A64_STATE.FPSR) >>> 0),
    write: (cpu, value) => cpu.registers.set32(A64_STATE.FPSR, Number(value & LOW_WORD) | 0),
  }),
});

/** Keys of pointer authentication; `pauth.ts` computes with them. */
export const POINTER_AUTHENTICATION_REGISTERS = registers({
  APIAKeyLo_EL1: storage('S3_0_C2_C1_0', EL1_RW, { requires: 'FEAT_PAuth' }),
  APIAKeyHi_EL1: storage('S3_0_C2_C1_1', EL1_RW, { requires: 'FEAT_PAuth' }),
  APIBKeyLo_EL1: storage('S3_0_C2_C1_2', EL1_RW, { requires: 'FEAT_PAuth' }),
  APIBKeyHi_EL1: storage('S3_0_C2_C1_3', EL1_RW, { requires: 'FEAT_PAuth' }),
  APDAKeyLo_EL1: storage('S3_0_C2_C2_0', EL1_RW, { requires: 'FEAT_PAuth' }),
  APDAKeyHi_EL1: storage('S3_0_C2_C2_1', EL1_RW, { requires: 'FEAT_PAuth' }),
  APDBKeyLo_EL1: storage('S3_0_C2_C2_2', EL1_RW, { requires: 'FEAT_PAuth' }),
  APDBKeyHi_EL1: storage('S3_0_C2_C2_3', EL1_RW, { requires: 'FEAT_PAuth' }),
  APGAKeyLo_EL1: storage('S3_0_C2_C3_0', EL1_RW, { requires: 'FEAT_PAuth' }),
  APGAKeyHi_EL1: storage('S3_0_C2_C3_1', EL1_RW, { requires: 'FEAT_PAuth' }),
});

/** Random numbers; reading sets the condition flags. */
export const RANDOM_REGISTERS = registers({
  RNDR: computed('S3_3_C2_C4_0', { read: 0, write: undefined }, { requires: 'FEAT_RNG', read: cpu => cpu.random() }),
  RNDRRS: computed('S3_3_C2_C4_1', { read: 0, write: undefined }, { requires: 'FEAT_RNG', read: cpu => cpu.random() }),
});
