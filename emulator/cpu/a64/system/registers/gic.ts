/**
 * The GICv3 CPU interface as system registers. The interface itself belongs to the board's GIC.
 *
 * Source: GICv3 IHI 0069 "AArch64 System register descriptions". With five priority bits only ICC_AP0R0_EL1 and
 * ICC_AP1R0_EL1 of the active-priority registers exist. Not modelled: the virtual CPU interface (ICV_*); its list registers are storage.
 */
import type { A64Cpu } from '../../cpu.ts';
import type { GicCpuInterface } from '../interfaces.ts';
import type { GenericRegisterName } from '../register-key.ts';
import {
  type ComputedSpec,
  computed,
  constant,
  EL1_RO,
  EL1_RW,
  EL1_WO,
  EL2_RO,
  EL2_RW,
  registers,
  storage,
  zero,
} from './row.ts';

/** The row exists only with a GICv3, so there is an interface. */
function gicOf(cpu: A64Cpu): GicCpuInterface {
  return cpu.gic!;
}

function register(
  encoding: GenericRegisterName,
  permission: ComputedSpec['permission'],
  read: ((gic: GicCpuInterface) => bigint) | undefined,
  write?: (gic: GicCpuInterface, value: bigint) => void,
): ComputedSpec {
  return computed(encoding, permission, {
    requires: 'GICv3',
    ...(read && { read: cpu => read(gicOf(cpu)) }),
    ...(write && { write: (cpu, value) => write(gicOf(cpu), value) }),
  });
}

const PRIORITIES = {
  ICC_PMR_EL1: register(
    'S3_0_C4_C6_0',
    EL1_RW,
    gic => gic.readPMR(),
    (gic, value) => gic.writePMR(value),
  ),
  ICC_BPR0_EL1: register(
    'S3_0_C12_C8_3',
    EL1_RW,
    gic => gic.readBPR0(),
    (gic, value) => gic.writeBPR0(value),
  ),
  ICC_BPR1_EL1: register(
    'S3_0_C12_C12_3',
    EL1_RW,
    gic => gic.readBPR1(),
    (gic, value) => gic.writeBPR1(value),
  ),
  ICC_AP0R0_EL1: register(
    'S3_0_C12_C8_4',
    EL1_RW,
    gic => gic.readAP0R0(),
    (gic, value) => gic.writeAP0R0(value),
  ),
  ICC_AP1R0_EL1: register(
    'S3_0_C12_C9_0',
    EL1_RW,
    gic => gic.readAP1R0(),
    (gic, value) => gic.writeAP1R0(value),
  ),
  ICC_RPR_EL1: register('S3_0_C12_C11_3', EL1_RO, gic => gic.readRPR()),
} as const;

const INTERRUPTS = {
  ICC_IAR0_EL1: register('S3_0_C12_C8_0', EL1_RO, gic => gic.readIAR0()),
  ICC_EOIR0_EL1: register('S3_0_C12_C8_1', EL1_WO, undefined, (gic, value) => gic.writeEOIR0(value)),
  ICC_HPPIR0_EL1: register('S3_0_C12_C8_2', EL1_RO, gic => gic.readHPPIR0()),
  ICC_IAR1_EL1: register('S3_0_C12_C12_0', EL1_RO, gic => gic.readIAR1()),
  ICC_EOIR1_EL1: register('S3_0_C12_C12_1', EL1_WO, undefined, (gic, value) => gic.writeEOIR1(value)),
  ICC_HPPIR1_EL1: register('S3_0_C12_C12_2', EL1_RO, gic => gic.readHPPIR1()),
  ICC_DIR_EL1: register('S3_0_C12_C11_1', EL1_WO, undefined, (gic, value) => gic.writeDIR(value)),
  ICC_SGI1R_EL1: register('S3_0_C12_C11_5', EL1_WO, undefined, (gic, value) => gic.writeSGI1R(value)),
  ICC_ASGI1R_EL1: register('S3_0_C12_C11_6', EL1_WO, undefined, (gic, value) => gic.writeASGI1R(value)),
  ICC_SGI0R_EL1: register('S3_0_C12_C11_7', EL1_WO, undefined, (gic, value) => gic.writeSGI0R(value)),
} as const;

const CONTROL = {
  ICC_CTLR_EL1: register(
    'S3_0_C12_C12_4',
    EL1_RW,
    gic => gic.readCTLR(),
    (gic, value) => gic.writeCTLR(value),
  ),
  /** Writes are ignored: the system-register interface cannot be switched off. */
  ICC_SRE_EL1: register('S3_0_C12_C12_5', EL1_RW, gic => gic.readSRE()),
  ICC_IGRPEN0_EL1: register(
    'S3_0_C12_C12_6',
    EL1_RW,
    gic => gic.readIGRPEN0(),
    (gic, value) => gic.writeIGRPEN0(value),
  ),
  ICC_IGRPEN1_EL1: register(
    'S3_0_C12_C12_7',
    EL1_RW,
    gic => gic.readIGRPEN1(),
    (gic, value) => gic.writeIGRPEN1(value),
  ),
  ICC_SRE_EL2: register('S3_4_C12_C9_5', EL2_RW, gic => gic.readSREEL2()),
} as const;

const VIRTUAL = { requires: 'GICv3' } as const;
/** ICH_VTR_EL2 as QEMU's: PRIbits and PREbits 5, IDbits 24, A3V, nV4, TDS, ListRegs 4. */
const ICH_VTR = (4n << 29n) | (4n << 26n) | (1n << 23n) | (1n << 21n) | (1n << 20n) | (1n << 19n) | 3n;
/** ICH_ELRSR_EL2: every list register is empty. */
const ALL_EMPTY = 0xfn;

/** The hypervisor's side of the virtual CPU interface: it keeps what a hypervisor writes, and no virtual interrupt results. */
export const VIRTUAL_GIC_REGISTERS = registers({
  ICH_AP0R0_EL2: storage('S3_4_C12_C8_0', EL2_RW, VIRTUAL),
  ICH_AP1R0_EL2: storage('S3_4_C12_C9_0', EL2_RW, VIRTUAL),
  ICH_HCR_EL2: storage('S3_4_C12_C11_0', EL2_RW, VIRTUAL),
  ICH_VTR_EL2: constant('S3_4_C12_C11_1', EL2_RO, () => ICH_VTR, VIRTUAL),
  ICH_MISR_EL2: zero('S3_4_C12_C11_2', EL2_RO, VIRTUAL),
  ICH_EISR_EL2: zero('S3_4_C12_C11_3', EL2_RO, VIRTUAL),
  ICH_ELRSR_EL2: constant('S3_4_C12_C11_5', EL2_RO, () => ALL_EMPTY, VIRTUAL),
  ICH_VMCR_EL2: storage('S3_4_C12_C11_7', EL2_RW, VIRTUAL),
  ICH_LR0_EL2: storage('S3_4_C12_C12_0', EL2_RW, VIRTUAL),
  ICH_LR1_EL2: storage('S3_4_C12_C12_1', EL2_RW, VIRTUAL),
  ICH_LR2_EL2: storage('S3_4_C12_C12_2', EL2_RW, VIRTUAL),
  ICH_LR3_EL2: storage('S3_4_C12_C12_3', EL2_RW, VIRTUAL),
});

export const GIC_REGISTERS = registers({ ...PRIORITIES, ...INTERRUPTS, ...CONTROL });
