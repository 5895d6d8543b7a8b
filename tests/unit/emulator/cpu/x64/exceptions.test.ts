import { describe, expect, test } from 'vitest';
import { GPR } from '../../../../../emulator/cpu/x64/state.ts';
import { CR0, CR4, EFER } from '../../../../../emulator/cpu/x64/system/control-bits.ts';
import { AT, PAGE_BITS, SELECTOR, X64TestMachine } from '../../../../support/x64-machine.ts';

const HLT = 0xf4;
const UD2 = [0x0f, 0x0b];
/** mov rax, [DATA] and mov [DATA], rax */
const LOAD = [0x48, 0x8b, 0x04, 0x25, 0, 0, 2, 0];
const STORE = [0x48, 0x89, 0x04, 0x25, 0, 0, 2, 0];
const { P, W, U, NX } = PAGE_BITS;
const DATA_PAGE = BigInt(AT.DATA);

describe('exceptions in 64-bit mode', () => {
  test('a fault pushes SS, RSP, RFLAGS with RF, CS, and the address of the instruction', () => {
    const machine = new X64TestMachine();
    expect(machine.run(0x90, ...UD2)).toBe(6);
    const [rip, cs, rflags, rsp, ss] = machine.frame(5);
    expect([rip, cs, rsp, ss]).toEqual([
      BigInt(AT.CODE + 1),
      BigInt(SELECTOR.CODE),
      BigInt(AT.STACK),
      BigInt(SELECTOR.DATA),
    ]);
    expect(rflags! & 0x1_0002n).toBe(0x1_0002n);
  });

  test('division by zero leaves the registers', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.AX, 7n);
    expect(machine.run(0x48, 0xf7, 0xf1)).toBe(0);
    expect(machine.cpu.state.gpr(GPR.AX)).toBe(7n);
  });

  test('INT3 returns behind itself', () => {
    const machine = new X64TestMachine();
    expect(machine.run(0xcc)).toBe(3);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 1)]);
  });

  test('an address that is not canonical raises #GP(0)', () => {
    const machine = new X64TestMachine();
    machine.cpu.state.setGpr(GPR.BX, 1n << 62n);
    expect(machine.run(0x48, 0x8b, 0x03)).toBe(13);
    expect(machine.frame(2)).toEqual([0n, BigInt(AT.CODE)]);
  });

  test.each<[name: string, code: readonly number[], vector: number]>([
    ['[rbp]', [0x48, 0x8b, 0x45, 0x08], 12], // mov rax, [rbp+8]
    ['[rsp]', [0x48, 0x89, 0xec, 0x48, 0x8b, 0x04, 0x24], 8], // mov rsp, rbp; mov rax, [rsp]: no stack to deliver #SS on
    ['DS:[rbp]', [0x3e, 0x48, 0x8b, 0x45, 0x08], 12], // 64-bit mode ignores the prefix
    ['FS:[rbp]', [0x64, 0x48, 0x8b, 0x45, 0x08], 13],
    ['[rbx+rbp]', [0x48, 0x8b, 0x04, 0x2b], 13], // rbp as the index
    ['LEAVE', [0xc9], 12],
    ['PUSH of [rbx]', [0xff, 0x33], 13],
  ])('not canonical: %s', (_name, code, vector) => {
    const machine = new X64TestMachine();
    machine.setGate(8, { ist: 1 });
    machine.cpu.state.setGpr(GPR.BP, 1n << 62n);
    machine.cpu.state.setGpr(GPR.BX, 1n << 61n);
    expect(machine.run(...code)).toBe(vector);
    expect(machine.frame(1)).toEqual([0n]);
  });

  test('a user may use only gates of DPL 3; the error code names the gate', () => {
    const machine = new X64TestMachine();
    machine.enterUser();
    expect(machine.run(0xcd, 0x80)).toBe(13);
    expect(machine.frame(1)).toEqual([BigInt(0x80 * 8 + 2)]);
    const allowed = new X64TestMachine();
    allowed.setGate(0x80, { dpl: 3 });
    allowed.enterUser();
    expect(allowed.run(0xcd, 0x80)).toBe(0x80);
    const [rip, cs, , rsp, ss] = allowed.frame(5);
    expect([rip, cs, rsp, ss]).toEqual([
      BigInt(AT.CODE + 2),
      BigInt(SELECTOR.USER_CODE),
      BigInt(AT.USER_STACK),
      BigInt(SELECTOR.USER_DATA),
    ]);
    expect(allowed.cpu.cpl).toBe(0);
  });

  test('IST switches the stack without a change of level', () => {
    const machine = new X64TestMachine();
    machine.setGate(6, { ist: 1 });
    machine.run(...UD2);
    expect(machine.cpu.state.gpr(GPR.SP)).toBe(BigInt(AT.IST_STACK - 40));
  });

  test('a gate that is not present makes a double fault; without a gate for that, the machine resets', () => {
    const machine = new X64TestMachine();
    machine.setGate(13, { present: false });
    machine.cpu.state.setGpr(GPR.BX, 1n << 62n);
    expect(machine.run(0x48, 0x8b, 0x03)).toBe(8);
    expect(machine.frame(1)).toEqual([0n]);
    const hopeless = new X64TestMachine();
    hopeless.cpu.registers.idtr = { base: 0n, limit: 0 };
    hopeless.run(...UD2);
    expect([hopeless.tripleFaults, hopeless.cpu.idle]).toEqual([1, 'off']);
  });

  test('IRETQ goes back to the user, and SYSCALL and SYSRET round trip', () => {
    const machine = new X64TestMachine();
    machine.cpu.registers.efer |= EFER.SCE;
    machine.cpu.registers.star = (0x1bn << 48n) | (0x10n << 32n);
    machine.cpu.registers.lstar = BigInt(AT.CODE + 0x100);
    machine.cpu.registers.fmask = 0x200;
    machine.write(AT.CODE + 0x100, 0x48, 0x0f, 0x07);
    machine.enterUser();
    machine.cpu.state.systemFlags = 0x200;
    expect(machine.run(0x0f, 0x05, ...UD2)).toBe(6);
    const [rip, cs, rflags] = machine.frame(3);
    expect([rip, cs]).toEqual([BigInt(AT.CODE + 2), BigInt(SELECTOR.USER_CODE)]);
    expect(rflags! & 0x200n).toBe(0x200n);
    expect(machine.cpu.state.gpr(GPR.CX)).toBe(BigInt(AT.CODE + 2));
  });
});

describe('near targets', () => {
  const NOT_CANONICAL = 1n << 47n;
  const CANONICAL = 0xffff_8000_0000_0000n;
  const branches: readonly (readonly [string, readonly number[]])[] = [
    ['JMP RAX', [0xff, 0xe0]],
    ['JMP [RBX]', [0xff, 0x23]],
    ['CALL RAX', [0xff, 0xd0]],
    ['CALL [RBX]', [0xff, 0x13]],
    ['RET', [0xc3]],
    ['RET 8', [0xc2, 8, 0]],
  ];

  function branchTo(target: bigint, code: readonly number[], levels: 4 | 5 = 4) {
    const machine = new X64TestMachine();
    const { state, registers } = machine.cpu;
    if (levels === 5) {
      machine.write64(AT.USER_STACK, BigInt(AT.PML4) | P | W | U);
      Object.assign(registers, { cr3: AT.USER_STACK, cr4: CR4.PAE | CR4.LA57 });
      machine.cpu.translationChanged();
    }
    const stack = AT.STACK - 64;
    for (const address of [AT.DATA, stack]) machine.write64(address, target);
    state.setGpr(GPR.AX, target);
    state.setGpr(GPR.BX, BigInt(AT.DATA));
    state.setGpr(GPR.SP, BigInt(stack));
    return { machine, stack, vector: machine.run(0x90, ...code) };
  }

  test.each(branches)('%s: one that is not canonical is #GP(0) of the branch, which changes nothing', (_name, code) => {
    const { machine, stack, vector } = branchTo(NOT_CANONICAL, code);
    expect(vector).toBe(13);
    const [error, rip, , , rsp] = machine.frame(5);
    expect([error, rip, rsp]).toEqual([0n, BigInt(AT.CODE + 1), BigInt(stack)]);
  });

  test.each(branches)('%s: a canonical one that is not mapped is #PF there', (_name, code) => {
    const { machine, vector } = branchTo(CANONICAL, code);
    expect([vector, machine.frame(2)[1]]).toEqual([14, CANONICAL]);
  });

  test.each(branches)('%s: with five levels there are more addresses', (_name, code) => {
    const { machine, vector } = branchTo(NOT_CANONICAL, code, 5);
    expect([vector, machine.frame(2)[1]]).toEqual([14, NOT_CANONICAL]);
  });
});

describe('page faults', () => {
  const cases: readonly [
    string,
    { entry: bigint; user?: boolean; code: readonly number[]; error: bigint; cr0?: number; cr4?: number },
  ][] = [
    ['a read of a page that is not there', { entry: 0n, code: LOAD, error: 0n }],
    ['a write to one', { entry: 0n, code: STORE, error: 2n }],
    ['a user read of one', { entry: 0n, code: LOAD, user: true, error: 4n }],
    ['a user read of a supervisor page', { entry: DATA_PAGE | P | W, code: LOAD, user: true, error: 5n }],
    ['a user write to a read-only page', { entry: DATA_PAGE | P | U, code: STORE, user: true, error: 7n }],
    ['a supervisor write to one with CR0.WP', { entry: DATA_PAGE | P, code: STORE, cr0: CR0.WP, error: 3n }],
    ['a reserved bit', { entry: DATA_PAGE | P | W | (1n << 51n), code: LOAD, error: 9n }],
    ['NX without EFER.NXE', { entry: DATA_PAGE | P | W | NX, code: LOAD, error: 9n }],
    ['SMAP and a user page', { entry: DATA_PAGE | P | W | U, code: LOAD, cr4: CR4.SMAP, error: 1n }],
  ];

  test.each(cases)('%s', (_name, { entry, user, code, error, cr0 = 0, cr4 = 0 }) => {
    const machine = new X64TestMachine();
    // system structures are the supervisor's, as SMAP wants them
    for (let page = 0; page < 0x40; page++) {
      const isUser = user === true && (page === AT.CODE >> 12 || page === (AT.USER_STACK >> 12) - 1);
      machine.mapPage(page * 4096, BigInt(page * 4096) | P | W | (isUser ? U : 0n));
    }
    machine.cpu.registers.cr0 |= cr0;
    machine.cpu.registers.cr4 |= cr4;
    machine.mapPage(AT.DATA, entry);
    if (user) machine.enterUser();
    machine.cpu.contextChanged();
    expect(machine.run(...code, HLT)).toBe(14);
    expect(machine.cpu.registers.cr2).toBe(DATA_PAGE);
    expect(machine.frame(2)).toEqual([error, BigInt(AT.CODE)]);
  });

  test('a read sets A, a write D, in the entry', () => {
    const machine = new X64TestMachine();
    machine.run(...LOAD, HLT);
    expect(machine.read64(AT.PT + (AT.DATA >> 12) * 8) & 0x60n).toBe(0x20n);
    const writing = new X64TestMachine();
    writing.run(...STORE, HLT);
    expect(writing.read64(AT.PT + (AT.DATA >> 12) * 8) & 0x60n).toBe(0x60n);
  });

  test('an instruction that crosses into a page that is not there faults with the address of that page', () => {
    const machine = new X64TestMachine();
    machine.mapPage(AT.CODE + 0x1000, 0n);
    machine.write(AT.CODE + 0xffd, ...LOAD.slice(0, 3));
    // jmp to the instruction
    expect(machine.run(0xe9, 0xf8, 0x0f, 0, 0)).toBe(14);
    expect(machine.cpu.registers.cr2).toBe(BigInt(AT.CODE + 0x1000));
    expect(machine.frame(2)).toEqual([0n, BigInt(AT.CODE + 0xffd)]);
  });

  test('REP MOVSB stops at the page that is not there with the count of what is left', () => {
    const machine = new X64TestMachine();
    machine.mapPage(AT.DATA + 0x1000, 0n);
    machine.cpu.state.setGpr(GPR.CX, 0x100n);
    machine.cpu.state.setGpr(GPR.SI, BigInt(AT.CODE));
    machine.cpu.state.setGpr(GPR.DI, BigInt(AT.DATA + 0xfc0));
    expect(machine.run(0xf3, 0xa4, HLT)).toBe(14);
    expect(machine.cpu.state.gpr(GPR.CX)).toBe(0xc0n);
    expect(machine.cpu.state.gpr(GPR.DI)).toBe(BigInt(AT.DATA + 0x1000));
    expect(machine.frame(2)).toEqual([2n, BigInt(AT.CODE)]);
  });
});

describe('interrupts', () => {
  test('one that waits is taken behind the instruction after STI', () => {
    const machine = new X64TestMachine();
    machine.interrupts.push(0x40);
    machine.cpu.setInterrupt(true);
    // sti; nop; jmp to itself
    expect(machine.run(0xfb, 0x90, 0xeb, 0xfe)).toBe(0x40);
    expect(Number(machine.frame(1)[0])).toBeGreaterThanOrEqual(AT.CODE + 2);
  });

  test.each<[name: string, code: readonly number[], returnsTo: number]>([
    ['the instruction behind STI', [0xfb, 0x90, 0xfa, 0xeb, 0xfe], 2],
    ['nothing behind POPF', [0x68, 0, 2, 0, 0, 0x9d, 0xfa, 0xeb, 0xfe], 6],
  ])('a CLI that follows cannot keep off an interrupt that is due: %s runs', (_name, code, returnsTo) => {
    const machine = new X64TestMachine();
    machine.interrupts.push(0x40);
    machine.cpu.setInterrupt(true);
    expect(machine.run(...code)).toBe(0x40);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + returnsTo)]);
  });

  test('a debugger steps over STI at once, with an interrupt due', () => {
    const machine = new X64TestMachine();
    machine.interrupts.push(0x40);
    machine.cpu.setInterrupt(true);
    machine.write(AT.CODE, 0xfb, 0x90, 0x90);
    for (const expected of [1, 2, 3]) {
      machine.engine.step(machine.engine.cpus[0]!);
      expect(Number(machine.cpu.engine.pc)).toBe(AT.CODE + expected);
    }
  });

  test('STI and CLI back to back let none in', () => {
    const machine = new X64TestMachine();
    machine.interrupts.push(0x40);
    machine.cpu.setInterrupt(true);
    // sti; cli; ud2
    expect(machine.run(0xfb, 0xfa, ...UD2)).toBe(6);
    expect(machine.frame(3)[2]! & 0x200n).toBe(0n);
  });

  test('IRET takes the next one at once', () => {
    const machine = new X64TestMachine();
    // the handler of 0x40 is an IRET
    machine.write(AT.HANDLERS + 16 * 0x40, 0x48, 0xcf);
    machine.interrupts.push(0x40, 0x41);
    machine.cpu.setInterrupt(true);
    expect(machine.run(0xfb, 0x90, 0xfa, ...UD2)).toBe(0x41);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 2)]);
  });

  test('HLT with interrupts enabled wakes, and returns behind itself', () => {
    const machine = new X64TestMachine();
    machine.run(0xfb, HLT);
    expect(machine.cpu.idle).toBe('waiting-for-interrupt');
    machine.interrupts.push(0x41);
    machine.cpu.setInterrupt(true);
    machine.engine.runSlice(machine.engine.cpus[0]!, 100);
    expect(Number(machine.cpu.engine.pc)).toBe(AT.HANDLERS + 16 * 0x41 + 1);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 2)]);
  });

  test.each([
    ['one', 1, 1],
    ['two at once: the second waits for the IRET of the first', 2, 2],
    ['more than two', 5, 2],
  ])('NMIs, %s', (_name, sent, taken) => {
    const machine = new X64TestMachine();
    // inc dword [DATA]; iretq
    machine.write(AT.HANDLERS + 16 * 2, 0xff, 0x04, 0x25, 0, 0, 2, 0, 0x48, 0xcf);
    for (let i = 0; i < sent; i++) machine.cpu.nmi();
    machine.run(0x90, 0x90, HLT);
    expect(machine.read64(AT.DATA)).toBe(BigInt(taken));
  });

  test('TF raises #DB behind the instruction', () => {
    const machine = new X64TestMachine();
    // pushfq; or qword [rsp], 0x100; popfq; nop; nop
    expect(machine.run(0x9c, 0x48, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90, HLT)).toBe(1);
    expect(machine.frame(1)).toEqual([BigInt(AT.CODE + 11)]);
    expect(machine.cpu.registers.dr6 & 0x4000).toBe(0x4000);
  });

  test('a start-up IPI begins in real mode at its page', () => {
    const machine = new X64TestMachine();
    machine.cpu.init();
    expect(machine.cpu.idle).toBe('off');
    machine.cpu.startup(0x12);
    // mov ax, cs; hlt
    machine.write(0x1_2000, 0x8c, 0xc8, HLT);
    machine.engine.runSlice(machine.engine.cpus[0]!, 10);
    expect(machine.cpu.state.gpr(GPR.AX) & 0xffffn).toBe(0x1200n);
  });
});

describe('flags across instructions', () => {
  test('a comparison of strings decides the branch behind it, not the comparison before', () => {
    const machine = new X64TestMachine();
    const { state } = machine.cpu;
    machine.write(AT.DATA, 1, 2);
    state.setGpr(GPR.SI, BigInt(AT.DATA));
    state.setGpr(GPR.DI, BigInt(AT.DATA + 1));
    // cmp eax, eax; cmpsb; jne +2; ud2; hlt
    expect(machine.run(0x39, 0xc0, 0xa6, 0x75, 0x02, ...UD2, HLT)).toBeUndefined();
  });

  test.each(Array.from({ length: 64 }, (_, i) => [i] as const))('POPF and PUSHF keep combination %i', i => {
    const machine = new X64TestMachine();
    // CF, PF, AF, ZF, SF, OF
    const flags = [0, 2, 4, 6, 7, 11].reduce((word, bit, n) => word | (((i >> n) & 1) << bit), 2);
    machine.write64(AT.STACK - 8, BigInt(flags));
    machine.cpu.state.setGpr(GPR.SP, BigInt(AT.STACK - 8));
    // popf; pushf; pop rax; inc ecx; dec ecx keeps CF
    machine.run(0x9d, 0x9c, 0x58, 0xff, 0xc1, 0x0f, 0x92, 0xc2, HLT);
    expect(Number(machine.cpu.state.gpr(GPR.AX)) & 0x8d7).toBe(flags);
    expect(machine.cpu.state.gpr(GPR.DX) & 0xffn).toBe(BigInt(flags & 1));
  });
});
