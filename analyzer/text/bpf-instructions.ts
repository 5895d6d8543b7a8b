/**
 * BPF byte code as text. Encodings: Documentation/bpf/standardization/instruction-set.rst (v6.12); the text is that of
 * crash's `bpf -t`, and of the kernel's own dump (`kernel/bpf/disasm.c`) before it learned `w` registers.
 */
import { readI32, readU16, readU64 } from '../../capture/formats/bytes.ts';

/** Bytes of an instruction; a 64-bit immediate takes two. */
export const BPF_INSN_SIZE = 8;

const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const;
const MODE = { IMM: 0, ABS: 1, IND: 2, MEM: 3, MEMSX: 4, ATOMIC: 6 } as const;
const SIZES = ['u32', 'u16', 'u8', 'u64'] as const;
const LD_IMM64 = 0x18;
const ALU_NEG = 8;
const ALU_END = 13;
const JMP_JA = 0;
const JMP_CALL = 8;
const JMP_EXIT = 9;
const PSEUDO_CALL = 1;

const ALU_SIGNS = ['+=', '-=', '*=', '/=', '|=', '&=', '<<=', '>>=', 'neg', '%=', '^=', '=', 's>>=', 'endian'];
const JMP_SIGNS = ['jmp', '==', '>', '>=', '&', '!=', 's>', 's>=', 'call', 'exit', '<', '<=', 's<', 's<='];
/** Operations of atomic instructions, by the immediate without its fetch bit. */
const ATOMIC_SIGNS: Readonly<Record<number, string>> = { 0x00: '+=', 0x40: '|=', 0x50: '&=', 0xa0: '^=' };
const ATOMIC_FETCH = 1;

/** How an instruction's operands are named. */
export interface BpfNames {
  /** What a 64-bit immediate is: a map's id, for one. */
  readonly immediate: (value: bigint) => string;
  /** The helper or kernel function that a call's immediate means. */
  readonly call: (immediate: number) => string;
}

interface Instruction {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

/** An instruction's text with the number of its slot; its bytes. */
export interface BpfLine {
  readonly index: number;
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** All instructions of a program. */
export function bpfLines(program: Uint8Array, names: BpfNames): BpfLine[] {
  const lines: BpfLine[] = [];
  const count = Math.floor(program.length / BPF_INSN_SIZE);
  for (let index = 0; index < count;) {
    const at = index * BPF_INSN_SIZE;
    const instruction = decode(program, at);
    const slots = instruction.code === LD_IMM64 && index + 1 < count ? 2 : 1;
    const body = slots === 2 ? wideLoad(program, at, instruction, names) : instructionText(instruction, names);
    const text = `(${instruction.code.toString(16).padStart(2, '0')}) ${body}`;
    lines.push({ index, text, bytes: program.subarray(at, at + slots * BPF_INSN_SIZE) });
    index += slots;
  }
  return lines;
}

function decode(bytes: Uint8Array, at: number): Instruction {
  const registers = bytes[at + 1]!;
  const off = readU16(bytes, at + 2);
  return {
    code: bytes[at]!,
    dst: registers & 15,
    src: registers >> 4,
    off: off >= 0x8000 ? off - 0x1_0000 : off,
    imm: readI32(bytes, at + 4),
  };
}

function wideLoad(bytes: Uint8Array, at: number, { dst }: Instruction, names: BpfNames): string {
  const low = readU64(bytes, at) >> 32n;
  const high = readU64(bytes, at + BPF_INSN_SIZE) >> 32n;
  return `r${dst} = ${names.immediate((high << 32n) | low)}`;
}

function instructionText(instruction: Instruction, names: BpfNames): string {
  switch (instruction.code & 7) {
    case CLASS.ALU:
    case CLASS.ALU64:
      return arithmetic(instruction);
    case CLASS.JMP:
    case CLASS.JMP32:
      return jump(instruction, names);
    case CLASS.LD:
      return packetLoad(instruction);
    default:
      return memory(instruction);
  }
}

function arithmetic({ code, dst, src, imm }: Instruction): string {
  const operation = code >> 4;
  const isWide = (code & 7) === CLASS.ALU64;
  const cast = isWide ? '' : '(u32) ';
  if (operation === ALU_END) {
    const order = isWide ? 'bswap' : hasRegister(code) ? 'be' : 'le';
    return `r${dst} = ${order}${imm} r${dst}`;
  }
  if (operation === ALU_NEG) return `r${dst} = ${cast}-r${dst}`;
  const right = hasRegister(code) ? `r${src}` : String(imm);
  return `${cast}r${dst} ${ALU_SIGNS[operation] ?? '?'} ${cast}${right}`;
}

/** BPF_X: the second operand is a register. */
function hasRegister(code: number): boolean {
  return (code & 8) !== 0;
}

function jump({ code, dst, src, off, imm }: Instruction, names: BpfNames): string {
  const operation = code >> 4;
  const is32 = (code & 7) === CLASS.JMP32;
  if (operation === JMP_CALL) return src === PSEUDO_CALL ? `call pc${signed(imm)}` : `call ${names.call(imm)}#${imm}`;
  if (operation === JMP_EXIT) return 'exit';
  if (operation === JMP_JA) return `goto pc${signed(is32 ? imm : off)}`;
  const letter = is32 ? 'w' : 'r';
  const right = hasRegister(code) ? `${letter}${src}` : `0x${(imm >>> 0).toString(16)}`;
  return `if ${letter}${dst} ${JMP_SIGNS[operation] ?? '?'} ${right} goto pc${signed(off)}`;
}

function packetLoad({ code, src, imm }: Instruction): string {
  const size = SIZES[(code >> 3) & 3]!;
  const mode = code >> 5;
  if (mode === MODE.ABS) return `r0 = *(${size} *)skb[${imm}]`;
  return mode === MODE.IND ? `r0 = *(${size} *)skb[r${src} + ${imm}]` : unknown(code);
}

function memory({ code, dst, src, off, imm }: Instruction): string {
  const size = SIZES[(code >> 3) & 3]!;
  const mode = code >> 5;
  const place = (register: number, type: string = size): string => `*(${type} *)(r${register} ${signed(off)})`;
  const kind = code & 7;
  if (kind === CLASS.STX && mode === MODE.ATOMIC) return atomic(imm, src, place(dst));
  if (kind === CLASS.LDX && mode === MODE.MEMSX) return `r${dst} = ${place(src, size.replace('u', 's'))}`;
  if (mode !== MODE.MEM) return unknown(code);
  if (kind === CLASS.LDX) return `r${dst} = ${place(src)}`;
  return `${place(dst)} = ${kind === CLASS.STX ? `r${src}` : imm}`;
}

function atomic(operation: number, src: number, place: string): string {
  if (operation === 0xe1) return `r${src} = xchg(${place}, r${src})`;
  if (operation === 0xf1) return `r0 = cmpxchg(${place}, r0, r${src})`;
  const sign = ATOMIC_SIGNS[operation & ~ATOMIC_FETCH] ?? '?';
  return (operation & ATOMIC_FETCH) === 0
    ? `lock ${place} ${sign} r${src}`
    : `r${src} = fetch ${place} ${sign} r${src}`;
}

function unknown(code: number): string {
  return `BUG_${code.toString(16).padStart(2, '0')}`;
}

function signed(value: number): string {
  return value < 0 ? String(value) : `+${value}`;
}
