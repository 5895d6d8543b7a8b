/**
 * Segments, gates and tasks. Source: Intel SDM vol. 3A "Protection", "Task Management"; vol. 2 at the instruction's name. The limits of data
 * and stack segments are as an AMD EPYC has them, seen through Linux' modify_ldt.
 */
import { describe, expect, test } from 'vitest';
import { GPR, SEGMENT, X64_STATE } from '../../../../../emulator/cpu/x64/state.ts';
import { CR0, CR4 } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import {
  FLAT,
  FREE,
  gateDescriptor,
  type SegmentDescription,
  segmentDescriptor,
  X64LegacyMachine,
} from '../../../../support/x64-legacy-machine.ts';
import { AT, SELECTOR, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
const TARGET = AT.CODE + 0x100;
const DATA = 3;
const READ_ONLY = 1;
const EXPAND_DOWN = 7;
const CODE = 0xb;
const EXECUTE_ONLY = 9;
const CONFORMING = 0xf;
const CALL_GATE = 12;
const CALL_GATE_16 = 4;
const TASK_GATE = 5;

const le32 = (value: number): readonly number[] => [0, 8, 16, 24].map(shift => (value >>> shift) & 0xff);
const farPointer = (selector: number, offset = 0): readonly number[] => [
  ...le32(offset),
  selector & 0xff,
  selector >> 8,
];
const callFar = (selector: number, offset = 0): readonly number[] => [0x9a, ...farPointer(selector, offset)];
const jumpFar = (selector: number, offset = 0): readonly number[] => [0xea, ...farPointer(selector, offset)];

describe('limits and types', () => {
  type Row = readonly [
    name: string,
    segment: SegmentDescription,
    offset: number,
    access: 'byte' | 'read' | 'write',
    vector: number | undefined,
  ];
  const rows: readonly Row[] = [
    ['the last byte', { type: DATA, limit: 0xfff }, 0xfff, 'byte', undefined],
    ['beyond the limit', { type: DATA, limit: 0xfff }, 0x1000, 'byte', 13],
    ['across the limit', { type: DATA, limit: 0xfff }, 0xffd, 'read', 13],
    ['up to the limit', { type: DATA, limit: 0xfff }, 0xffc, 'read', undefined],
    ['a write beyond', { type: DATA, limit: 0xfff }, 0x1000, 'write', 13],
    ['a write to a read-only segment', { type: READ_ONLY, limit: 0xfff }, 0x10, 'write', 13],
    ['a read of one', { type: READ_ONLY, limit: 0xfff }, 0x10, 'read', undefined],
    ['a limit in pages', { type: DATA, limit: 0, pages: true }, 0xfff, 'byte', undefined],
    ['beyond a limit in pages', { type: DATA, limit: 0, pages: true }, 0x1000, 'byte', 13],
    ['expand-down, at the limit', { type: EXPAND_DOWN, limit: 0xfff }, 0xfff, 'byte', 13],
    ['expand-down, above', { type: EXPAND_DOWN, limit: 0xfff }, 0x1000, 'read', undefined],
    ['expand-down, across', { type: EXPAND_DOWN, limit: 0xfff }, 0xffe, 'read', 13],
    ['expand-down, a write above', { type: EXPAND_DOWN, limit: 0xfff }, 0x1000, 'write', undefined],
    ['16-bit expand-down, above', { type: EXPAND_DOWN, limit: 0xfff, big: false }, 0x1_0000, 'byte', 13],
    ['16-bit expand-down, to 64 KiB', { type: EXPAND_DOWN, limit: 0xfff, big: false }, 0xfffc, 'read', undefined],
    ['16-bit expand-down, across', { type: EXPAND_DOWN, limit: 0xfff, big: false }, 0xfffe, 'read', 13],
    ['readable code', { type: CODE, limit: 0xfff }, 0x10, 'read', undefined],
    ['a write to code', { type: CODE, limit: 0xfff }, 0x10, 'write', 13],
    ['round the end of 4 GiB', { type: DATA, limit: 0xf_ffff, pages: true }, 0xffff_fffe, 'read', 13],
  ];
  const CODES = {
    byte: [0x8a, 0x03], // mov al, [ebx]
    read: [0x8b, 0x03], // mov eax, [ebx]
    write: [0x89, 0x03], // mov [ebx], eax
  };
  const PREFIX = { FS: [0x64], DS: [] } as const;

  function run(register: number, prefix: readonly number[], [, segment, offset, access]: Row): X64LegacyMachine {
    const machine = new X64LegacyMachine();
    machine.describe(FREE, { base: AT.DATA, ...segment });
    machine.cpu.state.setGpr(GPR.BX, BigInt(offset));
    machine.cpu.state.setGpr(GPR.CX, BigInt(FREE));
    machine.run(0x8e, 0xc1 | (register << 3), ...prefix, ...CODES[access], HLT); // mov register, ecx
    return machine;
  }

  // round the end of 4 GiB, the flat DS has no limit that is looked at
  test.each(rows.slice(0, -1))('through DS: %s', (...row) => {
    const machine = run(SEGMENT.DS, PREFIX.DS, row);
    expect(vectorOf(machine)).toBe(row[4]);
    if (row[4] !== undefined) expect(machine.words(2)).toEqual([0, AT.CODE + 2]);
  });

  test.each(rows)('through FS: %s', (...row) => {
    expect(vectorOf(run(SEGMENT.FS, PREFIX.FS, row))).toBe(row[4]);
  });

  test('a segment of code that cannot be read is not loaded: #GP(selector)', () => {
    const machine = run(SEGMENT.DS, PREFIX.DS, ['', { type: EXECUTE_ONLY, limit: 0xfff }, 0, 'read', 13]);
    expect(vectorOf(machine)).toBe(13);
    expect(machine.words(2)).toEqual([FREE, AT.CODE]);
  });

  test('a null segment is #GP(0) when used', () => {
    const machine = new X64LegacyMachine();
    expect(machine.run(0x31, 0xc0, 0x8e, 0xd8, 0xa1, ...le32(AT.DATA), HLT)).toBe(13); // mov ds, 0; mov eax, [DATA]
    expect(machine.words(2)).toEqual([0, AT.CODE + 4]);
  });

  test.each<[name: string, segment: SegmentDescription, stackPointer: number, vector: number | undefined]>([
    ['within', { type: DATA, limit: 0xfff }, 0x1000, undefined],
    ['beyond the limit', { type: DATA, limit: 0xfff }, 0x1004, 12],
    ['below 0', { type: DATA, limit: 0xfff }, 0, 12],
    ['expand-down, below', { type: EXPAND_DOWN, limit: 0xfff }, 0x1000, 12],
    ['expand-down, above', { type: EXPAND_DOWN, limit: 0xfff }, 0x1100, undefined],
  ])('a push on a stack: %s', (_name, segment, stackPointer, vector) => {
    const machine = new X64LegacyMachine();
    // #SS has a task of its own: the stack is of no use
    giveTask(machine, FREE + 8, 12);
    machine.describe(FREE, { base: AT.DATA, ...segment });
    machine.cpu.state.setGpr(GPR.BX, BigInt(stackPointer));
    machine.cpu.state.setGpr(GPR.CX, BigInt(FREE));
    machine.run(0x8e, 0xd1, 0x89, 0xdc, 0x50, HLT); // mov ss, ecx; mov esp, ebx; push eax
    expect(vectorOf(machine)).toBe(vector);
    if (vector !== undefined) expect(machine.words(1)).toEqual([0]);
  });

  /** Of vmaskmovps xmm0, xmm1, [ebx]; vmaskmovps [ebx], xmm1, xmm0; vpgatherdd xmm0, [ebx + xmm2], xmm1, all indices 0. */
  const [MASKED_LOAD, MASKED_STORE, GATHER] = [
    [0xc4, 0xe2, 0x71, 0x2c, 0x03],
    [0xc4, 0xe2, 0x71, 0x2e, 0x03],
    [0xc4, 0xe2, 0x71, 0x90, 0x04, 0x13],
  ];
  const ELEMENT = { first: 0x8000_0000n, second: 0x8000_0000n << 32n };
  test.each<[name: string, code: readonly number[], mask: bigint, offset: number, vector: number | undefined]>([
    ['a masked load of what is within', MASKED_LOAD, ELEMENT.first, 0xffc, undefined],
    ['a masked load beyond', MASKED_LOAD, ELEMENT.second, 0xffc, 13],
    ['a masked store of what is within', MASKED_STORE, ELEMENT.first, 0xffc, undefined],
    ['a masked store beyond', MASKED_STORE, ELEMENT.second, 0xffc, 13],
    ['a masked move of nothing', MASKED_STORE, 0n, 0x1000, undefined],
    ['a gather of what is within', GATHER, ELEMENT.first, 0xffc, undefined],
    ['a gather beyond', GATHER, ELEMENT.second, 0xffd, 13],
  ])('vectors: %s', (_name, code, mask, offset, vector) => {
    for (const [prefix, register] of [
      [PREFIX.DS, SEGMENT.DS],
      [PREFIX.FS, SEGMENT.FS],
    ] as const) {
      const machine = new X64LegacyMachine();
      const { state, registers } = machine.cpu;
      machine.describe(FREE, { type: DATA, base: AT.DATA, limit: 0xfff });
      Object.assign(registers, { cr4: CR4.OSXSAVE | CR4.OSFXSR, xcr0: 7 });
      machine.cpu.contextChanged();
      state.setGpr(GPR.BX, BigInt(offset));
      state.setGpr(GPR.CX, BigInt(FREE));
      const { view, base } = machine.cpu.engine;
      view.setBigUint64(base + X64_STATE.xmm[1]!.offset, mask, true);
      expect(machine.run(0x8e, 0xc1 | (register << 3), ...prefix, ...code, HLT)).toBe(vector);
    }
  });

  test('string instructions have limits, too', () => {
    const machine = new X64LegacyMachine();
    machine.describe(FREE, { type: DATA, base: AT.DATA, limit: 0xff });
    const { state } = machine.cpu;
    state.setGpr(GPR.AX, BigInt(FREE));
    state.setGpr(GPR.DI, 0xf0n);
    state.setGpr(GPR.CX, 0x20n);
    expect(machine.run(0x8e, 0xc0, 0xf3, 0xaa, HLT)).toBe(13); // mov es, eax; rep stosb
    expect([state.gpr(GPR.CX), state.gpr(GPR.DI)]).toEqual([0x10n, 0x100n]);
  });

  test('code ends at its limit', () => {
    const machine = new X64LegacyMachine();
    machine.describe(FREE, { type: CODE, base: TARGET, limit: 2 });
    machine.write(TARGET, 0x90, 0x90, 0x90, HLT);
    expect(machine.run(...jumpFar(FREE))).toBe(13);
    expect(machine.words(3)).toEqual([0, 3, FREE]);
  });

  test('real mode has 64 KiB: a word at the end is #GP without an error code, and IP wraps', () => {
    const machine = new X64LegacyMachine();
    const { cpu } = machine;
    cpu.registers.cr0 &= ~CR0.PE;
    cpu.registers.idtr = { base: 0x6_0000n, limit: 0x3ff };
    machine.write64(0x6_0000 + 13 * 4, 0x0800_0000n); // 0800:0000
    machine.write(0x8000, HLT);
    for (const n of [SEGMENT.ES, SEGMENT.SS, SEGMENT.DS, SEGMENT.CS]) {
      const base = n === SEGMENT.CS ? BigInt(AT.CODE) : 0n;
      cpu.state.setSegment(n, { selector: Number(base >> 4n), base, limit: 0xffff, attributes: 0x9300 });
    }
    cpu.state.setGpr(GPR.SP, 0x7000n);
    cpu.translationChanged();
    // at 1000:fffe: mov ax, [0xffff] after a jump backward over 0
    machine.write(AT.CODE + 0xfff0, 0xa1, 0xff, 0xff);
    machine.run(0xeb, 0xee); // jmp -16
    expect(Number(cpu.engine.pc)).toBe(0x8001);
    expect(machine.words(1)[0]! & 0xffff).toBe(0xfff0);
  });
});

/** Vector whose handler halted the machine. */
function vectorOf(machine: X64TestMachine): number | undefined {
  const pc = Number(machine.cpu.engine.pc);
  return pc >= AT.HANDLERS && pc < AT.HANDLERS + 0x1000 ? (pc - AT.HANDLERS) >> 4 : undefined;
}

const TASK_STATE = 0x2_8000;

/** A task at a selector, which starts at an address; with a vector, as its handler. */
function giveTask(machine: X64LegacyMachine, selector: number, vector?: number, start?: number): void {
  machine.describe(selector, { type: 9, system: true, base: TASK_STATE, limit: 0x67 });
  const word = (offset: number, value: number): void => {
    machine.write(TASK_STATE + offset, ...le32(value));
  };
  word(0x20, start ?? AT.HANDLERS + 16 * (vector ?? 0));
  word(0x24, 2);
  word(0x38, AT.IST_STACK);
  for (const offset of [0x48, 0x50, 0x54, 0x58, 0x5c]) word(offset, FLAT.DATA);
  word(0x4c, FLAT.CODE);
  if (vector !== undefined) machine.setLegacyGate(vector, TASK_GATE, selector);
}

describe('call gates of 32 bits', () => {
  test('to the same level push CS and EIP', () => {
    const machine = new X64LegacyMachine();
    machine.setDescriptor(FREE, gateDescriptor(CALL_GATE, FLAT.CODE, TARGET));
    machine.write(TARGET, HLT);
    machine.run(...callFar(FREE, 0x1234));
    expect(Number(machine.cpu.engine.pc)).toBe(TARGET + 1);
    expect(machine.words(2)).toEqual([AT.CODE + 7, FLAT.CODE]);
  });

  test('of 16 bits push words, and cut the offset', () => {
    const machine = new X64LegacyMachine();
    machine.setDescriptor(FREE, gateDescriptor(CALL_GATE_16, FLAT.CODE, 0x12_9000));
    machine.write(0x9000, HLT);
    machine.run(...callFar(FREE));
    expect(Number(machine.cpu.engine.pc)).toBe(0x9001);
    expect(machine.words(1)).toEqual([(FLAT.CODE << 16) | ((AT.CODE + 7) & 0xffff)]);
  });

  test('to an inner level switch stacks and copy parameters; RET goes back and releases them', () => {
    const machine = new X64LegacyMachine();
    machine.setDescriptor(FREE, gateDescriptor(CALL_GATE, FLAT.CODE, TARGET, { dpl: 3, parameters: 2 }));
    machine.write(TARGET, 0xca, 8, 0); // retf 8
    machine.enterUser();
    machine.cpu.state.setGpr(GPR.AX, 0x1111n);
    machine.cpu.state.setGpr(GPR.DX, 0x2222n);
    // push eax; push edx; call; mov ecx, esp; ud2
    machine.run(0x50, 0x52, ...callFar(FREE | 3), 0x89, 0xe1, 0x0f, 0x0b);
    expect(vectorOf(machine)).toBe(6);
    expect(machine.words(5).slice(3)).toEqual([AT.USER_STACK, FLAT.USER_DATA]);
    expect(machine.cpu.state.gpr(GPR.CX)).toBe(BigInt(AT.USER_STACK));
    // what the gate had pushed is still below
    const frame = [AT.CODE + 9, FLAT.USER_CODE, 0x2222, 0x1111, AT.USER_STACK - 8, FLAT.USER_DATA];
    const at = AT.STACK - 24;
    // the frame of #UD lies over its upper part
    expect(Number(machine.read64(at) & 0xffff_ffffn)).toBe(frame[0]);
  });

  test('to an inner level leave SS, ESP, parameters, CS and EIP on its stack', () => {
    const machine = new X64LegacyMachine();
    machine.setDescriptor(FREE, gateDescriptor(CALL_GATE, FLAT.CODE, TARGET, { dpl: 3, parameters: 2 }));
    machine.write(TARGET, HLT);
    machine.enterUser();
    machine.cpu.state.setGpr(GPR.AX, 0x1111n);
    machine.cpu.state.setGpr(GPR.DX, 0x2222n);
    machine.run(0x50, 0x52, ...callFar(FREE | 3));
    expect(machine.cpu.cpl).toBe(0);
    expect(machine.words(6)).toEqual([AT.CODE + 9, FLAT.USER_CODE, 0x2222, 0x1111, AT.USER_STACK - 8, FLAT.USER_DATA]);
  });

  test('to conforming code keep the level', () => {
    const machine = new X64LegacyMachine();
    machine.describe(FREE + 8, { type: CONFORMING });
    machine.setDescriptor(FREE, gateDescriptor(CALL_GATE, FREE + 8, TARGET, { dpl: 3 }));
    machine.write(TARGET, 0x0f, 0x0b);
    machine.enterUser();
    expect(machine.run(...callFar(FREE | 3))).toBe(6);
    expect(machine.words(2)).toEqual([TARGET, (FREE + 8) | 3]);
  });

  type FaultRow = readonly [
    name: string,
    prepare: (machine: X64LegacyMachine) => void,
    code: readonly number[],
    vector: number,
    errorCode: number,
  ];
  const gate = (target: number, options = {}) => gateDescriptor(CALL_GATE, target, TARGET, { dpl: 3, ...options });
  const faults: readonly FaultRow[] = [
    ['a gate of level 0', m => m.setDescriptor(FREE, gate(FLAT.CODE, { dpl: 0 })), callFar(FREE | 3), 13, FREE],
    [
      'a gate that is not present',
      m => m.setDescriptor(FREE, gate(FLAT.CODE, { present: false })),
      callFar(FREE),
      11,
      FREE,
    ],
    ['a gate to null', m => m.setDescriptor(FREE, gate(0)), callFar(FREE), 13, 0],
    ['a gate to data', m => m.setDescriptor(FREE, gate(FLAT.DATA)), callFar(FREE), 13, FLAT.DATA],
    ['a gate beyond the table', m => m.setDescriptor(FREE, gate(0x400)), callFar(FREE), 13, 0x400],
    [
      'a gate to code that is not present',
      m => {
        m.describe(FREE + 8, { type: CODE, present: false });
        m.setDescriptor(FREE, gate(FREE + 8));
      },
      callFar(FREE),
      11,
      FREE + 8,
    ],
    ['a jump to an inner level', m => m.setDescriptor(FREE, gate(FLAT.CODE)), jumpFar(FREE), 13, FLAT.CODE],
    [
      'an interrupt gate',
      m => m.setDescriptor(FREE, gateDescriptor(14, FLAT.CODE, TARGET, { dpl: 3 })),
      callFar(FREE),
      13,
      FREE,
    ],
    [
      'a stack that is no data, in the task',
      m => {
        m.describe(FREE + 8, { type: CODE, dpl: 1 });
        m.setDescriptor(FREE, gate(FREE + 8));
        m.write64(AT.TSS + 0xc, BigInt(AT.STACK) | (BigInt(FLAT.CODE | 1) << 32n));
      },
      callFar(FREE),
      10,
      FLAT.CODE,
    ],
    [
      'a stack that is not present',
      m => {
        m.describe(FREE + 8, { type: CODE, dpl: 1 });
        m.describe(FREE + 16, { type: DATA, dpl: 1, present: false });
        m.setDescriptor(FREE, gate(FREE + 8));
        m.write64(AT.TSS + 0xc, BigInt(AT.STACK) | (BigInt((FREE + 16) | 1) << 32n));
      },
      callFar(FREE),
      12,
      FREE + 16,
    ],
    [
      'a stack that is too small',
      m => {
        m.describe(FREE + 8, { type: CODE, dpl: 1 });
        m.describe(FREE + 16, { type: DATA, dpl: 1, limit: 15 });
        m.setDescriptor(FREE, gate(FREE + 8, { parameters: 1 }));
        m.write64(AT.TSS + 0xc, 16n | (BigInt((FREE + 16) | 1) << 32n));
      },
      callFar(FREE),
      12,
      FREE + 16,
    ],
  ];
  test.each(faults)('fault by %s', (_name, prepare, code, vector, errorCode) => {
    const machine = new X64LegacyMachine();
    prepare(machine);
    machine.enterUser();
    expect(machine.run(...code)).toBe(vector);
    expect(machine.words(2)).toEqual([errorCode, AT.CODE]);
  });
});

describe('call gates of 64 bits', () => {
  /** Two entries of the GDT from selector 0x38 on. */
  function withGate(selector: number, { dpl = 3, type = CALL_GATE, upper = 0n } = {}): X64TestMachine {
    const machine = new X64TestMachine();
    machine.cpu.registers.gdtr = { base: BigInt(AT.GDT), limit: 0x47 };
    machine.write64(AT.GDT + 0x38, gateDescriptor(type, selector, TARGET, { dpl }));
    machine.write64(AT.GDT + 0x40, upper);
    machine.write(TARGET, 0x0f, 0x0b);
    machine.write(AT.DATA, ...farPointer(0x3b));
    return machine;
  }
  const CALL_INDIRECT = [0xff, 0x1c, 0x25, ...le32(AT.DATA)]; // call far dword [DATA]

  test('from a user switch to RSP0 with a null SS, and RET comes back', () => {
    const machine = withGate(SELECTOR.CODE);
    machine.enterUser();
    expect(machine.run(...CALL_INDIRECT)).toBe(6);
    const [rip, cs, , rsp, ss] = machine.frame(5);
    expect([rip, cs, rsp, ss]).toEqual([BigInt(TARGET), BigInt(SELECTOR.CODE), BigInt(AT.STACK - 32), 0n]);
    const pushed = [0, 1, 2, 3].map(i => Number(machine.read64(AT.STACK - 32 + 8 * i)));
    expect(pushed).toEqual([AT.CODE + 7, SELECTOR.USER_CODE, AT.USER_STACK, SELECTOR.USER_DATA]);
    const returning = withGate(SELECTOR.CODE);
    returning.write(TARGET, 0x48, 0xcb); // retfq
    returning.enterUser();
    expect(returning.run(...CALL_INDIRECT, 0x0f, 0x0b)).toBe(6);
    expect(returning.frame(4).slice(1)).toEqual([BigInt(SELECTOR.USER_CODE), expect.anything(), BigInt(AT.USER_STACK)]);
  });

  test.each([
    ['a type in the second half', withGate(SELECTOR.CODE, { upper: 1n << 40n }), 0x38n],
    ['code of 32 bits', withGate(0x20), 0x20n],
    ['a gate of 16 bits', withGate(SELECTOR.CODE, { type: CALL_GATE_16 }), 0x38n],
    ['a task gate', withGate(SELECTOR.CODE, { type: TASK_GATE }), 0x38n],
    ['a gate of level 0', withGate(SELECTOR.CODE, { dpl: 0 }), 0x38n],
  ])('fault by %s', (_name, machine, errorCode) => {
    machine.enterUser();
    expect(machine.run(...CALL_INDIRECT)).toBe(13);
    expect(machine.frame(2)).toEqual([errorCode, BigInt(AT.CODE)]);
  });
});

describe('tasks', () => {
  test('CALL nests, and IRET goes back behind it', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, undefined, TARGET);
    machine.cpu.state.setGpr(GPR.BX, 0x1234n);
    machine.write(TARGET, 0xbb, ...le32(0x77), 0xcf); // mov ebx, 0x77; iret
    machine.run(...callFar(FREE), HLT);
    const { state, registers } = machine.cpu;
    expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + 8);
    expect(state.gpr(GPR.BX)).toBe(0x1234n);
    expect(state.selector(SEGMENT.TR)).toBe(FLAT.TASK);
    expect(state.systemFlags & 0x4000).toBe(0);
    expect(registers.cr0 & CR0.TS).toBe(CR0.TS);
    // the task that was left by IRET keeps what it had, and is available
    expect(Number(machine.read64(TASK_STATE + 0x34) & 0xffff_ffffn)).toBe(0x77);
    expect((machine.read64(AT.GDT + FREE) >> 40n) & 0xfn).toBe(9n);
    expect(Number(machine.read64(TASK_STATE) & 0xffffn)).toBe(FLAT.TASK);
  });

  test('JMP leaves the old task available and the new one busy', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, undefined, TARGET);
    machine.write(TARGET, HLT);
    machine.run(...jumpFar(FREE));
    expect(Number(machine.cpu.engine.pc)).toBe(TARGET + 1);
    expect([FLAT.TASK, FREE].map(selector => (machine.read64(AT.GDT + selector) >> 40n) & 0xfn)).toEqual([9n, 0xbn]);
    expect(machine.cpu.state.systemFlags & 0x4000).toBe(0);
    expect(Number(machine.read64(AT.TSS + 0x20) & 0xffff_ffffn)).toBe(AT.CODE + 7);
  });

  test('the T flag is #DB in front of the first instruction', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, undefined, TARGET);
    machine.write(TASK_STATE + 0x64, 1);
    machine.write(TARGET, HLT);
    expect(machine.run(...jumpFar(FREE))).toBe(1);
    expect(machine.words(1)).toEqual([TARGET]);
    expect(machine.cpu.registers.dr6 & 0xe00f).toBe(0x8000);
  });

  test('the T flag of the task of an exception, too', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, 6);
    machine.write(TASK_STATE + 0x64, 1);
    expect(machine.run(0x0f, 0x0b)).toBe(1);
    expect(machine.words(1)).toEqual([AT.HANDLERS + 16 * 6]);
  });

  test('a task gate takes an exception, with its error code on the stack of the task', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, 13);
    // mov ds, [0x400]: beyond the table
    expect(machine.run(0xb8, ...le32(0x400), 0x8e, 0xd8)).toBe(13);
    expect(machine.words(1)).toEqual([0x400]);
    expect(machine.cpu.state.systemFlags & 0x4000).toBe(0x4000);
    expect(Number(machine.read64(AT.TSS + 0x20) & 0xffff_ffffn)).toBe(AT.CODE + 5);
  });

  test('Linux takes a double fault so: the stack of the kernel is of no use then', () => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, 8);
    machine.describe(FREE + 8, { type: DATA, limit: 0xfff });
    machine.cpu.state.setGpr(GPR.CX, BigInt(FREE + 8));
    // mov ss, ecx; mov esp, 4; push eax; push eax: #SS cannot be delivered
    expect(machine.run(0x8e, 0xd1, 0xbc, ...le32(4), 0x50, 0x50)).toBe(8);
    expect(machine.words(1)).toEqual([0]);
  });

  test.each<[name: string, prepare: (machine: X64LegacyMachine) => void, vector: number, errorCode: number]>([
    ['a busy one', m => m.describe(FREE, { type: 0xb, system: true, base: TASK_STATE, limit: 0x67 }), 13, FREE],
    [
      'one that is not present',
      m => m.describe(FREE, { type: 9, system: true, limit: 0x67, present: false }),
      11,
      FREE,
    ],
    [
      'one that is too short',
      m => m.describe(FREE, { type: 9, system: true, base: TASK_STATE, limit: 0x66 }),
      10,
      FREE,
    ],
    ['a code segment that is data', m => m.write(TASK_STATE + 0x4c, FLAT.DATA), 10, FLAT.DATA],
    ['a stack that is code', m => m.write(TASK_STATE + 0x50, FLAT.CODE), 10, FLAT.CODE],
    ['an LDT that is none', m => m.write(TASK_STATE + 0x60, FLAT.DATA), 10, FLAT.DATA],
  ])('fault by %s', (_name, prepare, vector, errorCode) => {
    const machine = new X64LegacyMachine();
    giveTask(machine, FREE, undefined, TARGET);
    prepare(machine);
    // a stack for the handler, whatever the task has
    giveHandlerStack(machine, vector);
    expect(machine.run(...callFar(FREE))).toBe(vector);
    expect(machine.words(1)).toEqual([errorCode]);
  });
});

/** Makes the handler of a vector a task of its own. */
function giveHandlerStack(machine: X64LegacyMachine, vector: number): void {
  const selector = FREE + 0x40;
  const at = 0x2_9000;
  machine.describe(selector, { type: 9, system: true, base: at, limit: 0x67 });
  const word = (offset: number, value: number): void => {
    machine.write(at + offset, ...le32(value));
  };
  word(0x20, AT.HANDLERS + 16 * vector);
  word(0x24, 2);
  word(0x38, AT.IST_STACK);
  for (const offset of [0x48, 0x50, 0x54, 0x58, 0x5c]) word(offset, FLAT.DATA);
  word(0x4c, FLAT.CODE);
  machine.setLegacyGate(vector, TASK_GATE, selector);
}

describe('LAR, LSL, VERR, VERW', () => {
  const LAR = [0x0f, 0x02, 0xc1]; // lar eax, ecx
  const LSL = [0x0f, 0x03, 0xc1];
  const VERR = [0x0f, 0x00, 0xe1];
  const VERW = [0x0f, 0x00, 0xe9];
  const SET_RESULT = [0x0f, 0x94, 0xc2, HLT]; // setz dl

  type Row = readonly [
    name: string,
    descriptor: bigint,
    /** Result, or undefined where ZF is clear. */
    lar: number | undefined,
    lsl: number | undefined,
    verr: boolean,
    verw: boolean,
  ];
  const rows: readonly Row[] = [
    ['data', segmentDescriptor({ type: DATA, limit: 0x123 }), 0x0040_9300, 0x123, true, true],
    ['read-only data', segmentDescriptor({ type: READ_ONLY, limit: 0x123 }), 0x0040_9100, 0x123, true, false],
    ['pages', segmentDescriptor({ type: DATA, limit: 1, pages: true }), 0x00c0_9300, 0x1fff, true, true],
    ['code', segmentDescriptor({ type: CODE, limit: 0x123 }), 0x0040_9b00, 0x123, true, false],
    ['code to execute only', segmentDescriptor({ type: EXECUTE_ONLY, limit: 0x123 }), 0x0040_9900, 0x123, false, false],
    ['not present', segmentDescriptor({ type: DATA, limit: 0x123, present: false }), 0x0040_1300, 0x123, true, true],
    ['a task', segmentDescriptor({ type: 9, system: true, limit: 0x67 }), 0x8900, 0x67, false, false],
    ['a 16-bit task', segmentDescriptor({ type: 1, system: true, limit: 0x2b }), 0x8100, 0x2b, false, false],
    ['an LDT', segmentDescriptor({ type: 2, system: true, limit: 7 }), 0x8200, 7, false, false],
    ['a call gate', gateDescriptor(CALL_GATE, FLAT.CODE, 0), 0x8c00, undefined, false, false],
    ['a task gate', gateDescriptor(TASK_GATE, FLAT.CODE, 0), 0x8500, undefined, false, false],
    ['an interrupt gate', gateDescriptor(14, FLAT.CODE, 0), undefined, undefined, false, false],
    ['nothing', 0n, undefined, undefined, false, false],
  ];

  function query(code: readonly number[], descriptor: bigint, user = false) {
    const machine = new X64LegacyMachine();
    machine.setDescriptor(FREE, descriptor);
    machine.cpu.state.setGpr(GPR.CX, BigInt(FREE));
    if (user) machine.enterUser();
    machine.run(...code, ...(user ? [...SET_RESULT.slice(0, 3), 0x0f, 0x0b] : SET_RESULT));
    const { state } = machine.cpu;
    return { accessible: (state.gpr(GPR.DX) & 0xffn) === 1n, value: Number(state.gpr(GPR.AX)) };
  }

  test.each(rows)('of %s', (_name, descriptor, lar, lsl, verr, verw) => {
    for (const [code, expected] of [
      [LAR, lar],
      [LSL, lsl],
    ] as const) {
      const { accessible, value } = query(code, descriptor);
      // LAR leaves bits 19:16 open
      expect(accessible ? value & ~(code === LAR ? 0xf_0000 : 0) : undefined).toBe(expected);
    }
    expect([query(VERR, descriptor).accessible, query(VERW, descriptor).accessible]).toEqual([verr, verw]);
  });

  test('a user sees conforming code of level 0, and no data of it', () => {
    expect(query(VERR, segmentDescriptor({ type: CONFORMING }), true).accessible).toBe(true);
    expect(query(VERR, segmentDescriptor({ type: DATA }), true).accessible).toBe(false);
    expect(query(LAR, segmentDescriptor({ type: DATA }), true).accessible).toBe(false);
  });

  test.each([
    ['a 16-bit task', 1],
    ['a task gate', 5],
    ['a 16-bit call gate', 4],
  ])('in long mode there is no %s', (_name, type) => {
    const machine = new X64TestMachine();
    machine.cpu.registers.gdtr = { base: BigInt(AT.GDT), limit: 0x47 };
    machine.write64(AT.GDT + 0x38, segmentDescriptor({ type, system: true, limit: 0x67 }));
    machine.cpu.state.setGpr(GPR.CX, 0x38n);
    machine.run(...LAR, ...SET_RESULT);
    expect(machine.cpu.state.gpr(GPR.DX) & 0xffn).toBe(0n);
  });
});
