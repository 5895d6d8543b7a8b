/**
 * Bodies of the helpers of pointer authentication: find key and address format in the system registers.
 *
 * Source: Arm ARM DDI 0487 "SCTLR_EL1" (EnIA, EnIB, EnDA, EnDB), "TCR_EL1" (TxSZ, TBIn, TBIDn). Not modelled: the EL2 regime, where
 * pointers are left alone; traps by HCR_EL2 and SCR_EL3.
 */
import type { HelperImplementation } from '../execute/guest.ts';
import type { A64Cpu } from './cpu.ts';
import type { A64Features } from './features.ts';
import {
  authenticatePointer,
  genericCode,
  type PacAlgorithm,
  type PacKey,
  type PointerFormat,
  signPointer,
  stripPointer,
} from './pauth.ts';
import { mixedCode } from './pauth-mix.ts';
import { qarma5 } from './qarma.ts';
import { POINTER_AUTHENTICATION_REGISTERS as KEYS, TRANSLATION_REGISTERS } from './system/registers/control.ts';

/** By key number: halves of the key, and the bit of SCTLR_EL1 that enables it. */
const KEY_REGISTERS = [
  { low: KEYS.APIAKeyLo_EL1, high: KEYS.APIAKeyHi_EL1, enable: 1 << 31 },
  { low: KEYS.APIBKeyLo_EL1, high: KEYS.APIBKeyHi_EL1, enable: 1 << 30 },
  { low: KEYS.APDAKeyLo_EL1, high: KEYS.APDAKeyHi_EL1, enable: 1 << 27 },
  { low: KEYS.APDBKeyLo_EL1, high: KEYS.APDBKeyHi_EL1, enable: 1 << 13 },
] as const;

const FIRST_DATA_KEY = 2;

/** Bits of an address by TxSZ; a size out of range is taken as the nearest one. @param isWide addresses of 52 bits are possible */
function inputBits(sizeOffset: bigint, isWide: boolean): number {
  return 64 - Math.min(Math.max(Number(sizeOffset), isWide ? 12 : 16), 48);
}

/** TCR_EL1: DS, and 64 KiB granules of the lower and upper half. */
const DS = 1n << 59n;
const TG0 = { MASK: 3n << 14n, '64K': 1n << 14n } as const;
const TG1 = { MASK: 3n << 30n, '64K': 3n << 30n } as const;

/** What TCR_EL1 says of pointers to data or instructions. */
function pointerFormat(TCR: bigint, isData: boolean, features: A64Features): PointerFormat {
  const isWide = (is64K: boolean): boolean =>
    is64K ? features.has('FEAT_LVA') : features.has('FEAT_LPA2') && (TCR & DS) !== 0n;
  const ignored = (tbi: bigint, tbid: bigint): boolean =>
    ((TCR >> tbi) & 1n) !== 0n && (isData || ((TCR >> tbid) & 1n) === 0n);
  return [
    { topByteIgnored: ignored(37n, 51n), inputBits: inputBits(TCR & 63n, isWide((TCR & TG0.MASK) === TG0['64K'])) },
    {
      topByteIgnored: ignored(38n, 52n),
      inputBits: inputBits((TCR >> 16n) & 63n, isWide((TCR & TG1.MASK) === TG1['64K'])),
    },
  ];
}

function formatOf(cpu: A64Cpu, isData: boolean): PointerFormat {
  return pointerFormat(cpu.read(TRANSLATION_REGISTERS.TCR_EL1), isData, cpu.features);
}

interface Result {
  readonly pointer: bigint;
  readonly modifier: bigint;
  readonly result: bigint;
}

/** What signing and authenticating with a key depend on besides their operands, and what came out, by slot. */
interface Setting {
  readonly key: PacKey;
  readonly format: PointerFormat;
  readonly signed: (Result | undefined)[];
  readonly authenticated: (Result | undefined)[];
}

/** Results that a setting remembers; a power of two. */
const RESULTS = 4096;
/** Settings that a key remembers: every task has keys of its own. */
const MAX_SETTINGS = 64;

/**
 * One of the four keys. Functions return to the same place with the same stack pointer again and again, and what was signed is
 * authenticated later, so that results are kept. A slot is a hash of pointer and modifier that a signature does not change.
 */
class PointerKey {
  readonly #number: number;
  readonly #settings = new Map<string, Setting>();
  /** Key and TCR_EL1 of the current setting, in 32-bit words. */
  readonly #words = new Int32Array(6);
  /** Where they are in a CPU state block, in words. */
  readonly #wordOffsets: Int32Array;
  #current: Setting | undefined;

  constructor(number: number) {
    this.#number = number;
    const { low, high } = KEY_REGISTERS[number]!;
    const fields = [low, high, TRANSLATION_REGISTERS.TCR_EL1].map(register => register.field.offset >> 2);
    this.#wordOffsets = Int32Array.from(fields.flatMap(offset => [offset, offset + 1]));
  }

  sign(cpu: A64Cpu, slot: number, pointer: bigint, modifier: bigint): bigint {
    const { signed, authenticated, key, format } = this.#setting(cpu);
    const index = slot & (RESULTS - 1);
    const known = signed[index];
    if (known?.pointer === pointer && known.modifier === modifier) return known.result;
    const result = signPointer(
      algorithmOf(cpu),
      BigInt.asUintN(64, pointer),
      BigInt.asUintN(64, modifier),
      key,
      format,
    );
    signed[index] = { pointer, modifier, result };
    const isCanonical = stripPointer(result, format) === BigInt.asUintN(64, pointer);
    // Compiled code hands over an i64 as a signed number
    if (isCanonical) authenticated[index] = { pointer: BigInt.asIntN(64, result), modifier, result: pointer };
    return result;
  }

  authenticate(cpu: A64Cpu, slot: number, pointer: bigint, modifier: bigint): bigint {
    const { authenticated, key, format } = this.#setting(cpu);
    const index = slot & (RESULTS - 1);
    const known = authenticated[index];
    if (known?.pointer === pointer && known.modifier === modifier) return known.result;
    const [p, m] = [BigInt.asUintN(64, pointer), BigInt.asUintN(64, modifier)];
    const result = authenticatePointer(algorithmOf(cpu), p, m, key, (this.#number & 1) as 0 | 1, format);
    authenticated[index] = { pointer, modifier, result };
    return result;
  }

  #setting(cpu: A64Cpu): Setting {
    if (this.#adoptWords(cpu) || this.#current === undefined) this.#current = this.#lookUp(cpu);
    return this.#current;
  }

  /** Reads the words that the setting depends on. @returns whether they changed */
  #adoptWords({ engine: { base, int32 } }: A64Cpu): boolean {
    const words = this.#words;
    const offsets = this.#wordOffsets;
    const first = base >> 2;
    let changed = false;
    for (let at = 0; at < words.length; at++) {
      const word = int32[first + offsets[at]!]!;
      if (words[at] === word) continue;
      words[at] = word;
      changed = true;
    }
    return changed;
  }

  #lookUp(cpu: A64Cpu): Setting {
    const name = this.#words.join();
    const known = this.#settings.get(name);
    if (known) return known;
    const { low, high } = KEY_REGISTERS[this.#number]!;
    const key = { low: cpu.read(low), high: cpu.read(high) };
    const setting = { key, format: formatOf(cpu, this.#number >= FIRST_DATA_KEY), signed: [], authenticated: [] };
    if (this.#settings.size >= MAX_SETTINGS) this.#settings.clear();
    this.#settings.set(name, setting);
    return setting;
  }
}

function algorithmOf({ features }: A64Cpu): PacAlgorithm {
  return features.has('FEAT_PACIMP') ? mixedCode : qarma5;
}

const SCTLR_OFFSET = TRANSLATION_REGISTERS.SCTLR_EL1.field.offset;

/** SCTLR_EL1 lets this key be used. */
function isEnabled({ engine: { int32, base } }: A64Cpu, number: number): boolean {
  return (int32[(base + SCTLR_OFFSET) >> 2]! & KEY_REGISTERS[number]!.enable) !== 0;
}

/** The helpers by name; they act on the CPU that `current` gives. */
export function pointerAuthenticationHelpers(current: () => A64Cpu): Record<string, HelperImplementation> {
  const keys = KEY_REGISTERS.map((_, number) => new PointerKey(number));
  return {
    'a64.pacSign': (number: number, slot: number, pointer: bigint, modifier: bigint) => {
      const cpu = current();
      return isEnabled(cpu, number) ? keys[number]!.sign(cpu, slot, pointer, modifier) : pointer;
    },
    'a64.pacAuthenticate': (number: number, slot: number, pointer: bigint, modifier: bigint) => {
      const cpu = current();
      return isEnabled(cpu, number) ? keys[number]!.authenticate(cpu, slot, pointer, modifier) : pointer;
    },
    'a64.pacStrip': (isData: number, pointer: bigint) =>
      stripPointer(BigInt.asUintN(64, pointer), formatOf(current(), isData !== 0)),
    'a64.pacGeneric': (value: bigint, modifier: bigint) => {
      const cpu = current();
      const key = { low: cpu.read(KEYS.APGAKeyLo_EL1), high: cpu.read(KEYS.APGAKeyHi_EL1) };
      return genericCode(algorithmOf(cpu), BigInt.asUintN(64, value), BigInt.asUintN(64, modifier), key);
    },
  };
}
