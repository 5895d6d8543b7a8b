/**
 * The command line: `kdump-lab demo | run | boot | crash | makedumpfile | kexec | images`.
 *
 * Each command's modules are loaded when it is asked for: `crash` starts in a third of the time without the emulator's.
 */
import { enableCompileCache } from 'node:module';

import { EXIT_FAILURE, endQuietlyWhenOutputCloses, reportError } from './commands/errors.ts';
import { installInterruptHandler } from './commands/interrupt.ts';

enableCompileCache();

/** Options of QEMU, of crash, of makedumpfile and of kexec: not of the form that commander reads. */
const FOREIGN_COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  boot: async args => (await import('./commands/boot.ts')).runBoot(args),
  crash: async args => (await import('./commands/crash.ts')).crash(args),
  makedumpfile: async args => (await import('./commands/makedumpfile.ts')).makedumpfile(args),
  kexec: async args => (await import('./commands/kexec.ts')).runKexec(args),
};

endQuietlyWhenOutputCloses();
installInterruptHandler();
try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  process.exitCode = EXIT_FAILURE;
  reportError(error);
}

async function run([name, ...args]: readonly string[]): Promise<number> {
  const foreign = name !== undefined && Object.hasOwn(FOREIGN_COMMANDS, name) ? FOREIGN_COMMANDS[name] : undefined;
  return foreign === undefined ? runCommandLine() : foreign(args);
}

/** All others, and the help. */
async function runCommandLine(): Promise<number> {
  const [{ commandLine, spelledForUs }, { CommanderError }] = await Promise.all([
    import('./command-line.ts'),
    import('commander'),
  ]);
  try {
    await commandLine().parseAsync(spelledForUs(process.argv));
  } catch (error) {
    // commander has written its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  return Number(process.exitCode ?? 0);
}
