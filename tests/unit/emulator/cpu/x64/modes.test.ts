/** The ways between modes, and what faults on them. Source: Intel SDM vol. 3A "Mode Switching", "Initializing IA-32e Mode". */
import { describe, expect, test } from 'vitest';
import { GPR, SEGMENT } from '../../../../../emulator/cpu/x64/state.ts';
import { CR0, CR4, EFER } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, SELECTOR, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
const START = 0x9000;
const GDT_POINTER = 0x9100;
const RESULT = 0x9180;
const GDT = 0x9200;
/** Null, 32-bit code, 64-bit code, data, 16-bit code and data. */
const DESCRIPTORS = [
  0n,
  0x00cf_9a00_0000_ffffn,
  0x00af_9a00_0000_ffffn,
  0x00cf_9200_0000_ffffn,
  0x0000_9a00_0000_ffffn,
  0x0000_9200_0000_ffffn,
];

/** GNU as: from real mode to long mode and back. */
const ROUND_TRIP = [
  'fa', // cli
  '31c0 8ed8', // xor ax, ax; mov ds, ax
  '660f01160091', // lgdtl [0x9100]
  '0f20c0 6683c801 0f22c0', // cr0 |= PE
  '66ea1d9000000800', // ljmpl 8:prot
  // prot: 32-bit
  '66b81800 8ed8 8ed0', // mov ax, 0x18; mov ds, ax; mov ss, ax
  'b8a0000000 0f22e0', // cr4 = PAE | PGE
  'b800100000 0f22d8', // cr3 = 0x1000
  'b9800000c0 b800010000 31d2 0f30', // EFER = LME
  '0f20c0 0d00000080 0f22c0', // cr0 |= PG
  'ea559000001000', // ljmpl 0x10:long
  // long: 64-bit
  '48bbf0debc9a78563412 4989d9', // mov rbx, 0x123456789abcdef0; mov r9, rbx
  '6a08 686b900000 48cb', // push 8; push compat; lretq
  // compat: 32-bit code in long mode
  '0f20c0 25ffffff7f 0f22c0', // cr0 &= ~PG
  'b9800000c0 31c0 31d2 0f30', // EFER = 0
  'ea889000002000', // ljmpl 0x20:prot16
  // prot16
  'b82800 8ed8 8ed0', // mov ax, 0x28; mov ds, ax; mov ss, ax
  '0f20c0 24fe 0f22c0', // cr0 &= ~PE
  'ea9c900000', // ljmpw 0:real
  '0000', // (the upper half of the offset is not there: two bytes of add [bx+si], al that nobody executes)
];

function bytesOf(...code: readonly string[]): readonly number[] {
  return [...Buffer.from(code.join('').replaceAll(' ', ''), 'hex')];
}

function realModeMachine(): X64TestMachine {
  const machine = new X64TestMachine();
  DESCRIPTORS.forEach((descriptor, i) => machine.write64(GDT + 8 * i, descriptor));
  machine.write64(GDT_POINTER, BigInt(8 * DESCRIPTORS.length - 1) | (BigInt(GDT) << 16n));
  machine.cpu.init();
  machine.cpu.startup(START >> 12);
  return machine;
}

describe('from real mode to long mode and back', () => {
  const machine = realModeMachine();
  // real: xor ax, ax; mov ds, ax; mov word [0x9180], 0x55aa; hlt
  const code = bytesOf(...ROUND_TRIP.slice(0, -1));
  machine.write(START, ...code);
  const jump = START + code.length - 5;
  const real = jump + 5;
  machine.write(jump + 1, real & 0xff, real >> 8, 0, 0);
  machine.write(real, ...bytesOf('31c0 8ed8 c7068091aa55 f4'));
  // the code begins at offset 0 of its segment, but was assembled for 0x9000: it runs at the linear address
  machine.cpu.state.setSegment(SEGMENT.CS, { ...machine.cpu.state.segment(SEGMENT.CS), selector: 0, base: 0n });
  machine.cpu.contextChanged();
  machine.cpu.engine.pc = BigInt(START);
  machine.cpu.state.setGpr(GPR.SP, BigInt(AT.STACK));
  machine.run();

  test('comes back to real mode', () => {
    expect(machine.read64(RESULT) & 0xffffn).toBe(0x55aan);
    expect(machine.cpu.isProtected).toBe(false);
    expect(machine.cpu.registers.efer).toBe(0);
  });

  test('64-bit code ran in between, with 64-bit registers', () => {
    expect(machine.cpu.state.gpr(9)).toBe(0x1234_5678_9abc_def0n);
  });

  test('no exception was raised', () => {
    expect(machine.tripleFaults).toBe(0);
  });
});

describe('MOV to control registers in 64-bit mode', () => {
  const cases: readonly (readonly [string, readonly number[], bigint])[] = [
    ['CR0: PG without PE', [0x0f, 0x22, 0xc0], 0x8000_0000n],
    ['CR0: NW without CD', [0x0f, 0x22, 0xc0], 0xa000_0001n],
    ['CR0: bits above 31', [0x0f, 0x22, 0xc0], 0x1_8000_0001n],
    ['CR0: paging off in 64-bit code', [0x0f, 0x22, 0xc0], 1n],
    ['CR4: PAE off in long mode', [0x0f, 0x22, 0xe0], 0n],
    ['CR4: a bit that does not exist', [0x0f, 0x22, 0xe0], 0x8000_0020n],
    ['CR4: LA57 changes in long mode', [0x0f, 0x22, 0xe0], 0x1020n],
    ['CR3: an address beyond the physical width', [0x0f, 0x22, 0xd8], 1n << 51n],
    ['CR8: more than four bits', [0x44, 0x0f, 0x22, 0xc0], 16n],
  ];
  test.each(cases)('%s is #GP(0)', (_name, code, value) => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.AX, value);
    expect(machine.run(...code)).toBe(13);
    expect(machine.frame(1)).toEqual([0n]);
  });

  test.each([
    ['type 4', 4n, 0n, 0n],
    ['a PCID without CR4.PCIDE', 1n, 1n, 0n],
    ['reserved bits', 2n, 1n << 12n, 0n],
    ['an address that is not canonical', 0n, 0n, 1n << 62n],
  ])('INVPCID of %s is #GP(0)', (_name, type, low, high) => {
    const machine = new X64TestMachine();
    machine.write64(AT.DATA, low);
    machine.write64(AT.DATA + 8, high);
    machine.cpu.state.setGpr(GPR.AX, type);
    expect(machine.run(0x66, 0x0f, 0x38, 0x82, 0x04, 0x25, 0, 0, 2, 0)).toBe(13); // invpcid rax, [DATA]
    expect(machine.frame(1)).toEqual([0n]);
  });

  test.each([
    ['CR1', [0x0f, 0x22, 0xc8]],
    ['CR5', [0x0f, 0x22, 0xe8]],
  ])('%s is #UD', (_name, code) => {
    expect(new X64TestMachine().run(...code)).toBe(6);
  });

  test.each([
    ['EFER: LME changes while paging is on', 0xc000_0080n, 0n, 0n],
    ['LSTAR: not canonical', 0xc000_0082n, 0n, 0x0200_0000n],
    ['FS.base: not canonical', 0xc000_0100n, 0n, 0x0200_0000n],
    ['machine-check status: what is not 0', 0x401n, 1n, 0n],
    ['an MSR that does not exist', 0x1234_5678n, 0n, 0n],
  ])('WRMSR of %s is #GP(0)', (_name, number, low, high) => {
    const machine = new X64TestMachine();
    const { state } = machine.cpu;
    state.setGpr(GPR.CX, number);
    state.setGpr(GPR.AX, low);
    state.setGpr(GPR.DX, high);
    expect(machine.run(0x0f, 0x30)).toBe(13);
  });

  test.each([
    ['Nehalem, which has none, is #GP(0)', 'Nehalem', 13],
    ['Haswell', 'Haswell', undefined],
  ])('turning on the x2APIC of a %s', (_name, model, vector) => {
    const machine = new X64TestMachine(model);
    machine.cpu.state.setGpr(GPR.CX, 0x1bn);
    machine.cpu.state.setGpr(GPR.AX, 0xfee0_0d00n);
    machine.cpu.state.setGpr(GPR.DX, 0n);
    expect(machine.run(0x0f, 0x30, HLT)).toBe(vector);
  });

  test('a user may not', () => {
    const machine = new X64TestMachine();
    machine.enterUser();
    expect(machine.run(0x0f, 0x20, 0xc0)).toBe(13);
  });
});

describe('SYSCALL and SYSRET', () => {
  function syscallMachine(model = 'max'): X64TestMachine {
    const machine = new X64TestMachine(model);
    const { registers } = machine.cpu;
    registers.efer |= EFER.SCE;
    registers.star = (BigInt(0x1b) << 48n) | (BigInt(SELECTOR.CODE) << 32n);
    registers.lstar = BigInt(AT.CODE + 0x100);
    machine.write(AT.CODE + 0x100, HLT);
    return machine;
  }

  test('SYSCALL without EFER.SCE is #UD', () => {
    const machine = new X64TestMachine();
    machine.enterUser();
    expect(machine.run(0x0f, 0x05)).toBe(6);
  });

  test('SYSCALL clears the flags of FMASK, and keeps them in R11', () => {
    const machine = syscallMachine();
    machine.cpu.registers.fmask = 0x400;
    machine.enterUser();
    // std; syscall
    machine.run(0xfd, 0x0f, 0x05);
    expect(machine.cpu.state.gpr(11) & 0x400n).toBe(0x400n);
    expect(machine.cpu.state.eflags & 0x400).toBe(0);
    expect(machine.cpu.state.gpr(GPR.CX)).toBe(BigInt(AT.CODE + 3));
  });

  test.each([
    ['max,vendor=GenuineIntel', BigInt(AT.CODE), BigInt(SELECTOR.CODE)],
    ['max', 1n << 47n, 0x2bn],
  ])('SYSRET of %s to an address that is not canonical is #GP(0): on Intel of itself, else of the user', (...row) => {
    const [model, rip, cs] = row;
    const machine = syscallMachine(model);
    machine.cpu.state.setGpr(GPR.CX, 1n << 47n);
    expect(machine.run(0x48, 0x0f, 0x07)).toBe(13);
    expect(machine.frame(3)).toEqual([0n, rip, cs]);
  });

  const COMPATIBILITY = { selector: 0x10, base: 0n, limit: 0xffff_ffff, attributes: 0x00c0_9b00 };
  const [SYSCALL, SYSRET, SYSENTER, SYSEXIT] = [0x05, 0x07, 0x34, 0x35].map(opcode => [0x0f, opcode]);
  test.each([
    ['SYSCALL in 64-bit mode', SYSCALL, undefined, undefined],
    ['SYSENTER in 64-bit mode', SYSENTER, 6, undefined],
    ['SYSEXIT in 64-bit mode', SYSEXIT, 6, 13],
    ['SYSCALL in compatibility mode', SYSCALL, undefined, 6],
    // it arrives, and a user may not halt
    ['SYSRET in compatibility mode', SYSRET, 13, 6],
    ['SYSENTER in compatibility mode', SYSENTER, 6, undefined],
  ])('%s by vendor', (name, code, amd, intel) => {
    for (const [model, vector] of [
      ['max', amd],
      ['max,vendor=GenuineIntel', intel],
    ] as const) {
      const machine = syscallMachine(model);
      const { state, registers } = machine.cpu;
      Object.assign(registers, { cstar: registers.lstar, sysenterEip: registers.lstar, sysenterCs: SELECTOR.CODE });
      registers.sysenterEsp = BigInt(AT.STACK);
      state.setGpr(GPR.CX, BigInt(AT.CODE + 0x100));
      // SYSEXIT with REX.W would go where it may not: not canonical
      state.setGpr(GPR.DX, 1n << 47n);
      if (name.endsWith('compatibility mode')) state.setSegment(SEGMENT.CS, COMPATIBILITY);
      machine.cpu.contextChanged();
      const bytes = name.startsWith('SYSEXIT') ? [0x48, ...code!] : code!;
      expect([model, machine.run(...bytes)]).toEqual([model, vector]);
    }
  });

  test('SYSRET of a user is #GP(0)', () => {
    const machine = syscallMachine();
    machine.enterUser();
    expect(machine.run(0x48, 0x0f, 0x07)).toBe(13);
  });

  test('SYSRET without REX.W goes to 32-bit code', () => {
    const machine = syscallMachine();
    machine.cpu.state.setGpr(GPR.CX, BigInt(AT.CODE + 0x80));
    machine.cpu.state.setGpr(11, 2n);
    // jmp to itself
    machine.write(AT.CODE + 0x80, 0xeb, 0xfe);
    machine.run(0x0f, 0x07);
    expect(machine.cpu.state.selector(SEGMENT.CS)).toBe(0x1b);
    expect(machine.cpu.is64).toBe(false);
  });
});

describe('IRET in 64-bit mode', () => {
  /** Pushes a frame and returns from it. */
  function iret(machine: X64TestMachine, frame: readonly bigint[]): number | undefined {
    const stack = AT.STACK - 8 * frame.length;
    frame.forEach((word, i) => machine.write64(stack + 8 * i, word));
    machine.cpu.state.setGpr(GPR.SP, BigInt(stack));
    return machine.run(0x48, 0xcf);
  }
  const to = BigInt(AT.CODE + 0x40);
  const cases: readonly (readonly [string, readonly bigint[], number, bigint])[] = [
    ['a null code segment', [to, 0n, 2n, BigInt(AT.STACK), BigInt(SELECTOR.DATA)], 13, 0n],
    ['a data segment as code', [to, BigInt(SELECTOR.DATA), 2n, BigInt(AT.STACK), BigInt(SELECTOR.DATA)], 13, 0x18n],
    ['a selector beyond the table', [to, 0x40n, 2n, BigInt(AT.STACK), BigInt(SELECTOR.DATA)], 13, 0x40n],
    ['a null stack segment for a user', [to, BigInt(SELECTOR.USER_CODE), 2n, BigInt(AT.STACK), 3n], 13, 0n],
    ['a stack segment of the wrong level', [to, BigInt(SELECTOR.USER_CODE), 2n, BigInt(AT.STACK), 0x18n], 13, 0x18n],
    ['an address that is not canonical', [1n << 63n, BigInt(SELECTOR.CODE), 2n, BigInt(AT.STACK), 0x18n], 13, 0n],
  ];
  test.each(cases)('%s', (_name, frame, vector, error) => {
    const machine = new X64TestMachine();
    expect(iret(machine, frame)).toBe(vector);
    expect(machine.frame(2)).toEqual([error, BigInt(AT.CODE)]);
  });

  test('with NT set is #GP(0)', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.systemFlags |= 1 << 14;
    expect(iret(machine, [to, BigInt(SELECTOR.CODE), 2n, BigInt(AT.STACK), 0x18n])).toBe(13);
  });

  test('restores RSP and SS without a change of level', () => {
    const machine = new X64TestMachine();
    machine.write(AT.CODE + 0x40, HLT);
    iret(machine, [to, BigInt(SELECTOR.CODE), 2n, 0x2_8000n, 0x18n]);
    expect(machine.cpu.state.gpr(GPR.SP)).toBe(0x2_8000n);
  });
});

describe('far transfers', () => {
  /** jmp far [rip]: offset and selector behind the instruction. */
  const jump = (offset: number, selector: number): readonly number[] => {
    const pointer = [offset, offset >> 8, offset >> 16, offset >> 24, selector, selector >> 8];
    return [0xff, 0x2d, 0, 0, 0, 0, ...pointer.map(byte => byte & 0xff)];
  };
  test.each([
    ['a null selector', 0, 13, 0n],
    ['a data segment', SELECTOR.DATA, 13, 0x18n],
    ['a segment of another level', SELECTOR.USER_CODE, 13, 0x28n],
    ['a selector beyond the table', 0x50, 13, 0x50n],
    ['a system segment', SELECTOR.TSS, 13, 0x30n],
  ])('JMP to %s faults with its selector', (_name, selector, vector, error) => {
    const machine = new X64TestMachine();
    // a task-state segment that is available
    machine.write64(AT.GDT + SELECTOR.TSS, 0x0000_8900_0000_0067n);
    expect(machine.run(...jump(AT.CODE, selector))).toBe(vector);
    expect(machine.frame(2)).toEqual([error, BigInt(AT.CODE)]);
  });

  test('JMP to a segment that is not present is #NP', () => {
    const machine = new X64TestMachine();
    machine.write64(AT.GDT + SELECTOR.TSS, 0x00af_1a00_0000_ffffn);
    expect(machine.run(...jump(AT.CODE, SELECTOR.TSS))).toBe(11);
    expect(machine.frame(1)).toEqual([0x30n]);
  });

  test('code in compatibility mode has a limit', () => {
    const machine = new X64TestMachine();
    // 32-bit code, limit 0xfff in bytes
    machine.write64(AT.GDT + SELECTOR.TSS, 0x0040_9a00_0000_0fffn);
    expect(machine.run(...jump(AT.CODE, SELECTOR.TSS))).toBe(13);
    expect(machine.frame(2)).toEqual([0n, BigInt(AT.CODE)]);
  });
});

describe('double and triple faults', () => {
  test('a page fault in the delivery of a page fault is #DF with error code 0', () => {
    const machine = new X64TestMachine();
    machine.mapPage(AT.DATA, 0n);
    machine.setGate(8, { ist: 1 });
    machine.cpu.state.setGpr(GPR.SP, BigInt(AT.DATA + 0x800));
    expect(machine.run(0x48, 0x8b, 0x04, 0x25, 0, 0, 2, 0)).toBe(8);
    expect(machine.frame(1)).toEqual([0n]);
    expect(machine.cpu.registers.cr2).toBeLessThan(BigInt(AT.DATA + 0x800));
  });

  test('a page fault in the delivery of an interrupt is a page fault', () => {
    const machine = new X64TestMachine();
    machine.mapPage(AT.DATA, 0n);
    machine.setGate(14, { ist: 1 });
    machine.cpu.state.setGpr(GPR.SP, BigInt(AT.DATA + 0x800));
    expect(machine.run(0xcd, 0x80)).toBe(14);
  });

  test('a #GP in the delivery of #GP is #DF', () => {
    const machine = new X64TestMachine();
    // an interrupt gate to a data segment
    machine.write64(AT.IDT + 16 * 13, 0x0000_8e00_0018_0000n);
    expect(machine.run(0xfb, 0x0f, 0x22, 0xc0, 0xcd, 0x80)).toBe(8);
  });

  test('an empty IDT is a triple fault', () => {
    const machine = new X64TestMachine();
    machine.cpu.registers.idtr = { base: 0n, limit: 0 };
    machine.run(0x0f, 0x0b);
    expect(machine.tripleFaults).toBe(1);
  });
});

describe('control bits', () => {
  test('VEX does not exist in real mode', () => {
    const machine = realModeMachine();
    machine.cpu.registers.cr4 |= CR4.OSXSAVE;
    // andn eax, eax, eax; the vector of #UD is at 6 * 4
    machine.write(START, ...bytesOf('c4e278f2c0 f4'));
    machine.write(6 * 4, 0x00, 0x93, 0, 0);
    machine.write(0x9300, HLT);
    machine.run();
    expect(Number(machine.cpu.engine.pc)).toBe(0x9301);
  });

  const VZEROALL = [0xc5, 0xfc, 0x77];
  test.each<[name: string, cr0: number, cr4: number, xcr0: number, vector: number | undefined]>([
    ['needs neither CR4.OSFXSR nor CR0.EM clear', CR0.EM, CR4.OSXSAVE, 7, undefined],
    ['is #UD without CR4.OSXSAVE', 0, CR4.OSFXSR, 7, 6],
    ['is #UD without the YMM state', 0, CR4.OSXSAVE, 3, 6],
    ['is #NM with CR0.TS', CR0.TS, CR4.OSXSAVE, 7, 7],
  ])('VEX %s', (_name, cr0, cr4, xcr0, vector) => {
    const machine = new X64TestMachine();
    const { registers } = machine.cpu;
    registers.cr0 |= cr0;
    registers.cr4 |= cr4;
    registers.xcr0 = xcr0;
    machine.cpu.contextChanged();
    expect(machine.run(...VZEROALL, HLT)).toBe(vector);
  });

  test('CR0.WP off lets the supervisor write read-only pages', () => {
    const machine = new X64TestMachine();
    machine.cpu.registers.cr0 &= ~CR0.WP;
    machine.mapPage(AT.DATA, BigInt(AT.DATA) | 5n);
    expect(machine.run(0x48, 0x89, 0x04, 0x25, 0, 0, 2, 0, HLT)).toBeUndefined();
  });
});

describe('the time-stamp counter', () => {
  /** loop: rdtsc; mov [rbx], eax; add rbx, 4; dec ecx; jnz loop */
  const LOOP = [0x0f, 0x31, 0x89, 0x03, 0x48, 0x83, 0xc3, 0x04, 0xff, 0xc9, 0x75, 0xf4, HLT];

  test('counts retired instructions, interpreted and compiled alike', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA));
    machine.cpu.state.setGpr(GPR.CX, 300n);
    machine.run(...LOOP);
    const counts = Array.from({ length: 300 }, (_, i) =>
      machine.memory.view.getUint32(machine.memory.ramAddress(AT.DATA) + 4 * i, true),
    );
    expect(counts).toEqual(counts.map((_, i) => counts[0]! + 5 * i));
    expect(counts[0]).toBe(0);
  });

  test('a write of the MSR moves it', () => {
    const machine = new X64TestMachine();
    const { state } = machine.cpu;
    state.setGpr(GPR.CX, 0x10n);
    state.setGpr(GPR.AX, 0x1000n);
    state.setGpr(GPR.DX, 0n);
    // wrmsr; rdtsc
    machine.run(0x0f, 0x30, 0x0f, 0x31, HLT);
    expect(state.gpr(GPR.AX)).toBe(0x1001n);
  });

  test('with CR4.TSD a user gets #GP(0)', () => {
    const machine = new X64TestMachine();
    machine.cpu.registers.cr4 |= CR4.TSD;
    machine.enterUser();
    expect(machine.run(0x0f, 0x31)).toBe(13);
  });

  test('is right behind a helper that asked for attention', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.BX, BigInt(AT.DATA));
    // nop; sti; nop; rdtsc
    machine.run(0x90, 0xfb, 0x90, 0x0f, 0x31, HLT);
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(3n);
  });
});
