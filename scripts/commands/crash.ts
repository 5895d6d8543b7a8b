/**
 * `crash [vmlinux] VMCORE`: reads a dump, with the commands of crash.
 *
 * Runs on its own (`node scripts/commands/crash.ts …`) and as a command of `kdump-lab`. On stdout stands only what the
 * commands print; warnings and errors go to stderr. Exit status: 0, or 1 when a command of `-c` or `-i` failed or the
 * dump could not be opened.
 */
import { realpathSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache();

const USAGE = `usage: crash [options] [vmlinux] VMCORE [more files of a split dump]
  -c COMMANDS   run commands, separated by ';' or lines, and exit
  -i FILE       run the commands of a file, then go on interactively (exit with -c)
  -s            no greeting
  --json        print each command's data as JSON, one object a line
  -S FILE       take symbols from a System.map
`;

/** Runs the command. Returns the exit status. */
export async function crash(args: readonly string[]): Promise<number> {
  const { runCrash } = await import('../../analyzer/text/crash-cli.ts');
  return runCrash(args, USAGE);
}

const [, script] = process.argv;
if (script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.exitCode = await crash(process.argv.slice(2));
}
