/**
 * Bodies of the helpers of pointer authentication: find key and address format in the system registers.
 *
 * Source: Arm ARM DDI 0487 "SCTLR_EL1" (EnIA, EnIB, EnDA, EnDB), "TCR_EL1" (TxSZ, TBIn, TBIDn). Not modelled: the EL2 regime, where
 * pointers are left alone; traps by HCR_EL2 and SCR_EL3.
 */
import type { HelperImplementation } from '../execute/guest.ts';
import type { A64Cpu } from './cpu.ts';
import {
  authenticatePointer,
  cachedQarma5,
  genericCode,
  type PacKey,
  type PointerFormat,
  signPointer,
  stripPointer,
} from './pauth.ts';
import { POINTER_AUTHENTICATION_REGISTERS as KEYS, TRANSLATION_REGISTERS } from './system/registers/control.ts';

/** By key number: halves of the key, and the bit of SCTLR_EL1 that enables it. */
const KEY_REGISTERS = [
  { low: KEYS.APIAKeyLo_EL1, high: KEYS.APIAKeyHi_EL1, enable: 1n << 31n },
  { low: KEYS.APIBKeyLo_EL1, high: KEYS.APIBKeyHi_EL1, enable: 1n << 30n },
  { low: KEYS.APDAKeyLo_EL1, high: KEYS.APDAKeyHi_EL1, enable: 1n << 27n },
  { low: KEYS.APDBKeyLo_EL1, high: KEYS.APDBKeyHi_EL1, enable: 1n << 13n },
] as const;

const FIRST_DATA_KEY = 2;

/** A translation table base register translates 16 to 48 bits here; a size out of range is taken as the nearest one. */
function inputBits(sizeOffset: bigint): number {
  return 64 - Math.min(Math.max(Number(sizeOffset), 16), 48);
}

/** What TCR_EL1 says of pointers to data or instructions. */
function pointerFormat(TCR: bigint, isData: boolean): PointerFormat {
  const ignored = (tbi: bigint, tbid: bigint): boolean =>
    ((TCR >> tbi) & 1n) !== 0n && (isData || ((TCR >> tbid) & 1n) === 0n);
  return [
    { topByteIgnored: ignored(37n, 51n), inputBits: inputBits(TCR & 63n) },
    { topByteIgnored: ignored(38n, 52n), inputBits: inputBits((TCR >> 16n) & 63n) },
  ];
}

function formatOf(cpu: A64Cpu, isData: boolean): PointerFormat {
  return pointerFormat(cpu.read(TRANSLATION_REGISTERS.TCR_EL1), isData);
}

/** The key with this number, or `undefined` when SCTLR_EL1 disables it. */
function enabledKey(cpu: A64Cpu, number: number): PacKey | undefined {
  const { low, high, enable } = KEY_REGISTERS[number]!;
  const isEnabled = cpu.exceptionLevel < 2 && (cpu.read(TRANSLATION_REGISTERS.SCTLR_EL1) & enable) !== 0n;
  return isEnabled ? { low: cpu.read(low), high: cpu.read(high) } : undefined;
}

/** The helpers by name; they act on the CPU that `current` gives. */
export function pointerAuthenticationHelpers(current: () => A64Cpu): Record<string, HelperImplementation> {
  const algorithm = cachedQarma5();
  return {
    'a64.pacSign': (number: number, pointer: bigint, modifier: bigint) => {
      const cpu = current();
      const [p, m] = [BigInt.asUintN(64, pointer), BigInt.asUintN(64, modifier)];
      const key = enabledKey(cpu, number);
      return key === undefined ? p : signPointer(algorithm, p, m, key, formatOf(cpu, number >= FIRST_DATA_KEY));
    },
    'a64.pacAuthenticate': (number: number, pointer: bigint, modifier: bigint) => {
      const cpu = current();
      const [p, m] = [BigInt.asUintN(64, pointer), BigInt.asUintN(64, modifier)];
      const key = enabledKey(cpu, number);
      const format = formatOf(cpu, number >= FIRST_DATA_KEY);
      return key === undefined ? p : authenticatePointer(algorithm, p, m, key, (number & 1) as 0 | 1, format);
    },
    'a64.pacStrip': (isData: number, pointer: bigint) =>
      stripPointer(BigInt.asUintN(64, pointer), formatOf(current(), isData !== 0)),
    'a64.pacGeneric': (value: bigint, modifier: bigint) => {
      const cpu = current();
      const key = { low: cpu.read(KEYS.APGAKeyLo_EL1), high: cpu.read(KEYS.APGAKeyHi_EL1) };
      return genericCode(algorithm, BigInt.asUintN(64, value), BigInt.asUintN(64, modifier), key);
    },
  };
}
