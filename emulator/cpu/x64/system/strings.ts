/**
 * String instructions. One run does at most what fits before the end of a page of source and destination; the instruction then
 * runs again, so that interrupts and faults find rCX, rSI and rDI as after a whole number of elements.
 *
 * A run retires as one instruction: a page of REP MOVS takes the virtual time of one move. Elements that cross a page, devices, and
 * whatever is not MOVS or STOS go one at a time through the memory unit, up to 64 a run.
 *
 * Source: Intel SDM vol. 2 "REP/REPE/REPZ/REPNE/REPNZ", "MOVS/MOVSB/MOVSW/MOVSD/MOVSQ" and the like; vol. 1 "String Operations".
 */
import { CPU_STATE } from '../../execute/cpu-state.ts';
import type { EngineCpu } from '../../execute/guest.ts';
import type { MemoryAccess } from '../../ir/block.ts';
import { EFLAGS, GPR, SEGMENT, X64_STATE } from '../state.ts';
import { isBulk, NOT_BULK, runBulk } from './bulk-strings.ts';
import { packStatusFlags } from './flag-words.ts';
import { type StringForm, unpackStringForm } from './string-form.ts';

/** Elements that a run does when they go one at a time. */
const SLOW_ELEMENTS = 64;
const PAGE = 4096;

/** What string instructions need of the CPU: ports for INS and OUTS, and the limits of segments. */
export interface StringSurroundings {
  /** Whether accesses through a segment are checked: outside of 64-bit mode. */
  isLimited(segment: number): boolean;
  /** @returns false when a segment does not allow the access: the exception is kept */
  checkAccess(segment: number, offset: number, size: number, write: boolean): boolean;
  /** @returns false when I/O is not allowed: the exception is kept */
  checkPort(port: number, size: number): boolean;
  readPort(port: number, size: number): number;
  writePort(port: number, value: number, size: number): void;
}

const ACCESS = new Map<string, MemoryAccess>();

function access(size: 1 | 2 | 4 | 8, forWrite = false): MemoryAccess {
  const key = `${size}${forWrite}`;
  let known = ACCESS.get(key);
  if (!known) ACCESS.set(key, (known = { size, regime: 'current', alignment: 1, forWrite }));
  return known;
}

/** @returns 1 when the instruction is complete or has faulted, 0 when it must run again */
export function runString(cpu: EngineCpu, packed: number, surroundings: StringSurroundings, is64: boolean): number {
  const form = unpackStringForm(packed);
  if (isBulk(form, is64)) {
    const done = runBulk(cpu, form);
    if (done !== NOT_BULK) return done;
  }
  return new StringRun(cpu, form, surroundings, is64).run();
}

class StringRun {
  readonly #cpu: EngineCpu;
  readonly #form: StringForm;
  readonly #surroundings: StringSurroundings;
  readonly #is64: boolean;
  readonly #mask: bigint;
  readonly #step: bigint;

  constructor(cpu: EngineCpu, form: StringForm, surroundings: StringSurroundings, is64: boolean) {
    this.#cpu = cpu;
    this.#form = form;
    this.#surroundings = surroundings;
    this.#is64 = is64;
    this.#mask = (1n << BigInt(8 * form.addressSize)) - 1n;
    const backward = (this.#int32(X64_STATE.eflags.offset) & EFLAGS.DF) !== 0;
    this.#step = BigInt(backward ? -form.size : form.size);
  }

  run(): number {
    const { repeat, single } = this.#form;
    if (repeat === 0) {
      this.#element();
      return 1;
    }
    const count = this.#register(GPR.CX);
    if (count === 0n) return 1;
    const bulk = single ? 0 : this.#bulk(count);
    if (bulk < 0) return 1;
    if (bulk > 0) return this.#count(count, BigInt(bulk));
    return this.#elements(count, single ? 1 : SLOW_ELEMENTS);
  }

  /** Elements one at a time. */
  #elements(count: bigint, limit: number): number {
    let left = count;
    for (let i = 0; i < limit && left > 0n; i++) {
      if (!this.#element()) return 1;
      left -= 1n;
      this.#setRegister(GPR.CX, left);
      if (this.#endsComparison()) return 1;
    }
    return left === 0n ? 1 : 0;
  }

  #count(count: bigint, done: bigint): number {
    this.#setRegister(GPR.CX, count - done);
    return count === done ? 1 : 0;
  }

  /** REPE and REPNE end by ZF. */
  #endsComparison(): boolean {
    const { operation, repeat } = this.#form;
    if (operation !== 'CMPS' && operation !== 'SCAS') return false;
    const isZero = (packStatusFlags(this.#cpu) & EFLAGS.ZF) !== 0;
    return isZero !== (repeat === 0xf3);
  }

  // Bulk

  /** @returns elements done; 0 when it is not possible here, -1 when it faulted */
  #bulk(count: bigint): number {
    const { segment } = this.#form;
    if (this.#surroundings.isLimited(SEGMENT.ES) || this.#surroundings.isLimited(segment)) return 0;
    switch (this.#form.operation) {
      case 'MOVS':
        return this.#bulkMove(count);
      case 'STOS':
        return this.#step < 0n ? 0 : this.#bulkStore(count);
      default:
        return 0;
    }
  }

  /** Elements that lie whole within the pages of the first ones, in the string's direction, at most `count`. */
  #fitting(count: bigint, ...addresses: readonly bigint[]): number {
    const { size } = this.#form;
    const forward = this.#step > 0n;
    const rooms = addresses.map(address => {
      const offset = Number(address & 0xfffn);
      if (forward) return Math.floor((PAGE - offset) / size);
      return offset + size > PAGE ? 0 : Math.floor(offset / size) + 1;
    });
    const elements = Math.min(...rooms);
    return count < BigInt(elements) ? Number(count) : elements;
  }

  #bulkMove(count: bigint): number {
    const { size } = this.#form;
    const [source, destination] = [this.#sourceAddress(), this.#destinationAddress()];
    const elements = this.#fitting(count, source, destination);
    if (elements === 0) return 0;
    const from = this.#resolve(source, 'read');
    if (from === -1) return -1;
    const to = this.#resolve(destination, 'write');
    if (to === -1) return -1;
    const bytes = elements * size;
    const back = this.#step > 0n ? 0 : bytes - size;
    // a destination shortly ahead of the source, in the string's direction, repeats a pattern: element by element
    const ahead = this.#step > 0n ? to - from : from - to;
    if (from < 0 || to < 0 || (ahead > 0 && ahead < bytes)) return 0;
    if (!this.#cpu.mayWrite(to - back, bytes)) return -1;
    new Uint8Array(this.#cpu.view.buffer).copyWithin(to - back, from - back, from - back + bytes);
    this.#cpu.written(to - back, bytes);
    this.#advance(GPR.SI, elements);
    this.#advance(GPR.DI, elements);
    return elements;
  }

  #bulkStore(count: bigint): number {
    const { size } = this.#form;
    const destination = this.#destinationAddress();
    const elements = this.#fitting(count, destination);
    if (elements === 0) return 0;
    const to = this.#resolve(destination, 'write');
    if (to < 0) return to === -1 ? -1 : 0;
    const bytes = elements * size;
    if (!this.#cpu.mayWrite(to, bytes)) return -1;
    const { view } = this.#cpu;
    const memory = new Uint8Array(view.buffer, to, bytes);
    const value = view.getBigUint64(this.#cpu.base + X64_STATE.r[GPR.AX]!.offset, true);
    fill(memory, value, size);
    this.#cpu.written(to, bytes);
    this.#advance(GPR.DI, elements);
    return elements;
  }

  #resolve(address: bigint, kind: 'read' | 'write'): number {
    return this.#cpu.resolve(low(address), high(address), kind, 'current');
  }

  // One element

  /** @returns false when it faulted */
  #element(): boolean {
    switch (this.#form.operation) {
      case 'MOVS':
        return this.#move();
      case 'STOS':
        return this.#store(this.#value(GPR.AX)) && this.#advance(GPR.DI, 1);
      case 'LODS':
        return this.#loadAccumulator();
      case 'CMPS':
        return this.#compare();
      case 'SCAS':
        return this.#scan();
      case 'INS':
        return this.#input();
      default:
        return this.#output();
    }
  }

  #move(): boolean {
    if (!this.#loadSource()) return false;
    return this.#store(this.#scratch()) && this.#advance(GPR.SI, 1) && this.#advance(GPR.DI, 1);
  }

  #loadAccumulator(): boolean {
    if (!this.#loadSource()) return false;
    const { size } = this.#form;
    const value = this.#scratch();
    const old = this.#value(GPR.AX);
    const bits = BigInt(8 * size);
    const kept = size >= 4 ? 0n : (old >> bits) << bits;
    this.#setValue(GPR.AX, kept | value);
    return this.#advance(GPR.SI, 1);
  }

  #compare(): boolean {
    if (!this.#loadSource()) return false;
    const left = this.#scratch();
    if (!this.#loadDestination()) return false;
    this.#setFlags(left, this.#scratch());
    return this.#advance(GPR.SI, 1) && this.#advance(GPR.DI, 1);
  }

  #scan(): boolean {
    if (!this.#loadDestination()) return false;
    this.#setFlags(BigInt.asUintN(8 * this.#form.size, this.#value(GPR.AX)), this.#scratch());
    return this.#advance(GPR.DI, 1);
  }

  #input(): boolean {
    const { size } = this.#form;
    const port = Number(this.#value(GPR.DX) & 0xffffn);
    if (!this.#surroundings.checkPort(port, size)) return false;
    // the page must take the data before the port is read
    if (!this.#loadDestination(true)) return false;
    return this.#store(BigInt(this.#surroundings.readPort(port, size) >>> 0)) && this.#advance(GPR.DI, 1);
  }

  #output(): boolean {
    const { size } = this.#form;
    const port = Number(this.#value(GPR.DX) & 0xffffn);
    if (!this.#surroundings.checkPort(port, size)) return false;
    if (!this.#loadSource()) return false;
    this.#surroundings.writePort(port, Number(this.#scratch()), size);
    return this.#advance(GPR.SI, 1);
  }

  // Memory and registers

  #allows(segment: number, register: number, write: boolean): boolean {
    if (!this.#surroundings.isLimited(segment)) return true;
    return this.#surroundings.checkAccess(segment, Number(this.#register(register)), this.#form.size, write);
  }

  #load(address: bigint, forWrite = false): boolean {
    return this.#cpu.load(low(address), high(address), access(this.#form.size, forWrite));
  }

  #loadSource(): boolean {
    return this.#allows(this.#form.segment, GPR.SI, false) && this.#load(this.#sourceAddress());
  }

  #loadDestination(forWrite = false): boolean {
    return this.#allows(SEGMENT.ES, GPR.DI, forWrite) && this.#load(this.#destinationAddress(), forWrite);
  }

  #scratch(): bigint {
    const { view, base } = this.#cpu;
    return BigInt.asUintN(8 * this.#form.size, view.getBigUint64(base + CPU_STATE.scratch, true));
  }

  #store(value: bigint): boolean {
    if (!this.#allows(SEGMENT.ES, GPR.DI, true)) return false;
    const { view, base } = this.#cpu;
    view.setBigUint64(base + CPU_STATE.scratch, value, true);
    const address = this.#destinationAddress();
    return this.#cpu.store(low(address), high(address), access(this.#form.size));
  }

  #sourceAddress(): bigint {
    return this.#linear(this.#form.segment, this.#register(GPR.SI));
  }

  #destinationAddress(): bigint {
    return this.#linear(SEGMENT.ES, this.#register(GPR.DI));
  }

  #linear(segment: number, offset: bigint): bigint {
    if (this.#is64 && segment < SEGMENT.FS) return offset;
    const { view, base } = this.#cpu;
    const sum = offset + view.getBigUint64(base + X64_STATE.segments[segment]!.base.offset, true);
    return BigInt.asUintN(this.#is64 ? 64 : 32, sum);
  }

  #int32(offset: number): number {
    return this.#cpu.view.getInt32(this.#cpu.base + offset, true);
  }

  #value(number: number): bigint {
    return this.#cpu.view.getBigUint64(this.#cpu.base + X64_STATE.r[number]!.offset, true);
  }

  #setValue(number: number, value: bigint): void {
    this.#cpu.view.setBigUint64(this.#cpu.base + X64_STATE.r[number]!.offset, value, true);
  }

  /** A register at the address size. */
  #register(number: number): bigint {
    return this.#value(number) & this.#mask;
  }

  /** Writes a register at the address size: 16 bits leave the rest, 32 clear it. */
  #setRegister(number: number, value: bigint): void {
    const kept = this.#form.addressSize === 2 ? this.#value(number) & ~0xffffn : 0n;
    this.#setValue(number, kept | (value & this.#mask));
  }

  #advance(number: number, elements: number): true {
    this.#setRegister(number, this.#register(number) + this.#step * BigInt(elements));
    return true;
  }

  /** The flags of a - b, in their unpacked form (state.ts). */
  #setFlags(a: bigint, b: bigint): void {
    const bits = 8 * this.#form.size;
    const { view, base } = this.#cpu;
    const result = BigInt.asIntN(bits, a - b);
    view.setBigInt64(base + X64_STATE.flagResult.offset, result, true);
    view.setInt32(base + X64_STATE.flagCarry.offset, a < b ? 1 : 0, true);
    view.setBigInt64(base + X64_STATE.flagChain.offset, BigInt.asIntN(bits, a ^ b ^ result), true);
  }
}

/** Fills memory with an element of 1, 2, 4 or 8 bytes. */
function fill(memory: Uint8Array, value: bigint, size: number): void {
  const element = Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
  if (element.every(byte => byte === element[0])) {
    memory.fill(element[0]!);
    return;
  }
  memory.set(element);
  for (let filled = size; filled < memory.length; filled *= 2) {
    memory.copyWithin(filled, 0, Math.min(filled, memory.length - filled));
  }
}

function low(address: bigint): number {
  return Number(BigInt.asIntN(32, address));
}

function high(address: bigint): number {
  return Number(BigInt.asIntN(32, address >> 32n));
}
