/**
 * SYS: cache maintenance, address translation, TLB maintenance.
 *
 * Source: Arm ARM DDI 0487 "The A64 System Instruction Class".
 * Cache maintenance has nothing to do, because there are no caches: the engine notices writes to translated code. It
 * does not translate its address, so that it never aborts; traps of EL0 by SCTLR_EL1.UCI are modelled.
 */
import type { A64Cpu } from '../cpu.ts';
import type { A64FeatureName } from '../features.ts';
import type { A64Mode } from '../mode.ts';
import { translateAddress, type TranslationStage } from './address-translation.ts';
import { type GenericRegisterName, keyOf } from './register-key.ts';
import type { ExceptionLevel } from './registers/row.ts';
import { flush, type TlbScope } from './tlb-maintenance.ts';

interface Conditions {
  readonly requires?: A64FeatureName;
}

/** What a system instruction does. */
type Action =
  /** Nothing, unless this bit of SCTLR_EL1 is clear, which traps EL0: caches, prediction, and DC ZVA, whose zeroing translated code does. */
  | { readonly kind: 'trap'; readonly control: 'UCI' | 'DZE' | 'EnRCTX' }
  | { readonly kind: 'tlb'; readonly scope: TlbScope; readonly broadcast: boolean }
  | { readonly kind: 'translate'; readonly stage: TranslationStage };

export type SystemInstruction = Action & Conditions & { readonly name: string; readonly lowestLevel: ExceptionLevel };

const rows = new Map<number, SystemInstruction>();

function row(
  name: string,
  encoding: GenericRegisterName,
  lowestLevel: ExceptionLevel,
  action: Action & Conditions,
): void {
  rows.set(keyOf(encoding), { name, lowestLevel, ...action });
}

const CACHE: Action = { kind: 'trap', control: 'UCI' };
row('DC ZVA', 'S1_3_C7_C4_1', 0, { kind: 'trap', control: 'DZE' });
row('IC IALLUIS', 'S1_0_C7_C1_0', 1, CACHE);
row('IC IALLU', 'S1_0_C7_C5_0', 1, CACHE);
row('IC IVAU', 'S1_3_C7_C5_1', 0, CACHE);
row('DC IVAC', 'S1_0_C7_C6_1', 1, CACHE);
row('DC ISW', 'S1_0_C7_C6_2', 1, CACHE);
row('DC CSW', 'S1_0_C7_C10_2', 1, CACHE);
row('DC CISW', 'S1_0_C7_C14_2', 1, CACHE);
row('DC CVAC', 'S1_3_C7_C10_1', 0, CACHE);
row('DC CVAU', 'S1_3_C7_C11_1', 0, CACHE);
row('DC CIVAC', 'S1_3_C7_C14_1', 0, CACHE);
row('DC CVAP', 'S1_3_C7_C12_1', 0, { ...CACHE, requires: 'FEAT_DPB' });
row('DC CVADP', 'S1_3_C7_C13_1', 0, { ...CACHE, requires: 'FEAT_DPB2' });

/** Prediction restriction: nothing is predicted across contexts. */
const PREDICTION: Action & Conditions = { kind: 'trap', control: 'EnRCTX', requires: 'FEAT_SPECRES' };
row('CFP RCTX', 'S1_3_C7_C3_4', 0, PREDICTION);
row('DVP RCTX', 'S1_3_C7_C3_5', 0, PREDICTION);
row('CPP RCTX', 'S1_3_C7_C3_7', 0, PREDICTION);

row('AT S1E1R', 'S1_0_C7_C8_0', 1, { kind: 'translate', stage: { level: 1, access: 'read', pan: false } });
row('AT S1E1W', 'S1_0_C7_C8_1', 1, { kind: 'translate', stage: { level: 1, access: 'write', pan: false } });
row('AT S1E0R', 'S1_0_C7_C8_2', 1, { kind: 'translate', stage: { level: 0, access: 'read', pan: false } });
row('AT S1E0W', 'S1_0_C7_C8_3', 1, { kind: 'translate', stage: { level: 0, access: 'write', pan: false } });
row('AT S1E1RP', 'S1_0_C7_C9_0', 1, {
  kind: 'translate',
  stage: { level: 1, access: 'read', pan: true },
  requires: 'FEAT_PAN2',
});
row('AT S1E1WP', 'S1_0_C7_C9_1', 1, {
  kind: 'translate',
  stage: { level: 1, access: 'write', pan: true },
  requires: 'FEAT_PAN2',
});
row('AT S1E2R', 'S1_4_C7_C8_0', 2, { kind: 'translate', stage: { level: 2, access: 'read', pan: false } });
row('AT S1E2W', 'S1_4_C7_C8_1', 2, { kind: 'translate', stage: { level: 2, access: 'write', pan: false } });

/** Shareability by CRm: `CRm` of the plain instruction plus this. */
const DOMAINS = [
  { suffix: '', distance: 0, broadcast: false },
  { suffix: 'IS', distance: -4, broadcast: true },
  { suffix: 'OS', distance: -6, broadcast: true },
] as const;

/** TLBI by op1 and op2 in CRn 8, CRm 7 (plain), 3 (IS) and 1 (OS). */
const BY_OPERATION: readonly (readonly [name: string, op1: 0 | 4, op2: number, scope: TlbScope])[] = [
  ['VMALLE1', 0, 0, 'EL1&0'],
  ['VAE1', 0, 1, 'address'],
  ['ASIDE1', 0, 2, 'ASID'],
  ['VAAE1', 0, 3, 'address'],
  ['VALE1', 0, 5, 'address'],
  ['VAALE1', 0, 7, 'address'],
  ['ALLE2', 4, 0, 'EL2'],
  ['VAE2', 4, 1, 'address'],
  ['ALLE1', 4, 4, 'EL1&0'],
  ['VALE2', 4, 5, 'address'],
  ['VMALLS12E1', 4, 6, 'EL1&0'],
];

for (const [name, op1, op2, scope] of BY_OPERATION) {
  for (const { suffix, distance, broadcast } of DOMAINS) {
    const requires: Conditions = suffix === 'OS' ? { requires: 'FEAT_TLBIOS' } : {};
    const encoding: GenericRegisterName = `S1_${op1}_C8_C${7 + distance}_${op2}`;
    row(`TLBI ${name}${suffix}`, encoding, op1 === 0 ? 1 : 2, { kind: 'tlb', scope, broadcast, ...requires });
  }
}

/** TLBI by range in CRm 6 (plain), 2 (IS) and 5 (OS). */
const RANGE_DOMAINS = [
  { suffix: '', CRm: 6, broadcast: false },
  { suffix: 'IS', CRm: 2, broadcast: true },
  { suffix: 'OS', CRm: 5, broadcast: true },
] as const;

const BY_RANGE: readonly (readonly [name: string, op1: 0 | 4, op2: number])[] = [
  ['RVAE1', 0, 1],
  ['RVAAE1', 0, 3],
  ['RVALE1', 0, 5],
  ['RVAALE1', 0, 7],
  ['RVAE2', 4, 1],
  ['RVALE2', 4, 5],
];

for (const [name, op1, op2] of BY_RANGE) {
  for (const { suffix, CRm, broadcast } of RANGE_DOMAINS) {
    row(`TLBI ${name}${suffix}`, `S1_${op1}_C8_C${CRm}_${op2}`, op1 === 0 ? 1 : 2, {
      kind: 'tlb',
      scope: 'range',
      broadcast,
      requires: 'FEAT_TLBIRANGE',
    });
  }
}

for (const [name, CRm, op2] of [
  ['IPAS2E1IS', 0, 1],
  ['IPAS2LE1IS', 0, 5],
  ['IPAS2E1', 4, 1],
  ['IPAS2LE1', 4, 5],
] as const) {
  row(`TLBI ${name}`, `S1_4_C8_C${CRm}_${op2}`, 2, { kind: 'tlb', scope: 'none', broadcast: false });
}

/** Every system instruction, by its key. */
export const SYSTEM_INSTRUCTIONS: ReadonlyMap<number, SystemInstruction> = rows;

/** Whether the instruction does nothing in this mode, so that translation may leave it out. */
export function isNoOperation(key: number, mode: A64Mode): boolean {
  const instruction = rows.get(key);
  if (instruction?.kind !== 'trap' || instruction.requires !== undefined) return false;
  return mode.exceptionLevel === 0
    ? instruction.lowestLevel === 0 && !mode.cacheMaintenanceTrapped
    : mode.exceptionLevel >= instruction.lowestLevel;
}

function exists(cpu: A64Cpu, { lowestLevel, requires }: SystemInstruction): boolean {
  if (cpu.exceptionLevel < lowestLevel) return false;
  return requires === undefined || cpu.features.has(requires);
}

/** Executes SYS. @returns false when the instruction is UNDEFINED, `'trapped'` when EL0 may not use it */
export function execute(cpu: A64Cpu, key: number, operand: bigint): boolean | 'trapped' {
  const instruction = rows.get(key);
  if (instruction === undefined || !exists(cpu, instruction)) return false;
  switch (instruction.kind) {
    case 'trap':
      return cpu.exceptionLevel > 0 || cpu.el0May(instruction.control) || 'trapped';
    case 'translate':
      translateAddress(cpu, instruction.stage, operand);
      return true;
    case 'tlb':
    default:
      maintainTlb(cpu, instruction, operand);
      return true;
  }
}

function maintainTlb(cpu: A64Cpu, { scope, broadcast }: Extract<Action, { kind: 'tlb' }>, operand: bigint): void {
  if (broadcast) cpu.cluster.forEachCpu(other => flush(other.engine, other.mmu, scope, operand));
  else flush(cpu.engine, cpu.mmu, scope, operand);
}
