/**
 * EL2 registers, as far as a kernel that is entered at EL2 and drops to EL1 uses them.
 *
 * Source: Arm ARM DDI 0487 "AArch64 System register descriptions"; Linux arch/arm64/include/asm/el2_setup.h.
 * Not modelled: stage 2 translation (HCR_EL2.VM), the Virtualization Host Extensions, most traps of EL1 to EL2.
 */
import { UnimplementedError } from '../../../../../capture/formats/errors.ts';
import type { A64Cpu } from '../../cpu.ts';
import { computed, EL2_RW, LOW_WORD, registers, type RegisterSpec, type StorageSpec, storage, zero } from './row.ts';

const EL2 = { requires: 'EL2' } as const;

/** HCR_EL2.VM: stage 2 translation. HCR_EL2.E2H is RES0 without the Virtualization Host Extensions. */
const HCR_VM = 1n << 0n;
const HCR_E2H = 1n << 34n;

/** TCR_EL2.DS (FEAT_LPA2): 52-bit addresses with 4 and 16 KiB granules. */
const TCR_DS = 1n << 32n;

/** @throws UnimplementedError when a hypervisor is about to run a virtual machine */
function hypervisorControlWritten(cpu: A64Cpu): void {
  if (cpu.hypervisorControl(HCR_VM)) {
    throw new UnimplementedError('stage 2 translation (HCR_EL2.VM): virtual machines', 'Arm ARM DDI 0487 "HCR_EL2"');
  }
  cpu.contextChanged();
}

/** EL2's own control and translation. */
export const HYPERVISOR_REGISTERS = registers({
  HCR_EL2: storage('S3_4_C1_C1_0', EL2_RW, { ...EL2, mask: ~HCR_E2H, written: hypervisorControlWritten }),
  SCTLR_EL2: storage('S3_4_C1_C0_0', EL2_RW, { ...EL2, written: (cpu, before) => cpu.systemControlWritten(before) }),
  TTBR0_EL2: storage('S3_4_C2_C0_0', EL2_RW, { ...EL2, written: cpu => cpu.translationTablesWritten() }),
  TCR_EL2: storage('S3_4_C2_C0_2', EL2_RW, {
    ...EL2,
    mask: LOW_WORD | TCR_DS,
    written: (cpu, before) => cpu.translationControlWritten(before),
  }),
  SPSR_EL2: storage('S3_4_C4_C0_0', EL2_RW, EL2),
  ELR_EL2: storage('S3_4_C4_C0_1', EL2_RW, EL2),
  ESR_EL2: storage('S3_4_C5_C2_0', EL2_RW, EL2),
  FAR_EL2: storage('S3_4_C6_C0_0', EL2_RW, EL2),
  HPFAR_EL2: storage('S3_4_C6_C0_4', EL2_RW, EL2),
  MAIR_EL2: storage('S3_4_C10_C2_0', EL2_RW, EL2),
  VBAR_EL2: storage('S3_4_C12_C0_0', EL2_RW, { ...EL2, mask: 0xffff_ffff_ffff_f800n }),
  TPIDR_EL2: storage('S3_4_C13_C0_2', EL2_RW, EL2),
  VPIDR_EL2: storage('S3_4_C0_C0_0', EL2_RW, { ...EL2, mask: LOW_WORD }),
  VMPIDR_EL2: storage('S3_4_C0_C0_5', EL2_RW, EL2),
  MDCR_EL2: storage('S3_4_C1_C1_1', EL2_RW, { ...EL2, mask: LOW_WORD }),
  CPTR_EL2: storage('S3_4_C1_C1_2', EL2_RW, { ...EL2, mask: LOW_WORD, written: cpu => cpu.contextChanged() }),
  HSTR_EL2: storage('S3_4_C1_C1_3', EL2_RW, { ...EL2, mask: LOW_WORD }),
  VTTBR_EL2: storage('S3_4_C2_C1_0', EL2_RW, EL2),
  VTCR_EL2: storage('S3_4_C2_C1_2', EL2_RW, { ...EL2, mask: LOW_WORD }),
} satisfies Record<string, StorageSpec>);

/** Registers of EL2 without storage here. */
export const HYPERVISOR_VIEWS = registers({
  SP_EL1: computed('S3_4_C4_C1_0', EL2_RW, {
    ...EL2,
    read: cpu => cpu.process.stackPointer(1),
    write: (cpu, value) => cpu.process.setStackPointer(1, value),
  }),
  ACTLR_EL2: zero('S3_4_C1_C0_1', EL2_RW, EL2),
  HACR_EL2: zero('S3_4_C1_C1_7', EL2_RW, EL2),
  AFSR0_EL2: zero('S3_4_C5_C1_0', EL2_RW, EL2),
  AFSR1_EL2: zero('S3_4_C5_C1_1', EL2_RW, EL2),
  AMAIR_EL2: zero('S3_4_C10_C3_0', EL2_RW, EL2),
  RVBAR_EL2: zero('S3_4_C12_C0_1', { read: 2, write: undefined }, EL2),
} satisfies Record<string, RegisterSpec>);
