/**
 * AT: translates an address as an access would, and leaves the result in PAR_EL1.
 *
 * Source: Arm ARM DDI 0487 "Address translation instructions", "PAR_EL1, Physical Address Register".
 */
import type { WalkResult } from '../../execute/guest.ts';
import type { A64Cpu } from '../cpu.ts';
import { TRANSLATION_REGISTERS } from './registers/control.ts';
import { HYPERVISOR_REGISTERS } from './registers/hypervisor.ts';

/** The access that an AT instruction stands for. */
export interface TranslationStage {
  readonly level: 0 | 1 | 2;
  readonly access: 'read' | 'write';
  /** PSTATE.PAN applies. */
  readonly pan: boolean;
}

/** PAR_EL1. */
const PAR = { F: 1n << 0n, FST_SHIFT: 1n, SH_SHIFT: 7n, NS: 1n << 9n, RES1: 1n << 11n, ATTR_SHIFT: 56n } as const;
const OUTER_SHAREABLE = 2n;
/** Attributes of translations with the MMU off: Device-nGnRnE. */
const DEVICE = 0n;

/** Normal memory that is not cached: MAIR_ELx attributes of Inner Non-cacheable, Outer Non-cacheable or Write-Through transient. */
const NON_CACHEABLE: readonly bigint[] = [0x40n, 0x44n];

/** Device and non-cacheable memory is outer shareable whatever the descriptor says. */
function isAlwaysShared(attributes: bigint): boolean {
  return (attributes & 0xf0n) === 0n || NON_CACHEABLE.includes(attributes);
}

const result: WalkResult = {
  paddr: 0,
  readable: false,
  writable: false,
  executable: false,
  leafSize: 0,
  guarded: false,
};

export function translateAddress(cpu: A64Cpu, stage: TranslationStage, address: bigint): void {
  const { mmu } = cpu;
  const pan = stage.pan && cpu.process.field('PAN') === 1;
  const low = Number(BigInt.asIntN(32, address));
  const high = Number(BigInt.asIntN(32, address >> 32n));
  const isMapped = mmu.walk(low, high, stage.access, stage.level, pan, result);
  cpu.write(TRANSLATION_REGISTERS.PAR_EL1, isMapped ? success(cpu, stage) : failure(mmu.faultStatus));
}

function failure(faultStatus: number): bigint {
  return PAR.F | (BigInt(faultStatus) << PAR.FST_SHIFT) | PAR.RES1;
}

function success(cpu: A64Cpu, { level }: TranslationStage): bigint {
  const { mmu } = cpu;
  const isOn = mmu.isOn(level);
  const MAIR = cpu.read(level === 2 ? HYPERVISOR_REGISTERS.MAIR_EL2 : TRANSLATION_REGISTERS.MAIR_EL1);
  const index = BigInt((mmu.leafLow >> 2) & 7);
  const attributes = isOn ? (MAIR >> (index * 8n)) & 0xffn : DEVICE;
  const shareability = isAlwaysShared(attributes) ? OUTER_SHAREABLE : BigInt((mmu.leafLow >> 8) & 3);
  return (attributes << PAR.ATTR_SHIFT) | BigInt(result.paddr) | PAR.RES1 | PAR.NS | (shareability << PAR.SH_SHIFT);
}
