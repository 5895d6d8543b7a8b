/** Options of `kdump-lab kexec`. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { UnimplementedError, UsageError } from '../../../capture/formats/errors.ts';

export const HELP = `Usage: kdump-lab kexec [options] KERNEL
       kdump-lab kexec --check DUMP | --check --socket PATH
Plans what kexec would load for a system, and shows or writes the segments; or checks what a system has loaded.

Options of kexec(8):
  -p, --load-panic         for a panic, into the crash kernel region
  -l, --load               for a reboot (default)
  -u, --unload             forget what --out holds: with -p the image for a panic
  -S, --status             exit 1 if --out holds an image for a panic (-l: for a reboot), else 0
  -c, --kexec-syscall      as kexec-tools does for kexec_load (default)
  -s, --kexec-file-syscall as the kernel does in kexec_file_load
  -a, --kexec-syscall-auto -s, and -c where the kernel has no kexec_file_load or does not know the image
  -i, --no-checks          no verification in the purgatory
  -d, --debug              what kexec-tools and the kernel print
  --command-line, --append TEXT, --reuse-cmdline
  --initrd, --ramdisk FILE, --reuseinitrd
  --dtb FILE               arm64: device tree instead of the system's
  --mem-min, --mem-max, --entry ADDRESS
  -t, --type TYPE          refuse a kernel of another type: Image, bzImage64, elf-x86_64
  --print-ckr-size         size of the crash kernel region in bytes
  -v, --version            the version of kexec-tools that is followed
  --args-linux, -x, -y     without effect here
Not here, because they act on the running system: -e, -f, and others (their names are known, and refused).

The system, from its files:
  --arch ARCH              aarch64 or x86_64 (default: that of the kernel)
  --iomem FILE             its /proc/iomem
  --fdt FILE               arm64: its /sys/firmware/fdt
  --boot-params FILE       x86_64: its /sys/kernel/boot_params/data
  --kallsyms FILE          its /proc/kallsyms: arm64 _text, _stext, __init_begin; x86_64 _text, _end
  --cmdline FILE           its /proc/cmdline, for --reuse-cmdline
  --vmcoreinfo 'ADDR SIZE' its /sys/kernel/vmcoreinfo (hexadecimal)
  --crash-notes ADDR,...   its crash_notes, one for each CPU (hexadecimal)
  --crash-notes-size N     bytes of each (default: 424 on arm64, 368 on x86_64)
  --page-offset, --phys-offset ADDRESS   of its linear map
or:
  --debug-log FILE         what its 'kexec -p -c -d' printed; arm64 needs --fdt, too
  --from DUMP              a dump of it: all of the above

Output:
  --map                    what lies where
  --json                   the plan, or the result of --check, as JSON
  --out DIR                a file for each segment, and plan-panic.json or plan-reboot.json
`;

const OPTIONS = {
  'load-panic': { type: 'boolean', short: 'p' },
  load: { type: 'boolean', short: 'l' },
  unload: { type: 'boolean', short: 'u' },
  status: { type: 'boolean', short: 'S' },
  'kexec-syscall': { type: 'boolean', short: 'c' },
  'kexec-file-syscall': { type: 'boolean', short: 's' },
  'kexec-syscall-auto': { type: 'boolean', short: 'a' },
  'no-checks': { type: 'boolean', short: 'i' },
  'no-ifdown': { type: 'boolean', short: 'x' },
  'no-sync': { type: 'boolean', short: 'y' },
  type: { type: 'string', short: 't' },
  'print-ckr-size': { type: 'boolean' },
  'args-linux': { type: 'boolean' },
  version: { type: 'boolean', short: 'v' },
  debug: { type: 'boolean', short: 'd' },
  help: { type: 'boolean', short: 'h' },
  'command-line': { type: 'string' },
  append: { type: 'string' },
  'reuse-cmdline': { type: 'boolean' },
  initrd: { type: 'string' },
  ramdisk: { type: 'string' },
  reuseinitrd: { type: 'boolean' },
  dtb: { type: 'string' },
  'mem-min': { type: 'string' },
  'mem-max': { type: 'string' },
  entry: { type: 'string' },
  arch: { type: 'string' },
  iomem: { type: 'string' },
  fdt: { type: 'string' },
  'boot-params': { type: 'string' },
  kallsyms: { type: 'string' },
  cmdline: { type: 'string' },
  vmcoreinfo: { type: 'string' },
  'crash-notes': { type: 'string' },
  'crash-notes-size': { type: 'string' },
  'page-offset': { type: 'string' },
  'phys-offset': { type: 'string' },
  'debug-log': { type: 'string' },
  from: { type: 'string' },
  check: { type: 'boolean' },
  socket: { type: 'string' },
  map: { type: 'boolean' },
  json: { type: 'boolean' },
  out: { type: 'string' },
} as const satisfies ParseArgsConfig['options'];

/** Options of kexec(8) that are refused by name: why, and what they are. */
const REFUSALS = [
  {
    why: 'it acts on the running system, which is not here: kdump-lab run does the whole flow',
    options: {
      exec: { type: 'boolean', short: 'e' },
      force: { type: 'boolean', short: 'f' },
      'exec-live-update': { type: 'boolean' },
      'load-live-update': { type: 'boolean' },
    },
  },
  {
    why: 'coming back from the loaded kernel is not modelled',
    options: { 'load-preserve-context': { type: 'boolean' }, 'load-jump-back-helper': { type: 'boolean' } },
  },
  {
    why: 'only the 64-bit entry of Linux kernels is modelled',
    options: {
      'args-elf': { type: 'boolean' },
      'args-none': { type: 'boolean' },
      'entry-32bit': { type: 'boolean' },
      'real-mode': { type: 'boolean' },
      module: { type: 'string' },
    },
  },
  {
    why: "the purgatory has no console, and firmware's settings are passed on as they are",
    options: {
      serial: { type: 'string' },
      'serial-baud': { type: 'string' },
      'console-vga': { type: 'boolean' },
      'console-serial': { type: 'boolean' },
      'reset-vga': { type: 'boolean' },
      'reuse-video-type': { type: 'boolean' },
      noefi: { type: 'boolean' },
      'pass-memmap-cmdline': { type: 'boolean' },
    },
  },
] as const satisfies readonly { readonly why: string; readonly options: ParseArgsConfig['options'] }[];

export type Values = ReturnType<typeof parseOptions>['values'];

/** @throws UsageError, UnimplementedError */
export function parseOptions(args: readonly string[]) {
  const named = optionNames(args);
  refuse(named);
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
    strict: true,
  });
  return { values: { ...values, syscall: lastSyscall(named) }, positionals };
}

/** Long names in the order of the command line. @throws UsageError for what kexec(8) and this command do not know */
function optionNames(args: readonly string[]): string[] {
  const known: NonNullable<ParseArgsConfig['options']> = Object.assign(
    {},
    OPTIONS,
    ...REFUSALS.map(({ options }) => options),
  );
  try {
    const { tokens } = parseArgs({
      args: [...args],
      options: known,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
    return tokens.flatMap(token => (token.kind === 'option' ? [token.name] : []));
  } catch (error) {
    throw new UsageError(`kexec: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

/** @throws UnimplementedError for an option that kexec(8) has and this command has not */
function refuse(named: readonly string[]): void {
  for (const { why, options } of REFUSALS) {
    const name = named.find(each => each in options);
    if (name !== undefined)
      throw new UnimplementedError(`option of kexec(8) that acts on more than the plan: --${name}: ${why}`, 'kexec(8)');
  }
}

/** Which system call to make; `auto`: kexec_load where the kernel does not take the image by the other. */
export type SyscallChoice = 'load' | 'file' | 'auto';

const SYSCALL_CHOICES: Readonly<Record<string, SyscallChoice>> = {
  'kexec-syscall': 'load',
  'kexec-file-syscall': 'file',
  'kexec-syscall-auto': 'auto',
};

/** Of -c, -s and -a the last counts. */
function lastSyscall(names: readonly string[]): SyscallChoice {
  return names.flatMap(name => SYSCALL_CHOICES[name] ?? []).at(-1) ?? 'load';
}

/** @throws UsageError when there is no such file */
export function readFile(what: string, path: string): Buffer {
  if (!existsSync(path)) throw new UsageError(`kexec: ${what} ${path}: no such file`);
  return readFileSync(path);
}

/** Log files of serial consoles have carriage returns. */
export function readText(what: string, path: string): string {
  return readFile(what, path).toString('latin1').replaceAll('\r', '');
}

/** A number as strtoul reads it with base 0: a leading 0 means octal. */
export function parseAddress(option: string, text: string): number {
  if (!/^(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(text))
    throw new UsageError(`kexec: Bad option value in --${option}=${text}`);
  return /^0[0-7]/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

export function parseHex(option: string, text: string): number {
  if (!/^(0x)?[\da-f]+$/i.test(text)) throw new UsageError(`kexec: Bad option value in --${option}=${text}`);
  return Number.parseInt(text, 16);
}
