/**
 * `crash [vmlinux] VMCORE`: reads a dump, with the commands of crash.
 *
 * Runs on its own (`node scripts/commands/crash.ts …`) and as a command of `kdump-lab`. On stdout stands only what the
 * commands print; warnings and errors go to stderr. The options are in `analyzer/text/cli-options.ts`. Exit status: 0, or
 * 1 when the dump could not be opened or a command of `-c`, `-i` or a pipe failed.
 */
import { realpathSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache();

/** Runs the command. Returns the exit status. */
export async function crash(args: readonly string[]): Promise<number> {
  const { runCrash } = await import('../../analyzer/text/crash-cli.ts');
  return runCrash(args);
}

const [, script] = process.argv;
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.exitCode = await crash(process.argv.slice(2));
}
