/** Lengths of x86 instructions as binutils' objdump decodes them: a judge of decoding. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Bytes from one instruction to the next: the longest one, and enough NOPs to come into step again. */
const SLOT = 48;
const NOP = 0x90;
const MACHINES = { 16: 'i8086', 32: 'i386', 64: 'i386:x86-64' } as const;
/** A line of prefixes that objdump does not count to the instruction behind them. */
const PREFIXES =
  /^(?:(?:rex(?:\.[WRXB]+)?|data16|data32|addr16|addr32|repn?z|repn?e|rep|lock|xacquire|xrelease|notrack|bnd|[cdefgs]s) ?)+$/;

/** @returns for each instruction its length, or 0 where objdump knows none; undefined when objdump is not installed */
export function objdumpLengths(instructions: readonly Uint8Array[], codeSize: 16 | 32 | 64): number[] | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  try {
    const file = join(folder, 'code');
    const code = new Uint8Array(instructions.length * SLOT).fill(NOP);
    instructions.forEach((bytes, number) => code.set(bytes, number * SLOT));
    writeFileSync(file, code);
    const args = ['-D', '-z', '-b', 'binary', '-m', MACHINES[codeSize], '--insn-width=16', file];
    const { stdout, error } = spawnSync('objdump', args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
    return error === undefined ? readLengths(stdout, instructions.length) : undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readLengths(listing: string, count: number): number[] {
  const lines = new Map<number, { readonly size: number; readonly text: string }>();
  for (const [, address, bytes, text] of listing.matchAll(/^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *(?:\t(.*))?$/gm)) {
    lines.set(Number.parseInt(address!, 16), { size: bytes!.length / 3, text: (text ?? '').trim() });
  }
  return Array.from({ length: count }, (_, number) => {
    let length = 0;
    for (let line = lines.get(number * SLOT); line !== undefined; line = lines.get(number * SLOT + length)) {
      if (line.text.includes('(bad)')) return 0;
      length += line.size;
      if (!PREFIXES.test(line.text)) break;
    }
    return length;
  });
}
