/** The command line: `kdump-lab demo | run | boot | crash | makedumpfile | images`. */
import { enableCompileCache } from 'node:module';

import { Command, CommanderError } from 'commander';

import packageJson from '../package.json' with { type: 'json' };
import { bootCommand, runBoot } from './commands/boot.ts';
import { crash } from './commands/crash.ts';
import { demoCommand } from './commands/demo.ts';
import { EXIT_FAILURE, endQuietlyWhenOutputCloses, reportError } from './commands/errors.ts';
import { imagesCommand } from './commands/images.ts';
import { installInterruptHandler } from './commands/interrupt.ts';
import { runKexec } from './commands/kexec.ts';
import { runCommand } from './commands/run.ts';

/** Options of QEMU, of crash and of makedumpfile: not of the form that commander reads. */
const FOREIGN_COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  boot: runBoot,
  crash,
  makedumpfile: async args => (await import('./commands/makedumpfile.ts')).makedumpfile(args),
  kexec: runKexec,
};

const program = new Command('kdump-lab')
  .description(
    'Boots real Linux kernels on an emulated machine, crashes them, captures the dump through kexec, and analyses it.',
  )
  .version(packageJson.version)
  .configureHelp({ showGlobalOptions: true });

program.addCommand(demoCommand());
program.addCommand(runCommand());
program.addCommand(bootCommand());
program.addCommand(
  new Command('crash').description('read a dump, with the commands of crash').usage('[options] [vmlinux] VMCORE'),
);
program.addCommand(
  new Command('makedumpfile').description('filter, compress and convert dumps').usage('[options] VMCORE DUMPFILE'),
);
program.addCommand(
  new Command('kexec').description('plan what kexec would load, and look at what it loaded').usage('[options] KERNEL'),
);
program.addCommand(imagesCommand());
configure(program);

/** Errors are thrown, and read like all others; subcommands inherit nothing of this by themselves. */
function configure(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError('(add --help for the options)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'kdump-lab: ')) });
  for (const subcommand of command.commands) configure(subcommand);
}

enableCompileCache();
endQuietlyWhenOutputCloses();
installInterruptHandler();
try {
  const [, , name, ...args] = process.argv;
  const command = name === undefined ? undefined : FOREIGN_COMMANDS[name];
  if (command === undefined) await program.parseAsync();
  else process.exitCode = await command(args);
} catch (error) {
  // commander has written its message, or the help that was asked for.
  process.exitCode = error instanceof CommanderError ? error.exitCode : EXIT_FAILURE;
  if (!(error instanceof CommanderError)) reportError(error);
}
