/** The commands that read their options with commander, and the help over all commands. */
import { Command } from 'commander';

import packageJson from '../package.json' with { type: 'json' };
import { bootCommand } from './commands/boot.ts';
import { demoCommand } from './commands/demo.ts';
import { dumpCommand } from './commands/dump.ts';
import { imagesCommand } from './commands/images.ts';
import { kdumpctlCommand } from './commands/kdumpctl.ts';
import { runCommand, withTwoDashes } from './commands/run.ts';

/** `kdump-lab` with all its commands. */
export function commandLine(): Command {
  const program = new Command('kdump-lab')
    .description(
      'Boots real Linux kernels on an emulated machine, crashes them, captures the dump through kexec, and analyses it.',
    )
    .version(packageJson.version)
    .configureHelp({ showGlobalOptions: true });
  program.addCommand(demoCommand());
  program.addCommand(runCommand());
  program.addCommand(bootCommand());
  program.addCommand(dumpCommand());
  program.addCommand(
    new Command('crash').description('read a dump, with the commands of crash').usage('[options] [vmlinux] VMCORE'),
  );
  program.addCommand(
    new Command('makedumpfile').description('filter, compress and convert dumps').usage('[options] VMCORE DUMPFILE'),
  );
  program.addCommand(
    new Command('kexec')
      .description('plan what kexec would load, and look at what it loaded')
      .usage('[options] KERNEL'),
  );
  program.addCommand(kdumpctlCommand());
  program.addCommand(imagesCommand());
  configure(program);
  return program;
}

/** `run` takes its options with one dash, too. */
export function spelledForUs(argv: readonly string[]): string[] {
  return argv[2] === 'run' ? withTwoDashes(argv) : [...argv];
}

/** Errors are thrown, and read like all others; subcommands inherit nothing of this by themselves. */
function configure(command: Command): void {
  command
    .exitOverride()
    .showHelpAfterError('(add --help for the options)')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'kdump-lab: ')) });
  for (const subcommand of command.commands) configure(subcommand);
}
