/** Searches of a stack that need no frames: text addresses, saved registers. */
import type { Program } from '../program.ts';
import { readRegisters as readAarch64Registers } from './aarch64.ts';
import type { SavedRegisters, StackRange } from './frames.ts';
import { PT_REGS, readRegisters as readX86Registers } from './x86_64.ts';

/** A word of a stack that is an address of kernel text. */
export interface TextReference {
  readonly address: bigint;
  readonly value: bigint;
  readonly symbol: string;
}

/** Words between two stack addresses that lie in kernel or module text. */
export function textAddresses(program: Program, start: bigint, end: bigint): TextReference[] {
  const found: TextReference[] = [];
  for (const [index, value] of words(program, start, end).entries()) {
    const symbol = isText(program, value) ? program.symbols.lookup(value)?.symbol : undefined;
    if (symbol !== undefined) found.push({ address: start + BigInt(8 * index), value, symbol: symbol.name });
  }
  return found;
}

function words(program: Program, start: bigint, end: bigint): BigUint64Array {
  const bytes = program.memory.readAvailable(start, Number(end - start));
  return new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3);
}

/** Tells whether an address is of executable kernel or module text. */
export function isText(program: Program, address: bigint): boolean {
  const { symbols } = program;
  if (address >= symbols.kernelStart && address < symbols.kernelEnd) {
    const end = symbols.findInKernel('_etext') ?? symbols.kernelEnd;
    const [initStart, initEnd] = [symbols.findInKernel('_sinittext'), symbols.findInKernel('_einittext')];
    const isInit = initStart !== undefined && initEnd !== undefined && address >= initStart && address < initEnd;
    return address < end || isInit;
  }
  const letter = symbols.lookup(address)?.symbol.type.toLowerCase();
  return letter === 't' || letter === 'w';
}

/** Everything on a stack that looks like a saved `struct pt_regs`, from the lowest address up. */
export function exceptionFrames(program: Program, stack: StackRange): SavedRegisters[] {
  return program.architecture === 'aarch64' ? aarch64Frames(program, stack) : x86Frames(program, stack);
}

/** PSTATE: mode EL0t or EL1h, no AArch32 state, no bits that must be zero. */
const PSTATE_RES0 = 0xffff_ffff_0400_c010n;

function aarch64Frames(program: Program, stack: StackRange): SavedRegisters[] {
  const size = BigInt(program.types.struct('pt_regs').size);
  const layout = program.object('pt_regs', 0n);
  const [sp, pc, pstate, fp, lr] = ['sp', 'pc', 'pstate', 'regs[29]', 'regs[30]'].map(name =>
    BigInt(layout.offsetOf(name)),
  );
  const found: SavedRegisters[] = [];
  const read = (address: bigint): bigint => program.memory.readU64(address);
  for (let at = stack.start; at + size <= stack.end; at += 8n) {
    const state = read(at + pstate!);
    const mode = state & 0xfn;
    if ((state & PSTATE_RES0) !== 0n || (mode !== 0n && mode !== 5n && mode !== 4n && mode !== 9n)) continue;
    const isUser = mode === 0n;
    const isOnStack = (address: bigint): boolean => address >= stack.start && address < stack.end;
    const isOfKernel = (): boolean =>
      isText(program, read(at + pc!)) &&
      isText(program, withoutSignature(program, read(at + lr!))) &&
      isOnStack(read(at + sp!)) &&
      isOnStack(read(at + fp!));
    if (isUser ? at + size !== stack.end : !isOfKernel()) continue;
    found.push(readAarch64Registers(program, at));
  }
  return found;
}

/** A return address without its pointer-authentication code. */
function withoutSignature({ pacMask }: Program, address: bigint): bigint {
  return address | pacMask;
}

/** `__KERNEL_CS`, `__USER_CS` and the segments that go with them; `arch/x86/include/asm/segment.h`. */
const KERNEL_CS = 0x10n;
const USER_CS = 0x33n;
const KERNEL_SS = 0x18n;
const USER_SS = 0x2bn;

function x86Frames(program: Program, stack: StackRange): SavedRegisters[] {
  const all = words(program, stack.start, stack.end);
  const found: SavedRegisters[] = [];
  for (let index = 0; index + PT_REGS.length <= all.length; index++) {
    if (looksLikeX86Registers(program, stack, all.subarray(index, index + PT_REGS.length))) {
      found.push(readX86Registers(program, stack.start + BigInt(8 * index)));
    }
  }
  return found;
}

const [IP, CS, SP, SS] = ['ip', 'cs', 'sp', 'ss'].map(name => PT_REGS.indexOf(name)) as [
  number,
  number,
  number,
  number,
];
/** First address that no user program has with four levels of tables. */
const USER_END = 0x8000_0000_0000n;

function looksLikeX86Registers(program: Program, stack: StackRange, regs: BigUint64Array): boolean {
  const [ip, cs, sp, ss] = [regs[IP]!, regs[CS]!, regs[SP]!, regs[SS]!];
  if (cs === USER_CS) return ss === USER_SS && ip < USER_END;
  if (cs !== KERNEL_CS || (ss !== KERNEL_SS && ss !== 0n)) return false;
  return isText(program, ip) && sp >= stack.start && sp <= stack.end;
}
