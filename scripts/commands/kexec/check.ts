/** `kdump-lab kexec --check`: what a system has loaded for its crash, and what is wrong with it. */
import { UsageError } from '../../../capture/formats/errors.ts';
import { checkLines } from '../../lab/live-check.ts';
import { checkDump } from './from-dump.ts';
import type { Values } from './options.ts';

/** @returns 0 when nothing is wrong, 1 when there will be no dump @throws UsageError, FormatError */
export async function runCheck(files: readonly string[], { socket, json }: Values): Promise<number> {
  if (socket !== undefined && json === true)
    throw new UsageError('kexec: --json with --socket: a machine answers in text; check a dump of it (kdump-lab dump)');
  if (socket !== undefined) return checkOverSocket(socket);
  const [file, ...rest] = files;
  if (file === undefined || rest.length > 0)
    throw new UsageError('kexec: --check takes one dump, or --socket with the QMP socket of a machine');
  const check = checkDump(file);
  console.log(json === true ? JSON.stringify(check, undefined, 2) : checkLines(check).join('\n'));
  return check.findings.some(({ severity }) => severity === 'error') ? 1 : 0;
}

/** The machine looks at itself. */
async function checkOverSocket(address: string): Promise<number> {
  const { QmpClient } = await import('../dump.ts');
  using client = await QmpClient.connect(address);
  const text = String(await client.ask('human-monitor-command', { 'command-line': 'info kexec' }));
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return /^error: /m.test(text) ? 1 : 0;
}
