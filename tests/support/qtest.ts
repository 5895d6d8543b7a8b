/**
 * Drives QEMU's devices without a CPU, over its qtest protocol: an independent judge for register behaviour.
 *
 * Source: QEMU `docs/devel/testing/qtest.rst` "QTest Protocol".
 */
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Whether a program is installed: whether it can tell its version. */
export function isInstalled(program: string, versionOption = '--version'): boolean {
  return spawnSync(program, [versionOption]).status === 0;
}

/**
 * Runs qtest commands (`readl 0x8000004`, `writel 0x8000000 0x2`) and returns what each answered after `OK`.
 * Interrupt notices (`IRQ raise 0`) are left out.
 */
export async function qtest(
  program: string,
  options: readonly string[],
  commands: readonly string[],
): Promise<string[]> {
  const common = ['-nodefaults', '-display', 'none', '-S', '-qtest', 'stdio', '-qtest-log', 'none'];
  const child = spawn(program, [...options, ...common], { stdio: ['pipe', 'pipe', 'pipe'] });
  let problem = '';
  child.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString()));
  child.stdin.write(`${commands.join('\n')}\n`);
  const answers: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('IRQ')) continue;
    answers.push(line.replace(/^OK ?/, ''));
    if (answers.length === commands.length) break;
  }
  child.kill('SIGKILL');
  if (answers.length < commands.length) throw new Error(`qtest stopped after ${answers.length} answers: ${problem}`);
  return answers;
}

/** One access to be made on both sides: to memory, or to an x86 port. */
export type Access =
  | readonly ['read', number, 1 | 2 | 4 | 8]
  | readonly ['write', number, 1 | 2 | 4 | 8, number | bigint]
  | readonly ['in', number, 1 | 2 | 4]
  | readonly ['out', number, 1 | 2 | 4, number];

const SUFFIX = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' } as const;

/** Makes the accesses on QEMU and returns the values read, in order. */
export async function qtestAccesses(
  program: string,
  options: readonly string[],
  accesses: readonly Access[],
): Promise<bigint[]> {
  const commands = accesses.map(([kind, address, width, value]) => {
    const command = `${kind}${SUFFIX[width]} 0x${address.toString(16)}`;
    return value === undefined ? command : `${command} 0x${value.toString(16)}`;
  });
  const answers = await qtest(program, options, commands);
  const reads: bigint[] = [];
  for (const [i, access] of accesses.entries()) {
    if (isRead(access)) reads.push(BigInt(answers[i]!) & ((1n << BigInt(8 * access[2])) - 1n));
  }
  return reads;
}

/** Whether an access yields a value. */
export function isRead(access: Access): boolean {
  return access[0] === 'read' || access[0] === 'in';
}
