/**
 * What a row of the system-register table is.
 *
 * One table serves MRS and MSR, their translation, traces, snapshots and the gdb server. A register that is not in the
 * table is UNDEFINED.
 */
import type { StateField } from '../../../ir/state-field.ts';
import type { A64Cpu } from '../../cpu.ts';
import type { A64FeatureName } from '../../features.ts';
import type { A64Configuration } from '../../models.ts';
import { A64_LAYOUT } from '../../state.ts';
import { type GenericRegisterName, keyOf } from '../register-key.ts';

export type ExceptionLevel = 0 | 1 | 2;

/** Who may access a register: the lowest exception level that may read and write it; `undefined` for nobody. */
export interface Permission {
  readonly read: ExceptionLevel | undefined;
  readonly write: ExceptionLevel | undefined;
}

/** Conditions of a row that do not depend on its kind. */
export interface RowOptions {
  /** The register exists only with this feature, or only with EL2. */
  readonly requires?: A64FeatureName | 'EL2' | 'GICv3';
  /** Whether the access is UNDEFINED in the present state, although the exception level allows it. */
  readonly undefinedWhen?: (cpu: A64Cpu) => boolean;
  /** Whether the access, which the exception level allows, is trapped with EC 0x18 by a control register. */
  readonly trap?: (cpu: A64Cpu, direction: 'read' | 'write') => boolean;
}

/** A register that is storage in the CPU state block. */
export interface StorageSpec extends RowOptions {
  readonly kind: 'storage';
  readonly encoding: GenericRegisterName;
  readonly permission: Permission;
  readonly reset: bigint;
  /** Bits that MSR writes; the others keep their reset value. */
  readonly mask: bigint;
  /** What a write changes besides the value. */
  readonly written?: (cpu: A64Cpu, before: bigint) => void;
}

/** A read-only register whose value the configuration fixes. */
export interface ConstantSpec extends RowOptions {
  readonly kind: 'constant';
  readonly encoding: GenericRegisterName;
  readonly permission: Permission;
  readonly value: (configuration: A64Configuration) => bigint;
}

/** A register behind functions. */
export interface ComputedSpec extends RowOptions {
  readonly kind: 'computed';
  readonly encoding: GenericRegisterName;
  readonly permission: Permission;
  readonly read?: (cpu: A64Cpu) => bigint;
  readonly write?: (cpu: A64Cpu, value: bigint) => void;
}

export type RegisterSpec = StorageSpec | ConstantSpec | ComputedSpec;

interface Named {
  readonly name: string;
  /** Its encoding as `register-key.ts` packs it. */
  readonly key: number;
}

export type StorageRegister = StorageSpec & Named & { readonly field: StateField<'i64'> };
export type SystemRegister = StorageRegister | ((ConstantSpec | ComputedSpec) & Named);

/** Rows of a group by name. */
export type RegisterGroup<T extends Readonly<Record<string, RegisterSpec>>> = {
  readonly [N in keyof T]: T[N] extends StorageSpec ? StorageRegister : T[N] & Named;
};

const ALL_BITS = 0xffff_ffff_ffff_ffffn;
/** Mask of a register whose upper half is RES0. */
export const LOW_WORD = 0xffff_ffffn;

/** Permissions by their usual names: read and write from EL1 on, and so on. */
export const EL0_RW: Permission = { read: 0, write: 0 };
export const EL0_RO: Permission = { read: 0, write: undefined };
export const EL0_WO: Permission = { read: undefined, write: 0 };
export const EL0_R_EL1_W: Permission = { read: 0, write: 1 };
export const EL1_RW: Permission = { read: 1, write: 1 };
export const EL1_RO: Permission = { read: 1, write: undefined };
export const EL1_WO: Permission = { read: undefined, write: 1 };
export const EL2_RW: Permission = { read: 2, write: 2 };
export const EL2_RO: Permission = { read: 2, write: undefined };

/** A register that reads as it was written. */
export function storage(
  encoding: GenericRegisterName,
  permission: Permission,
  options: RowOptions & { reset?: bigint; mask?: bigint; written?: StorageSpec['written'] } = {},
): StorageSpec {
  const { reset = 0n, mask = ALL_BITS, written, ...rest } = options;
  return { kind: 'storage', encoding, permission, reset, mask, ...(written && { written }), ...rest };
}

/** A read-only register whose value the configuration fixes. */
export function constant(
  encoding: GenericRegisterName,
  permission: Permission,
  value: ConstantSpec['value'],
  options: RowOptions = {},
): ConstantSpec {
  return { kind: 'constant', encoding, permission, value, ...options };
}

/** A register that reads as zero and ignores writes. */
export function zero(encoding: GenericRegisterName, permission: Permission, options: RowOptions = {}): ComputedSpec {
  return { kind: 'computed', encoding, permission, ...options };
}

/** A register behind functions; without `read` it reads as zero, without `write` it ignores writes. */
export function computed(
  encoding: GenericRegisterName,
  permission: Permission,
  options: RowOptions & Pick<ComputedSpec, 'read' | 'write'>,
): ComputedSpec {
  return { kind: 'computed', encoding, permission, ...options };
}

/** Makes the rows of a group, and state fields for its storage. */
export function registers<const T extends Readonly<Record<string, RegisterSpec>>>(group: T): RegisterGroup<T> {
  const rows = Object.entries<RegisterSpec>(group).map(([name, spec]) => {
    const named = { ...spec, name, key: keyOf(spec.encoding) };
    return [name, spec.kind === 'storage' ? { ...named, field: A64_LAYOUT.system(name, 'i64') } : named];
  });
  return Object.fromEntries(rows) as RegisterGroup<T>;
}
