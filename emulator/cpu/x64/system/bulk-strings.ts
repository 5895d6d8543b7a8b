/**
 * REP MOVS and REP STOS in 64-bit mode, forward and within pages: on 32-bit halves, without an allocation, because x86_64 kernels copy and
 * clear memory with them. Everything else is in `strings.ts`.
 */
import type { EngineCpu } from '../../execute/guest.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../state.ts';
import type { StringForm } from './string-form.ts';

/** What `runBulk` gives besides 0 (to run again) and 1 (complete, or faulted). */
export const NOT_BULK = -1;

const PAGE = 4096;
const FAULTED = -1;
/** Below this many bytes a loop is faster than the calls of the typed array. */
const SMALL = 32;

/** Words of the state block, from its start. */
const RAX = X64_STATE.r[GPR.AX]!.offset >> 2;
const RCX = X64_STATE.r[GPR.CX]!.offset >> 2;
const RSI = X64_STATE.r[GPR.SI]!.offset >> 2;
const RDI = X64_STATE.r[GPR.DI]!.offset >> 2;
const FLAGS = X64_STATE.eflags.offset >> 2;

let bytesOfMemory: Uint8Array = new Uint8Array(0);

/** The linear memory as bytes; it never moves while a machine runs. */
function bytesOf(view: DataView): Uint8Array {
  if (bytesOfMemory.buffer !== view.buffer) bytesOfMemory = new Uint8Array(view.buffer);
  return bytesOfMemory;
}

/** Whether the form is one of those that this file runs; the direction is looked at when it runs. */
export function isBulk({ operation, repeat, addressSize, segment, single }: StringForm, is64: boolean): boolean {
  if (!is64 || repeat === 0 || addressSize !== 8 || single) return false;
  return operation === 'STOS' || (operation === 'MOVS' && segment < SEGMENT.FS);
}

/** @returns 1 when complete or faulted, 0 to run again, NOT_BULK when nothing was done */
export function runBulk(cpu: EngineCpu, form: StringForm): number {
  const { int32, base } = cpu;
  const state = base >> 2;
  const low = int32[state + RCX]!;
  const high = int32[state + RCX + 1]!;
  if ((low | high) === 0) return 1;
  if ((int32[state + FLAGS]! & EFLAGS.DF) !== 0) return NOT_BULK;
  const count = high === 0 ? low >>> 0 : 0xffff_ffff;
  const done = form.operation === 'STOS' ? store(cpu, state, form.size, count) : move(cpu, state, form.size, count);
  if (done <= 0) return done === FAULTED ? 1 : NOT_BULK;
  add(int32, state + RCX, -done);
  return high === 0 && done === count ? 1 : 0;
}

/** Elements of `size` bytes from an address to the end of its page. */
function room(low: number, size: number): number {
  return ((PAGE - (low & (PAGE - 1))) / size) | 0;
}

/** @returns elements done, FAULTED, or 0 */
function store(cpu: EngineCpu, state: number, size: number, count: number): number {
  const { int32 } = cpu;
  const low = int32[state + RDI]!;
  const elements = Math.min(count, room(low, size));
  if (elements === 0) return 0;
  const to = cpu.resolve(low, int32[state + RDI + 1]!, 'write', 'current');
  if (to < 0) return to === FAULTED ? FAULTED : 0;
  const bytes = elements * size;
  if (!cpu.mayWrite(to, bytes)) return FAULTED;
  fill(cpu, to, bytes, size, int32[state + RAX]!, int32[state + RAX + 1]!);
  cpu.written(to, bytes);
  add(int32, state + RDI, bytes);
  return elements;
}

function move(cpu: EngineCpu, state: number, size: number, count: number): number {
  const { int32 } = cpu;
  const source = int32[state + RSI]!;
  const destination = int32[state + RDI]!;
  const elements = Math.min(count, room(source, size), room(destination, size));
  if (elements === 0) return 0;
  const from = cpu.resolve(source, int32[state + RSI + 1]!, 'read', 'current');
  if (from < 0) return from === FAULTED ? FAULTED : 0;
  const to = cpu.resolve(destination, int32[state + RDI + 1]!, 'write', 'current');
  if (to < 0) return to === FAULTED ? FAULTED : 0;
  const bytes = elements * size;
  // a destination shortly ahead of the source repeats a pattern: element by element
  if (to > from && to < from + bytes) return 0;
  if (!cpu.mayWrite(to, bytes)) return FAULTED;
  copy(bytesOf(cpu.view), from, to, bytes);
  cpu.written(to, bytes);
  add(int32, state + RSI, bytes);
  add(int32, state + RDI, bytes);
  return elements;
}

function copy(memory: Uint8Array, from: number, to: number, bytes: number): void {
  if (bytes > SMALL) memory.copyWithin(to, from, from + bytes);
  else for (let i = 0; i < bytes; i++) memory[to + i] = memory[from + i]!;
}

/** Fills with an element of `size` bytes, the lowest ones of a pair of words. */
function fill(cpu: EngineCpu, to: number, bytes: number, size: number, low: number, high: number): void {
  const memory = bytesOf(cpu.view);
  if (isOneByte(size, low, high)) {
    if (bytes > SMALL) memory.fill(low & 0xff, to, to + bytes);
    else for (let i = 0; i < bytes; i++) memory[to + i] = low;
    return;
  }
  for (let i = 0; i < size; i++) memory[to + i] = (i < 4 ? low : high) >> (8 * (i & 3));
  for (let filled = size; filled < bytes; filled *= 2) {
    memory.copyWithin(to + filled, to, to + Math.min(filled, bytes - filled));
  }
}

function isOneByte(size: number, low: number, high: number): boolean {
  const pattern = Math.imul(low & 0xff, 0x0101_0101);
  if (size === 1) return true;
  if (size === 2) return ((low ^ pattern) & 0xffff) === 0;
  return low === pattern && (size === 4 || high === pattern);
}

/** Adds to a 64-bit number in two words, modulo 2^64. */
function add(int32: Int32Array, at: number, amount: number): void {
  const sum = (int32[at]! >>> 0) + amount;
  int32[at] = sum;
  if (sum > 0xffff_ffff) int32[at + 1]! += 1;
  else if (sum < 0) int32[at + 1]! -= 1;
}
