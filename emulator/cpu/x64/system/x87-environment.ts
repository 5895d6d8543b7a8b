/**
 * FLDENV, FNSTENV, FRSTOR, FNSAVE. Source: Intel SDM vol. 1 "x87 FPU State in Memory".
 * Not modelled: the formats of real mode (those of protected mode always); selectors of the pointers, which read as 0.
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import type { X64Cpu } from '../cpu.ts';
import { X64_STATE } from '../state.ts';
import { x87Environment } from './vector-helpers.ts';

const WHICH = { FLDENV: 0, FRSTOR: 1, FNSTENV: 2, FNSAVE: 3 } as const;
const REGISTER_BYTES = 10;

/** Two bits a register: 0 valid, 1 zero, 2 special, 3 empty. */
function fullTags(cpu: X64Cpu): number {
  const { state } = cpu;
  const empty = state.get32(X64_STATE.emptyTags);
  let tags = 0;
  for (let n = 0; n < 8; n++) {
    const exponent = state.get32(X64_STATE.exponent[n]!) & 0x7fff;
    const significand = state.get64(X64_STATE.significand[n]!);
    const special = exponent === 0 || exponent === 0x7fff || significand >> 63n === 0n;
    const tag = (empty >> n) & 1 ? 3 : exponent === 0 && significand === 0n ? 1 : special ? 2 : 0;
    tags |= tag << (2 * n);
  }
  return tags;
}

/** The seven words of the environment. */
function environmentWords(cpu: X64Cpu): readonly number[] {
  const { state } = cpu;
  return [
    state.get32(X64_STATE.FCW),
    state.get32(X64_STATE.FSW) | (state.get32(X64_STATE.TOP) << 11),
    fullTags(cpu),
    Number(state.get64(X64_STATE.FIP) & 0xffff_ffffn),
    state.get32(X64_STATE.FOP) << 16,
    Number(state.get64(X64_STATE.FDP) & 0xffff_ffffn),
    0,
  ];
}

function store(cpu: X64Cpu, which: number, address: bigint, size: 2 | 4): void {
  const { memory, state } = cpu;
  const user = cpu.cpl === 3;
  const words = environmentWords(cpu);
  for (const [i, word] of words.entries()) {
    // the upper halves of control, status and tag words are all ones
    const stored = size === 4 && i < 3 ? BigInt(word) | 0xffff_0000n : BigInt(word >>> 0);
    if (!memory.write(address + BigInt(i * size), stored, size, user)) return cpu.raise(memory.fault);
  }
  if (which === WHICH.FNSAVE) {
    for (let i = 0; i < 8; i++) {
      const register = (state.get32(X64_STATE.TOP) + i) & 7;
      const at = address + BigInt(words.length * size + i * REGISTER_BYTES);
      const stored =
        memory.write(at, state.get64(X64_STATE.significand[register]!), 8, user) &&
        memory.write(at + 8n, BigInt(state.get32(X64_STATE.exponent[register]!) & 0xffff), 2, user);
      if (!stored) return cpu.raise(memory.fault);
    }
    state.set32(X64_STATE.FCW, 0x37f);
    state.set32(X64_STATE.FSW, 0);
    state.set32(X64_STATE.TOP, 0);
    state.set32(X64_STATE.emptyTags, 0xff);
  } else {
    // FNSTENV masks all exceptions
    state.set32(X64_STATE.FCW, state.get32(X64_STATE.FCW) | 0x3f);
  }
}

function load(cpu: X64Cpu, which: number, address: bigint, size: 2 | 4): void {
  const { memory, state } = cpu;
  const user = cpu.cpl === 3;
  const words: number[] = [];
  for (let i = 0; i < 7; i++) {
    const word = memory.read(address + BigInt(i * size), size, user);
    if (word === undefined) return cpu.raise(memory.fault);
    words.push(Number(word));
  }
  const registers: [bigint, bigint][] = [];
  for (let i = 0; which === WHICH.FRSTOR && i < 8; i++) {
    const at = address + BigInt(7 * size + i * REGISTER_BYTES);
    const low = memory.read(at, 8, user);
    const high = memory.read(at + 8n, 2, user);
    if (low === undefined || high === undefined) return cpu.raise(memory.fault);
    registers.push([low, high]);
  }
  const [fcw, fsw, tags, fip, fop, fdp] = words as [number, number, number, number, number, number];
  state.set32(X64_STATE.FCW, (fcw & 0x1f7f) | 0x40);
  state.set32(X64_STATE.FSW, fsw & 0xffff & ~0x3800);
  state.set32(X64_STATE.TOP, (fsw >> 11) & 7);
  let empty = 0;
  for (let n = 0; n < 8; n++) if (((tags >> (2 * n)) & 3) === 3) empty |= 1 << n;
  state.set32(X64_STATE.emptyTags, empty);
  state.set64(X64_STATE.FIP, BigInt(fip));
  state.set32(X64_STATE.FOP, (fop >>> 16) & 0x7ff);
  state.set64(X64_STATE.FDP, BigInt(fdp));
  registers.forEach(([low, high], i) => {
    const register = (state.get32(X64_STATE.TOP) + i) & 7;
    state.set64(X64_STATE.significand[register]!, low);
    state.set32(X64_STATE.exponent[register]!, Number(high));
  });
}

export function x87EnvironmentHelpers(current: () => X64Cpu): Readonly<Record<string, HelperImplementation>> {
  return {
    [x87Environment.name]: (which: number, address: bigint, operandSize: number) => {
      const size = operandSize === 2 ? 2 : 4;
      const run = which === WHICH.FLDENV || which === WHICH.FRSTOR ? load : store;
      run(current(), which, BigInt.asUintN(64, address), size);
    },
  };
}
