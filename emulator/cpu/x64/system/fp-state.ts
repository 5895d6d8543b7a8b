/**
 * FXSAVE, FXRSTOR, XSAVE, XRSTOR: the state of the x87, MMX, SSE and AVX registers in memory.
 *
 * Source: Intel SDM vol. 1 "FXSAVE and FXRSTOR Instructions", "Managing State Using the XSAVE Feature Set"; vol. 2 "FXSAVE".
 */
import type { HelperImplementation } from '../../execute/guest.ts';
import type { X64Cpu } from '../cpu.ts';
import { GPR, X64_STATE } from '../state.ts';
import { CR4, XCR0 } from './control-bits.ts';
import { type Fault, fault, protectionFault, VECTOR } from './fault.ts';
import { fxrstor, fxsave, loadMxcsr, minimumPosition, xrstor, xsave } from './vector-helpers.ts';
import { HEADER_SIZE, LEGACY_SIZE, xsaveArea } from './xsave-layout.ts';

/** Offsets in the legacy region. */
const AREA = { FCW: 0, FSW: 2, FTW: 4, FOP: 6, FIP: 8, FDP: 16, MXCSR: 24, MXCSR_MASK: 28, ST: 32, XMM: 160 } as const;
const MXCSR_MASK = 0xffff;
const FCW_INITIAL = 0x37f;

/** Bytes of an area as they are gathered before, or after, memory is accessed. */
class Area {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** Copies memory into an area. @returns the fault, if any */
function readArea(cpu: X64Cpu, address: bigint, area: Area, from: number, to: number): Fault | undefined {
  for (let at = from; at < to; at += 8) {
    const value = cpu.memory.read(address + BigInt(at), 8, cpu.cpl === 3);
    if (value === undefined) return cpu.memory.fault;
    area.view.setBigUint64(at, value, true);
  }
  return undefined;
}

function writeArea(cpu: X64Cpu, address: bigint, area: Area, from: number, to: number): Fault | undefined {
  for (let at = from; at < to; at += 8) {
    const value = area.view.getBigUint64(at, true);
    if (!cpu.memory.write(address + BigInt(at), value, 8, cpu.cpl === 3)) return cpu.memory.fault;
  }
  return undefined;
}

/** Number of the physical register that is ST(i). */
function physical(cpu: X64Cpu, i: number): number {
  return (cpu.state.get32(X64_STATE.TOP) + i) & 7;
}

function saveX87(cpu: X64Cpu, { view }: Area, long: boolean): void {
  const { state } = cpu;
  view.setUint16(AREA.FCW, state.get32(X64_STATE.FCW), true);
  view.setUint16(AREA.FSW, state.get32(X64_STATE.FSW) | (state.get32(X64_STATE.TOP) << 11), true);
  view.setUint8(AREA.FTW, ~state.get32(X64_STATE.emptyTags) & 0xff);
  view.setUint16(AREA.FOP, state.get32(X64_STATE.FOP), true);
  const [fip, fdp] = [state.get64(X64_STATE.FIP), state.get64(X64_STATE.FDP)];
  view.setBigUint64(AREA.FIP, long ? fip : fip & 0xffff_ffffn, true);
  view.setBigUint64(AREA.FDP, long ? fdp : fdp & 0xffff_ffffn, true);
  for (let i = 0; i < 8; i++) {
    const register = physical(cpu, i);
    view.setBigUint64(AREA.ST + 16 * i, state.get64(X64_STATE.significand[register]!), true);
    view.setUint16(AREA.ST + 16 * i + 8, state.get32(X64_STATE.exponent[register]!), true);
  }
}

function restoreX87(cpu: X64Cpu, { view }: Area, long: boolean): void {
  const { state } = cpu;
  const fsw = view.getUint16(AREA.FSW, true);
  state.set32(X64_STATE.FCW, (view.getUint16(AREA.FCW, true) & 0x1f7f) | 0x40);
  state.set32(X64_STATE.FSW, fsw & ~0x3800);
  state.set32(X64_STATE.TOP, (fsw >> 11) & 7);
  state.set32(X64_STATE.emptyTags, ~view.getUint8(AREA.FTW) & 0xff);
  state.set32(X64_STATE.FOP, view.getUint16(AREA.FOP, true) & 0x7ff);
  const mask = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  state.set64(X64_STATE.FIP, view.getBigUint64(AREA.FIP, true) & mask);
  state.set64(X64_STATE.FDP, view.getBigUint64(AREA.FDP, true) & mask);
  for (let i = 0; i < 8; i++) {
    const register = physical(cpu, i);
    state.set64(X64_STATE.significand[register]!, view.getBigUint64(AREA.ST + 16 * i, true));
    state.set32(X64_STATE.exponent[register]!, view.getUint16(AREA.ST + 16 * i + 8, true));
  }
}

/** The registers that exist in the mode: 8 outside of 64-bit mode. */
function xmmCount(cpu: X64Cpu): number {
  return cpu.is64 ? 16 : 8;
}

function copyVectors(cpu: X64Cpu, area: Area, offset: number, fields: typeof X64_STATE.xmm, save: boolean): void {
  const { view, base } = cpu.engine;
  const state = new Uint8Array(view.buffer);
  for (let n = 0; n < xmmCount(cpu); n++) {
    const at = base + fields[n]!.offset;
    const place = offset + 16 * n;
    if (save) area.bytes.set(state.subarray(at, at + 16), place);
    else state.set(area.bytes.subarray(place, place + 16), at);
  }
}

function saveMxcsr(cpu: X64Cpu, { view }: Area): void {
  view.setUint32(AREA.MXCSR, cpu.state.get32(X64_STATE.MXCSR), true);
  view.setUint32(AREA.MXCSR_MASK, MXCSR_MASK, true);
}

function executeFxsave(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  if (address % 16n !== 0n) return protectionFault();
  const area = new Area(LEGACY_SIZE);
  // the last 96 bytes are the program's
  const end = AREA.XMM + 16 * xmmCount(cpu);
  saveX87(cpu, area, long);
  saveMxcsr(cpu, area);
  copyVectors(cpu, area, AREA.XMM, X64_STATE.xmm, true);
  return writeArea(cpu, address, area, 0, end);
}

function executeFxrstor(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  if (address % 16n !== 0n) return protectionFault();
  const area = new Area(LEGACY_SIZE);
  const failure = readArea(cpu, address, area, 0, AREA.XMM + 16 * xmmCount(cpu));
  if (failure) return failure;
  const mxcsr = area.view.getUint32(AREA.MXCSR, true);
  if ((mxcsr & ~MXCSR_MASK) !== 0) return protectionFault();
  restoreX87(cpu, area, long);
  cpu.state.set32(X64_STATE.MXCSR, mxcsr);
  copyVectors(cpu, area, AREA.XMM, X64_STATE.xmm, false);
  return undefined;
}

/** Components that an XSAVE or XRSTOR asks for and XCR0 enables. */
function requested(cpu: X64Cpu): number {
  return cpu.state.gpr32(GPR.AX) & cpu.registers.xcr0;
}

function checkXsave(cpu: X64Cpu, address: bigint): Fault | undefined {
  if ((cpu.registers.cr4 & CR4.OSXSAVE) === 0) return fault(VECTOR.UD);
  return address % 64n === 0n ? undefined : protectionFault();
}

function executeXsave(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  const failure = checkXsave(cpu, address);
  if (failure) return failure;
  const wanted = requested(cpu);
  const layout = xsaveArea(cpu.features);
  const size = layout.sizeOf(wanted);
  const area = new Area(size);
  // what is not saved stays as it is in memory
  const unread = readArea(cpu, address, area, 0, size);
  if (unread) return unread;
  if (wanted & XCR0.X87) saveX87(cpu, area, long);
  if (wanted & (XCR0.SSE | XCR0.YMM)) saveMxcsr(cpu, area);
  if (wanted & XCR0.SSE) copyVectors(cpu, area, AREA.XMM, X64_STATE.xmm, true);
  const ymm = layout.component(2);
  if (wanted & XCR0.YMM && ymm) copyVectors(cpu, area, ymm.offset, X64_STATE.ymmHigh, true);
  const header = area.view.getBigUint64(LEGACY_SIZE, true);
  area.view.setBigUint64(LEGACY_SIZE, header | BigInt(wanted), true);
  return writeArea(cpu, address, area, 0, size);
}

function executeXrstor(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  const failure = checkXsave(cpu, address);
  if (failure) return failure;
  const wanted = requested(cpu);
  const layout = xsaveArea(cpu.features);
  const size = layout.sizeOf(wanted);
  const area = new Area(size);
  const unread = readArea(cpu, address, area, 0, size);
  if (unread) return unread;
  const header = area.view.getBigUint64(LEGACY_SIZE, true);
  if (
    header & ~BigInt(cpu.registers.xcr0) ||
    !isZero(area.bytes.subarray(LEGACY_SIZE + 8, LEGACY_SIZE + HEADER_SIZE))
  ) {
    return protectionFault();
  }
  const present = Number(header);
  const mxcsr = area.view.getUint32(AREA.MXCSR, true);
  if (wanted & (XCR0.SSE | XCR0.YMM)) {
    if ((mxcsr & ~MXCSR_MASK) !== 0) return protectionFault();
    cpu.state.set32(X64_STATE.MXCSR, mxcsr);
  }
  restoreComponents(cpu, area, wanted, present, long);
  return undefined;
}

/** Components that are asked for but not in the area get their initial state. */
function restoreComponents(cpu: X64Cpu, area: Area, wanted: number, present: number, long: boolean): void {
  const initial = new Area(LEGACY_SIZE);
  initial.view.setUint16(AREA.FCW, FCW_INITIAL, true);
  const from = (component: number): Area => (present & component ? area : initial);
  if (wanted & XCR0.X87) restoreX87(cpu, from(XCR0.X87), long);
  if (wanted & XCR0.SSE) copyVectors(cpu, from(XCR0.SSE), AREA.XMM, X64_STATE.xmm, false);
  const ymm = xsaveArea(cpu.features).component(2);
  if (!(wanted & XCR0.YMM) || !ymm) return;
  if (present & XCR0.YMM) copyVectors(cpu, area, ymm.offset, X64_STATE.ymmHigh, false);
  else copyVectors(cpu, new Area(ymm.offset + ymm.size), ymm.offset, X64_STATE.ymmHigh, false);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === 0);
}

/** The least of eight words, and which it is. */
export function leastWord(low: bigint, high: bigint): bigint {
  const words = (BigInt.asUintN(64, high) << 64n) | BigInt.asUintN(64, low);
  let best = 0n;
  const word = (index: bigint): bigint => (words >> (16n * index)) & 0xffffn;
  for (let index = 1n; index < 8n; index++) if (word(index) < word(best)) best = index;
  return word(best) | (best << 16n);
}

/** Implementations by name. */
export function fpStateHelpers(current: () => X64Cpu): Readonly<Record<string, HelperImplementation>> {
  const run = (execute: (cpu: X64Cpu, address: bigint, long: boolean) => Fault | undefined) => {
    return (address: bigint, long: number): void => {
      const cpu = current();
      const failure = execute(cpu, BigInt.asUintN(64, address), long === 1);
      if (failure) cpu.raise(failure);
    };
  };
  return {
    [fxsave.name]: run(executeFxsave),
    [fxrstor.name]: run(executeFxrstor),
    [xsave.name]: run(executeXsave),
    [xrstor.name]: run(executeXrstor),
    [loadMxcsr.name]: (value: number) => {
      const cpu = current();
      if ((value & ~MXCSR_MASK) !== 0) return cpu.raise(protectionFault());
      cpu.state.set32(X64_STATE.MXCSR, value);
    },
    [minimumPosition.name]: leastWord,
  };
}
