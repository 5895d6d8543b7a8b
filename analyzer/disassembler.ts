/**
 * Disassembly through capstone, in the spelling of gdb (binutils): AT&T syntax on x86_64, decimal offsets inside
 * brackets and hexadecimal immediates outside on arm64.
 *
 * Not modelled: binutils' spelling of floating-point immediates and of unallocated system registers.
 */
import capstone from '@alexaltea/capstone-js';

import { assert } from '../capture/formats/errors.ts';

type Engine = {
  disasm(
    code: Uint8Array,
    address: bigint,
  ): { address: number | bigint; size: number; mnemonic: string; op_str: string }[];
};

/** One instruction. */
export interface DisassembledInstruction {
  readonly address: bigint;
  readonly size: number;
  /** Mnemonic and operands as gdb prints them, symbols included. */
  readonly text: string;
}

/** What leads to an address: a branch, a branch whose condition stands behind it as a comment, `adr` and `adrp`. */
export type TargetKind = 'branch' | 'condition' | 'page';

/** Name of an address, or undefined. */
export type SymbolAt = (address: bigint, kind: TargetKind) => string | undefined;

const engines = new Map<'aarch64' | 'x86_64', Engine>();

/** Loads the library; to be done once before `disassemble`. */
export async function prepareDisassembler(): Promise<void> {
  if (engines.size > 0) return;
  const library = await capstone();
  engines.set('aarch64', new library.Capstone(library.ARCH_ARM64, library.MODE_LITTLE_ENDIAN));
  const x86 = new library.Capstone(library.ARCH_X86, library.MODE_64);
  x86.option(library.OPT_SYNTAX, library.OPT_SYNTAX_ATT);
  engines.set('x86_64', x86);
}

/** Disassembles bytes; what is no instruction becomes `.inst` or `(bad)` and the next one is tried. */
export function disassemble(
  architecture: 'aarch64' | 'x86_64',
  bytes: Uint8Array,
  address: bigint,
  symbolAt: SymbolAt,
): DisassembledInstruction[] {
  const engine = engines.get(architecture);
  assert(engine !== undefined, 'the disassembler was not prepared');
  const found: DisassembledInstruction[] = [];
  for (let at = 0; at < bytes.length;) {
    const decoded = decode(engine, bytes.subarray(at), address + BigInt(at));
    for (const { size, mnemonic, op_str: operands } of decoded) {
      const code = bytes.subarray(at, at + size);
      const text =
        architecture === 'aarch64'
          ? a64Text(mnemonic, operands, symbolAt)
          : x64Text(mnemonic, operands, code, address + BigInt(at), symbolAt);
      found.push({ address: address + BigInt(at), size, text });
      at += size;
    }
    if (at >= bytes.length) break;
    const known = architecture === 'x86_64' ? snpText(bytes.subarray(at, at + 4)) : undefined;
    const step = architecture === 'aarch64' || known !== undefined ? 4 : 1;
    found.push({
      address: address + BigInt(at),
      size: step,
      text: known ?? badText(architecture, bytes.subarray(at, at + step)),
    });
    at += step;
  }
  return found;
}

/** The library throws, and no Error, when the first bytes are no instruction. */
function decode(engine: Engine, bytes: Uint8Array, address: bigint): ReturnType<Engine['disasm']> {
  try {
    return engine.disasm(bytes, address);
  } catch (failure) {
    if (failure instanceof WebAssembly.RuntimeError) throw failure;
    return [];
  }
}

/** Instructions of SEV that the library does not know; AMD64 APM vol. 3 "PSMASH", "PVALIDATE", "RMPADJUST", "RMPUPDATE", "VMGEXIT". */
const SNP: Readonly<Record<string, string>> = {
  f20f01d9: 'vmgexit',
  f30f01d9: 'vmgexit',
  f20f01fe: 'rmpupdate',
  f30f01fe: 'rmpadjust',
  f20f01ff: 'pvalidate',
  f30f01ff: 'psmash',
};

function snpText(code: Uint8Array): string | undefined {
  return SNP[Buffer.from(code).toString('hex')];
}

function badText(architecture: 'aarch64' | 'x86_64', bytes: Uint8Array): string {
  if (architecture === 'x86_64') return '(bad)';
  const word = Buffer.from(bytes).reverse().toString('hex');
  return `.inst\t0x${word} ; undefined`;
}

function withSymbol(address: bigint, symbolAt: SymbolAt, kind: TargetKind = 'branch'): string {
  const name = symbolAt(address, kind);
  return name === undefined ? `0x${address.toString(16)}` : `0x${address.toString(16)} <${name}>`;
}

const A64_BRANCH = /^(?:b|bl|b\..+|cbn?z|tbn?z|adrp?)$/;

/** binutils spells some conditions otherwise, and writes SVE's names of them as comments; its `aarch64-opc.c` `aarch64_conds`. */
const A64_CONDITIONS: Readonly<{ [condition: string]: readonly [condition: string, aliases: string] }> = {
  eq: ['eq', 'none'],
  ne: ['ne', 'any'],
  hs: ['cs', 'hs, nlast'],
  cs: ['cs', 'hs, nlast'],
  lo: ['cc', 'lo, ul, last'],
  cc: ['cc', 'lo, ul, last'],
  mi: ['mi', 'first'],
  pl: ['pl', 'nfrst'],
  hi: ['hi', 'pmore'],
  ls: ['ls', 'plast'],
  ge: ['ge', 'tcont'],
  lt: ['lt', 'tstop'],
};

function a64Text(rawMnemonic: string, operands: string, symbolAt: SymbolAt): string {
  const branch = /^b\.(\w+)$/.exec(rawMnemonic);
  const [condition, aliases] = A64_CONDITIONS[branch?.[1] ?? ''] ?? [branch?.[1], undefined];
  const mnemonic = branch === null ? rawMnemonic : `b.${condition}`;
  if (operands === '') return mnemonic;
  const text = withCondition(mnemonic, a64Immediates(mnemonic, operands));
  if (!A64_BRANCH.test(mnemonic)) return `${mnemonic}\t${text}`;
  const kind = mnemonic.startsWith('adr') ? 'page' : aliases === undefined ? 'branch' : 'condition';
  const target = text.replace(/#0x([\da-f]+)$/, (_all, digits: string) =>
    withSymbol(BigInt(`0x${digits}`), symbolAt, kind),
  );
  const comment = aliases === undefined ? '' : `  // ${aliases.replaceAll(/\w+/g, alias => `b.${alias}`)}`;
  return `${mnemonic}\t${target}${comment}`;
}

const A64_CONDITIONAL = /^(?:f?csel|cset|csetm|csinc|csinv|csneg|cinc|cinv|cneg|f?ccmpe?|ccmn)$/;

/** Conditions as operands have their other names behind, too. */
function withCondition(mnemonic: string, operands: string): string {
  const condition = A64_CONDITIONAL.test(mnemonic) ? /(\w+)$/.exec(operands)?.[1] : undefined;
  const known = condition === undefined ? undefined : A64_CONDITIONS[condition];
  if (known === undefined) return operands;
  return `${operands.slice(0, -condition!.length)}${known[0]}\t// ${known[0]} = ${known[1]}`;
}

/** Decimal inside brackets, behind a shift and for bit numbers; hexadecimal elsewhere; `mov` with its value in decimal behind. */
function a64Immediates(mnemonic: string, operands: string): string {
  const bracket = operands.indexOf('[');
  const isVector = /[vqdshb]\d+\.\d*[bhsdq]\[/.test(operands);
  if (bracket !== -1 && !isVector) return hexadecimal(operands.slice(0, bracket)) + decimal(operands.slice(bracket));
  if (/^tbn?z$/.test(mnemonic))
    return operands.replace(/#(0x[\da-f]+|\d+),/, (_all, digits: string) => `#${BigInt(digits)},`);
  const shifted = hexadecimal(operands).replaceAll(
    /\b(lsl|lsr|asr|ror|msl|[su]xt[bhwx]) #(0x[\da-f]+)/g,
    (_all, kind: string, digits: string) => `${kind} #${BigInt(digits)}`,
  );
  const isShift = /^(?:lsl|lsr|asr|ror|ubfx|sbfx|ubfiz|sbfiz|bfi|bfxil|extr)$/.test(mnemonic);
  if (isShift) return decimal(shifted);
  const move = mnemonic === 'mov' ? /^(\w+), #(-?)0x([\da-f]+)$/.exec(shifted) : null;
  if (/^(?:ands?|orr|eor|tst)$/.test(mnemonic)) return unsignedImmediate(shifted);
  return move === null ? shifted : moveText(move[1]!, move[2] === '-', BigInt(`0x${move[3]!}`));
}

/** Masks have no sign; their width is that of the register. */
function unsignedImmediate(operands: string): string {
  const bits = operands.startsWith('w') ? 32 : 64;
  return operands.replace(
    /#-0x([\da-f]+)/,
    (_all, digits: string) => `#0x${BigInt.asUintN(bits, -BigInt(`0x${digits}`)).toString(16)}`,
  );
}

/** `#0x…` padded to 20 digits, then the signed value as a comment. */
function moveText(register: string, negative: boolean, digits: bigint): string {
  const bits = register.startsWith('w') ? 32 : 64;
  const value = BigInt.asUintN(bits, negative ? -digits : digits);
  return `${register}, #0x${value.toString(16).padEnd(20)}\t// #${BigInt.asIntN(bits, value)}`;
}

/** Mnemonics whose size letter gdb leaves out when a register tells the size. */
const SIZED =
  /^(mov|lea|add|sub|and|or|xor|cmp|test|inc|dec|neg|not|shl|shr|sar|rol|ror|imul|mul|div|idiv|xchg|cmpxchg|xadd|bt|bts|btr|btc|adc|sbb|bsf|bsr|bswap|in|out|movabs|popcnt|lzcnt|tzcnt|crc32|cmov\w+|shld|shrd)[bwlq]$/;
const ALWAYS_SIZED = /^(push|pop|call|ret|jmp|leave|pushf|popf|iret|lret|ljmp|lcall|enter)q$/;
const CALL_OR_JUMP = /^(?:call|j[a-z]+|loop\w*|xbegin)$/;
const X64_COLUMN = 6;

function x64Text(
  rawMnemonic: string,
  rawOperands: string,
  code: Uint8Array,
  address: bigint,
  symbolAt: SymbolAt,
): string {
  const special = specialText(rawMnemonic, rawOperands, code);
  if (special !== undefined) return special;
  const all = x64Operands(rawOperands, rawMnemonic);
  const operands = isShiftByOne(code) ? all.replace(/^\$0x1,/, '$$1,') : all;
  // One instruction of two names and, in group 2, of two numbers: binutils knows one.
  const mnemonic = x64Mnemonic(rawMnemonic.replace(/^sal(?=[bwlq]?$)/, 'shl'), operands);
  if (operands === '') return mnemonic;
  if (STRING_OPERATION.test(mnemonic)) return stringOperation(mnemonic, operands);
  const fixed = x64Displacement(mnemonic, operands, code);
  const target = CALL_OR_JUMP.test(mnemonic)
    ? fixed.replace(/^0x([\da-f]+)$/, (_all, digits: string) => withSymbol(BigInt(`0x${digits}`), symbolAt))
    : fixed;
  // what the compiler fills calls of thunks up with
  if (code[0] === 0x2e && /^(?:call|jmp)$/.test(mnemonic)) return `cs ${mnemonic} ${target}`;
  return `${mnemonic.padEnd(X64_COLUMN)} ${target}${ripComment(target, address + BigInt(code.length), symbolAt)}`;
}

/** Without the size letter where a register tells the size. */
function x64Mnemonic(rawMnemonic: string, operands: string): string {
  const withoutMemory = operands.replaceAll(/-?(?:0x[\da-f]+)?\([^)]*\)/g, '').replaceAll(/%[c-gs]s:/g, '');
  const prefix = /^(?:lock|rep|repe|repne|repz|repnz|notrack) /.exec(rawMnemonic)?.[0] ?? '';
  const sized = SIZED.exec(rawMnemonic.slice(prefix.length));
  const always = ALWAYS_SIZED.exec(rawMnemonic)?.[1];
  if (always !== undefined) return always;
  if (sized !== null && withoutMemory.includes('%')) return prefix + sized[1]!;
  return rawMnemonic.replace(/^movabsq$/, 'movabs');
}

/** Shifts whose count of one is in the opcode, which binutils writes without its base: `D0` and `D1`; Intel SDM vol. 2 "SAL/SAR/SHL/SHR". */
function isShiftByOne(code: Uint8Array): boolean {
  const opcode = code.find(byte => byte !== 0x66 && byte !== 0xf0 && (byte < 0x40 || byte > 0x4f));
  return opcode === 0xd0 || opcode === 0xd1;
}

/** Instructions that binutils spells in a way of their own. */
function specialText(mnemonic: string, operands: string, code: Uint8Array): string | undefined {
  const snp = snpText(code);
  if (snp !== undefined) return snp;
  const isTwoByteNop = code.length === 2 && code[0] === 0x66 && code[1] === 0x90;
  if (isTwoByteNop) return 'xchg   %ax,%ax';
  return mnemonic.startsWith('push') && operands.startsWith('$') ? pushText(code) : undefined;
}

/** `push` of an immediate: extended to 64 bits with its sign; Intel SDM vol. 2 "PUSH". */
function pushText(code: Uint8Array): string {
  const isByte = code.at(-2) === 0x6a;
  const value = isByte ? (code.at(-1)! << 24) >> 24 : Buffer.from(code).readInt32LE(code.length - 4);
  return `${'push'.padEnd(X64_COLUMN)} $0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;
}

const STRING_OPERATION = /^(?:rep\w* )?(?:movs|stos|lods|cmps|scas|ins|outs)[bwlq]$/;

/** gdb writes the segments of string operations, and leaves the size out where a register tells it. */
function stringOperation(mnemonic: string, operands: string): string {
  const name = operands.replaceAll(/\([^)]*\)/g, '').includes('%') ? mnemonic.slice(0, -1) : mnemonic;
  const full = operands.replace(/(^|,)\((%[re]?si)\)/, '$1%ds:($2)').replace(/(^|,)\((%[re]?di)\)/, '$1%es:($2)');
  return `${name.padEnd(X64_COLUMN)} ${full}`;
}

/** Bits of an immediate: those of the operands. */
function immediateWidth(operands: string, mnemonic: string): 8 | 16 | 32 | 64 {
  const isWide = /%r(?:[a-ds][a-z]|\d+)\b(?![dwb])/.test(operands.replaceAll(/\([^)]*\)/g, ''));
  if (isWide || mnemonic.endsWith('q')) return 64;
  const [, size] = /^(?:lock )?(?:add|adc|sub|sbb|cmp|test|mov|and|or|xor)([bw])$/.exec(mnemonic) ?? [];
  return size === 'b' ? 8 : size === 'w' ? 16 : 32;
}

/** No blanks, hexadecimal numbers, 64-bit two's complement for negative immediates, scale written out. */
function x64Operands(operands: string, mnemonic: string): string {
  const compact = operands.replaceAll(', ', ',');
  const width = immediateWidth(compact, mnemonic);
  return (
    compact
      .replaceAll(/\$(-?)(0x[\da-f]+|\d+)/g, (_all, sign: string, digits: string) => {
        const value = sign === '-' ? -BigInt(digits) : BigInt(digits);
        return `$0x${BigInt.asUintN(width, value).toString(16)}`;
      })
      .replaceAll(
        /(^|[,:*])(-?)(\d+)(?=\()/g,
        (_all, before: string, sign: string, digits: string) => `${before}${sign}0x${BigInt(digits).toString(16)}`,
      )
      .replaceAll(/\((%\w+),(%\w+)\)/g, '($1,$2,1)')
      .replaceAll(/(^|,)(%dx)(?=,|$)/g, mnemonic.startsWith('out') || /^in[bwl]$/.test(mnemonic) ? '$1($2)' : '$1$2')
      .replaceAll(/(^|[,:*])\(%rip\)/g, '$10x0(%rip)')
      // without a base there always is a displacement
      .replaceAll(/(^|[,:*])\(,/g, '$10x0(,')
  );
}

/** gdb shows a displacement of zero that the encoding carries: always with %rbp and %r13, and in long no-operations. */
function x64Displacement(mnemonic: string, operands: string, code: Uint8Array): string {
  const needed = mnemonic.startsWith('nop')
    ? code.length > 3 && (code[code.length - (code.length > 5 ? 5 : 2)] ?? 0) !== 0
    : /(?:^|,)\(%(?:rbp|r13)\b/.test(operands);
  const isLongNop = mnemonic.startsWith('nop') && code.length >= 4;
  return needed || isLongNop ? operands.replace(/(^|,|:)\((%\w+)/, '$10x0($2') : operands;
}

function ripComment(operands: string, next: bigint, symbolAt: SymbolAt): string {
  const match = /(-?)0x([\da-f]+)\(%rip\)/.exec(operands);
  if (match === null) return '';
  const offset = BigInt(`0x${match[2]!}`);
  return `        # ${withSymbol(BigInt.asUintN(64, next + (match[1] === '-' ? -offset : offset)), symbolAt)}`;
}

/** Immediates in decimal. */
function decimal(text: string): string {
  return text.replaceAll(
    /#(-?)(0x[\da-f]+|\d+)/g,
    (_all, sign: string, digits: string) => `#${sign}${BigInt.asIntN(64, BigInt(digits))}`,
  );
}

/** Immediates in hexadecimal. */
function hexadecimal(text: string): string {
  return text.replaceAll(
    /#(-?)(\d+)(?![\dx.])/g,
    (_all, sign: string, digits: string) => `#${sign}0x${BigInt(digits).toString(16)}`,
  );
}
