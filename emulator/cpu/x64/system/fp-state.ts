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
import { MemoryArea } from './memory-area.ts';
import { fxrstor, fxsave, loadMxcsr, minimumPosition, xrstor, xsave } from './vector-helpers.ts';
import { HEADER_SIZE, LEGACY_SIZE, PKRU, xsaveArea, XSTATE_BV, YMM } from './xsave-layout.ts';

/** Offsets in the legacy region. */
const AREA = { FCW: 0, FSW: 2, FTW: 4, FOP: 6, FIP: 8, FDP: 16, MXCSR: 24, MXCSR_MASK: 28, ST: 32, XMM: 160 } as const;
const MXCSR_MASK = 0xffff;
const FCW_INITIAL = 0x37f;

/** Bytes of an area as they are gathered, or were read. */
class Area {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
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
  // the last 96 bytes are the program's
  const end = AREA.XMM + 16 * xmmCount(cpu);
  const memory = MemoryArea.open(cpu.engine, address, end, 'write');
  if (!memory) return undefined;
  const area = new Area(new Uint8Array(LEGACY_SIZE));
  saveX87(cpu, area, long);
  saveMxcsr(cpu, area);
  copyVectors(cpu, area, AREA.XMM, X64_STATE.xmm, true);
  memory.write(area.bytes, 0, end);
  return undefined;
}

function executeFxrstor(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  if (address % 16n !== 0n) return protectionFault();
  const memory = MemoryArea.open(cpu.engine, address, LEGACY_SIZE, 'read');
  if (!memory) return undefined;
  const area = new Area(memory.read(LEGACY_SIZE));
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

/** All components count as in use. What is not saved stays as it is in memory. */
function executeXsave(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  const failure = checkXsave(cpu, address);
  if (failure) return failure;
  const wanted = requested(cpu);
  const size = xsaveArea(cpu.features).sizeOf(wanted);
  const memory = MemoryArea.open(cpu.engine, address, size, 'write');
  if (!memory) return undefined;
  const area = new Area(memory.read(size));
  if (wanted & XCR0.X87) saveX87(cpu, area, long);
  if (wanted & (XCR0.SSE | XCR0.YMM)) saveMxcsr(cpu, area);
  if (wanted & XCR0.SSE) copyVectors(cpu, area, AREA.XMM, X64_STATE.xmm, true);
  if (wanted & XCR0.YMM) copyVectors(cpu, area, YMM.offset, X64_STATE.ymmHigh, true);
  if (wanted & XCR0.PKRU) area.view.setUint32(PKRU.offset, cpu.registers.pkru, true);
  const header = area.view.getBigUint64(XSTATE_BV, true);
  area.view.setBigUint64(XSTATE_BV, header | BigInt(wanted), true);
  memory.write(area.bytes, 0, size);
  return undefined;
}

function executeXrstor(cpu: X64Cpu, address: bigint, long: boolean): Fault | undefined {
  const failure = checkXsave(cpu, address);
  if (failure) return failure;
  const wanted = requested(cpu);
  const size = xsaveArea(cpu.features).sizeOf(wanted);
  const memory = MemoryArea.open(cpu.engine, address, size, 'read');
  if (!memory) return undefined;
  const area = new Area(memory.read(size));
  const header = area.view.getBigUint64(XSTATE_BV, true);
  const reserved = area.bytes.subarray(XSTATE_BV + 8, LEGACY_SIZE + HEADER_SIZE);
  if (header & ~BigInt(cpu.registers.xcr0) || reserved.some(byte => byte !== 0)) return protectionFault();
  const mxcsr = area.view.getUint32(AREA.MXCSR, true);
  if (wanted & (XCR0.SSE | XCR0.YMM)) {
    if ((mxcsr & ~MXCSR_MASK) !== 0) return protectionFault();
    cpu.state.set32(X64_STATE.MXCSR, mxcsr);
  }
  restoreComponents(cpu, area, wanted, Number(header), long);
  return undefined;
}

/** An area with every component in its initial state. */
function initialArea(): Area {
  const area = new Area(new Uint8Array(PKRU.offset + PKRU.size));
  area.view.setUint16(AREA.FCW, FCW_INITIAL, true);
  return area;
}

/** Components that are asked for but not in the area get their initial state. */
function restoreComponents(cpu: X64Cpu, area: Area, wanted: number, present: number, long: boolean): void {
  const initial = (wanted & ~present) === 0 ? area : initialArea();
  const from = (component: number): Area => (present & component ? area : initial);
  if (wanted & XCR0.X87) restoreX87(cpu, from(XCR0.X87), long);
  if (wanted & XCR0.SSE) copyVectors(cpu, from(XCR0.SSE), AREA.XMM, X64_STATE.xmm, false);
  if (wanted & XCR0.YMM) copyVectors(cpu, from(XCR0.YMM), YMM.offset, X64_STATE.ymmHigh, false);
  if (wanted & XCR0.PKRU) cpu.setPkru(from(XCR0.PKRU).view.getInt32(PKRU.offset, true));
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
