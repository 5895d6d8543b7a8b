/**
 * The host's own processor as the judge of x86_64 instructions: x64-native.c, built with gcc and run as a process of its own.
 *
 * Source of the XSAVE area: Intel SDM vol. 1 "Managing State Using the XSAVE Feature Set".
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X64_MEMORY, X64_REGISTER, type X64Case } from './x64-cases.ts';
import { type CaseResult, INITIAL_SCRATCH, type Outcome } from './x64-drivers.ts';

/** Offsets in the struct of a case, and in its XSAVE area. */
const CASE = { flags: 128, pc: 136, xsave: 192, code: 1024, size: 1024 + X64_MEMORY.slot } as const;
const RESULT = { outcome: 1024, changes: 1028, size: 1032 } as const;
const XSAVE = { FCW: 0, FSW: 2, FTW: 4, MXCSR: 24, ST: 32, XMM: 160, BV: 512, YMMH: 576 } as const;
const OUTCOMES: readonly Outcome[] = ['done', 'memory fault', 'exception'];
const FCW = 0x37f;
const INT3 = 0xcc;

/** What cases need of the processor, as /proc/cpuinfo spells it. */
const NEEDED = ['avx2', 'fma', 'f16c', 'bmi2', 'xsave'];

export interface NativeRunner {
  /** Features of the processor. */
  readonly flags: ReadonlySet<string>;
  /** Runs cases at an address of code; each begins with the first scratch memory. */
  run(cases: readonly X64Case[], address: number): readonly CaseResult[];
  close(): void;
}

function processorFlags(): ReadonlySet<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return new Set();
  const line = /^flags\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return new Set(line?.[1]?.split(' '));
}

/** Builds the program. @returns the reason, when this machine cannot */
export function loadNative(): NativeRunner | string {
  const flags = processorFlags();
  const missing = NEEDED.filter(feature => !flags.has(feature));
  if (missing.length > 0) return `the processor of this machine lacks ${missing.join(', ')}`;
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-native-'));
  const program = join(folder, 'native');
  const source = join(import.meta.dirname, 'x64-native.c');
  const built = spawnSync('gcc', ['-O1', '-fPIE', '-pie', '-mxsave', '-o', program, source], { encoding: 'utf8' });
  if (built.status !== 0) return `gcc does not build x64-native.c: ${built.error?.message ?? built.stderr}`;
  return {
    flags,
    run: (cases, address) => runCases(program, cases, address),
    close: () => rmSync(folder, { recursive: true }),
  };
}

function runCases(program: string, cases: readonly X64Case[], address: number): readonly CaseResult[] {
  const input = Buffer.concat(cases.map(test => encodeCase(test, address)));
  const { stdout, status, signal } = spawnSync(program, { input, maxBuffer: 2 ** 31 });
  if (status !== 0) throw new Error(`native cases ended with ${signal ?? status}`);
  const results: CaseResult[] = [];
  for (let at = 0; at < stdout.length;) {
    const changes = stdout.readUInt32LE(at + RESULT.changes);
    results.push(decodeResult(stdout.subarray(at, at + RESULT.size + 4 * changes), changes));
    at += RESULT.size + 4 * changes;
  }
  return results;
}

function encodeCase({ registers, code }: X64Case, address: number): Buffer {
  const bytes = Buffer.alloc(CASE.size, 0);
  for (let n = 0; n < 16; n++) bytes.writeBigUInt64LE(registers[n]!, 8 * n);
  bytes.writeBigUInt64LE(registers[X64_REGISTER.flags]!, CASE.flags);
  bytes.writeBigUInt64LE(BigInt(address), CASE.pc);
  const area = bytes.subarray(CASE.xsave);
  area.writeUInt16LE(FCW, XSAVE.FCW);
  area.writeUInt8(0xff, XSAVE.FTW);
  area.writeUInt32LE(Number(registers[X64_REGISTER.mxcsr]), XSAVE.MXCSR);
  area.writeBigUInt64LE(7n, XSAVE.BV);
  for (let n = 0; n < 8; n++) {
    area.writeBigUInt64LE(registers[X64_REGISTER.m + n]!, XSAVE.ST + 16 * n);
    area.writeUInt16LE(0xffff, XSAVE.ST + 16 * n + 8);
  }
  for (let n = 0; n < 16; n++) {
    for (let word = 0; word < 4; word++) {
      area.writeBigUInt64LE(registers[X64_REGISTER.y + 4 * n + word]!, vectorOffset(n, word));
    }
  }
  bytes.fill(INT3, CASE.code);
  bytes.set(code, CASE.code);
  return bytes;
}

function vectorOffset(register: number, word: number): number {
  return (word < 2 ? XSAVE.XMM : XSAVE.YMMH - 16) + 16 * register + 8 * word;
}

function decodeResult(bytes: Buffer, changes: number): CaseResult {
  const registers = new BigUint64Array(X64_REGISTER.count);
  for (let n = 0; n < 16; n++) registers[n] = bytes.readBigUInt64LE(8 * n);
  registers[X64_REGISTER.flags] = bytes.readBigUInt64LE(CASE.flags);
  registers[X64_REGISTER.pc] = bytes.readBigUInt64LE(CASE.pc);
  const area = bytes.subarray(CASE.xsave);
  registers[X64_REGISTER.mxcsr] = BigInt(area.readUInt32LE(XSAVE.MXCSR));
  // components in their initial state are not in the area
  const present = area.readBigUInt64LE(XSAVE.BV);
  for (let n = 0; n < 8; n++) {
    if (present & 1n) registers[X64_REGISTER.m + n] = area.readBigUInt64LE(XSAVE.ST + 16 * n);
  }
  for (let n = 0; n < 16; n++) {
    for (let word = 0; word < 4; word++) {
      if ((present & (word < 2 ? 2n : 4n)) === 0n) continue;
      registers[X64_REGISTER.y + 4 * n + word] = area.readBigUInt64LE(vectorOffset(n, word));
    }
  }
  const scratch = Uint8Array.from(INITIAL_SCRATCH);
  for (let i = 0; i < changes; i++) {
    const change = bytes.readUInt32LE(RESULT.size + 4 * i);
    scratch[change >>> 8] = change & 0xff;
  }
  return { outcome: OUTCOMES[bytes.readUInt32LE(RESULT.outcome)]!, registers, scratch };
}
