/**
 * `kdump-lab kexec`: plans what kexec(8) would load, away from the machine that it is for, and checks what has been loaded. Options by the
 * names of kexec-tools; what kexec reads from the running system comes from files instead.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ImageError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import { readKernelImage, type KernelImage } from '../../kernel-images/kernel-image.ts';
import { planKexecFileLoad, planKexecLoad } from '../../kexec/load-plan-aarch64.ts';
import { planX86VmlinuxLoad } from '../../kexec/load-plan-x86_64-elf.ts';
import { planX86KexecLoad } from '../../kexec/load-plan-x86_64-tools.ts';
import { planX86KexecFileLoad } from '../../kexec/load-plan-x86_64.ts';
import { type LoadPlan, type LoadRequest, type Say } from '../../kexec/load-plan.ts';
import { mapLines, planJson, planLines } from '../../kexec/report.ts';
import type { RunningSystem } from '../../kexec/running-system.ts';
import { HELP, parseAddress, parseOptions, readFile, type Values } from './kexec/options.ts';
import { readCrashRegions, readSystem, type DescribedSystem } from './kexec/system.ts';

/** The sources of kexec/ say which functions of it they follow. */
const FOLLOWED_VERSION = '2.0.25';

/** Runs the command. @returns the exit status @throws UsageError, ImageError, FormatError */
export async function runKexec(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args);
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.version === true) {
    console.log(`kexec-tools ${FOLLOWED_VERSION}`);
    return 0;
  }
  if (values['print-ckr-size'] === true) return printRegionSize(values);
  if (values.check === true) return (await import('./kexec/check.ts')).runCheck(positionals, values);
  if (values.status === true) return showStatus(values);
  if (values.unload === true) return unload(values);
  const [kernelFile, ...rest] = positionals;
  if (kernelFile === undefined) throw new UsageError('kexec: No kernel specified (add --help for the options)');
  if (rest.length > 0) throw new UsageError(`kexec: more than one kernel: ${rest.join(' ')}`);
  const kernel = await readKernelImage(readFile('KERNEL', kernelFile), kernelFile);
  checkType(values, kernel);
  const described = await readSystem(values, chooseArchitecture(values, kernel));
  if (kernel.architecture !== described.system.architecture)
    throw new ImageError(`Cannot determine the file type of ${kernelFile}: a kernel for ${kernel.architecture}`);
  const request = loadRequest(values, described, kernel.bytes);
  const plan = makePlan(values, described, request, kernel.format);
  show(values, described.system, plan);
  if (values.out !== undefined) writePlan(values, values.out, plan);
  return 0;
}

/** `file_type` of kexec-tools: what it calls the kernels that it loads. */
const KERNEL_TYPES = {
  aarch64: ['vmlinux', 'Image', 'uImage', 'zImage'],
  x86_64: [
    'multiboot2-x86',
    'elf-x86_64',
    'multiboot-x86',
    'elf-x86',
    'bzImage64',
    'bzImage',
    'beoboot-x86',
    'nbi-x86',
  ],
} as const;

/** `--type`, in kexec's words. @throws UsageError */
function checkType({ type }: Values, { architecture, format }: KernelImage): void {
  if (type === undefined) return;
  const known: readonly string[] = KERNEL_TYPES[architecture];
  if (!known.includes(type)) throw new UsageError(`kexec: Unsupported kernel type ${type}`);
  const actual = typeOf(architecture, format);
  if (type !== actual) throw new UsageError(`kexec: Wrong file type ${type}, file matches type ${actual}`);
}

/** Compressed Images have been unpacked when they were read. */
function typeOf(architecture: KernelImage['architecture'], format: KernelImage['format']): string {
  if (architecture === 'aarch64') return format === 'vmlinux' ? 'vmlinux' : 'Image';
  return { vmlinux: 'elf-x86_64', multiboot: 'multiboot-x86' }[format as string] ?? 'bzImage64';
}

/** As kexec --print-ckr-size: 0 when nothing is reserved. */
async function printRegionSize(values: Values): Promise<number> {
  const region = (await readCrashRegions(values)).at(-1);
  console.log(String(region === undefined ? 0 : region.end - region.start));
  return 0;
}

/** @throws UsageError for a name that is none, UnimplementedError for a kernel that cannot be planned */
function chooseArchitecture({ arch }: Values, { architecture, format }: KernelImage): RunningSystem['architecture'] {
  if (format === 'vmlinux' && architecture === 'aarch64')
    throw new UnimplementedError('kexec of an arm64 vmlinux: give its Image', 'kexec(8)');
  if (arch === undefined) return architecture;
  if (arch === 'arm64' || arch === 'aarch64') return 'aarch64';
  if (arch === 'amd64' || arch === 'x86_64') return 'x86_64';
  throw new UsageError(`kexec: --arch ${arch}: must be aarch64 or x86_64`);
}

function loadRequest(values: Values, described: DescribedSystem, kernel: Uint8Array): LoadRequest {
  if (values.reuseinitrd === true) checkReuseInitrd(described);
  const { architecture, deviceTree } = described.system;
  if (architecture === 'aarch64' && values.dtb === undefined && deviceTree.length === 0)
    throw new UsageError('kexec: No device tree available: the dump does not have it, give --fdt or --dtb');
  const initrd = values.initrd ?? values.ramdisk;
  const maximum = values['mem-max'];
  return {
    kernel,
    initrd: initrd === undefined ? undefined : readFile('--initrd', initrd),
    commandLine: commandLine(values, described),
    onPanic: values['load-panic'] === true,
    noChecks: values['no-checks'] === true,
    memory: {
      start: parseAddress('mem-min', values['mem-min'] ?? '0'),
      end: maximum === undefined ? Number.MAX_SAFE_INTEGER : parseAddress('mem-max', maximum) + 1,
    },
    entry: values.entry === undefined ? undefined : parseAddress('entry', values.entry),
    dtb: values.dtb === undefined ? undefined : readFile('--dtb', values.dtb),
    kaslrSeed: undefined,
    rngSeed: undefined,
  };
}

/** As kexec-tools, in its words. Even on arm64 it then leaves the old initrd where it is: the new kernel is not told of one. */
function checkReuseInitrd({ system, commandLine: running }: DescribedSystem): void {
  if (running?.includes('retain_initrd') !== true)
    throw new UsageError("unrecoverable error: current boot didn't retain the initrd for reuse.");
  if (system.architecture === 'x86_64') throw new UsageError('--reuseinitrd not implemented on this architecture');
}

/** `--reuse-cmdline` in front, less what belongs to the first kernel; then `--append`. */
function commandLine(values: Values, { commandLine: running }: DescribedSystem): string | undefined {
  const append = values['command-line'] ?? values.append;
  if (values['reuse-cmdline'] !== true) return append;
  if (running === undefined) throw new UsageError('kexec: Failed to read /proc/cmdline: give --cmdline');
  const dropped = ['BOOT_IMAGE', ...(values['load-panic'] === true ? ['crashkernel'] : [])];
  const kept = dropped.reduce(removeParameter, running);
  return append === undefined ? kept : `${kept} ${append}`;
}

/** `remove_parameter`: the first word that begins so, with the blank behind it. */
function removeParameter(line: string, name: string): string {
  return line.replace(new RegExp(`(^|\\s)${name}\\S*( |$)`), '$1');
}

function makePlan(
  values: Values,
  described: DescribedSystem,
  request: LoadRequest,
  format: KernelImage['format'],
): LoadPlan {
  const say = (line: string): void => {
    if (values.debug === true) console.log(line);
  };
  if (described.system.architecture === 'aarch64') sayOptions(values, request, say);
  say('Try gzip decompression.');
  const isAuto = values.syscall === 'auto';
  if (values.syscall === 'load') return planLoad(described, request, format, say);
  if (described.hasKexecFileLoad === false) {
    if (!isAuto) throw new UsageError('syscall kexec_file_load not available.');
    return planLoad(described, request, format, say);
  }
  try {
    return planFileLoad(described, request, say);
  } catch (error) {
    // EINVAL and ENOEXEC: the kernel does not know the image. For what else it refuses kexec gives up.
    if (!isAuto || !(error instanceof ImageError)) throw error;
    return planLoad(described, request, format, say);
  }
}

/** With the line numbers of kexec-tools 2.0.25. */
function sayOptions(values: Values, request: LoadRequest, say: Say): void {
  const dtb = values.dtb !== undefined && values.syscall !== 'load' ? '(ignored)' : values.dtb;
  say(`arch_process_options:178: command_line: ${request.commandLine ?? '(null)'}`);
  say(`arch_process_options:180: initrd: ${values.initrd ?? values.ramdisk ?? '(null)'}`);
  say(`arch_process_options:182: dtb: ${dtb ?? '(null)'}`);
  say('arch_process_options:185: console: (null)');
}

function planLoad(
  { system, firmware }: DescribedSystem,
  request: LoadRequest,
  format: KernelImage['format'],
  say: Say,
): LoadPlan {
  if (firmware === undefined) return planKexecLoad(system, request, say);
  const plan = format === 'vmlinux' ? planX86VmlinuxLoad : planX86KexecLoad;
  return plan(system, firmware, request, say);
}

function planFileLoad({ system, firmware }: DescribedSystem, request: LoadRequest, say: Say): LoadPlan {
  if (firmware !== undefined) return planX86KexecFileLoad(system, firmware, request, say);
  say('elf_arm64_probe: Not an ELF executable.');
  return planKexecFileLoad(system, request, say);
}

function show(values: Values, system: RunningSystem, plan: LoadPlan): void {
  if (values.json === true) console.log(JSON.stringify(planJson(plan), undefined, 2));
  else if (values.debug === true || (values.map !== true && values.out === undefined))
    console.log(planLines(plan).join('\n'));
  const starts = plan.segments.map(segment => segment.mem);
  const ends = plan.segments.map(({ mem, memsz }) => mem + memsz);
  const used = { start: Math.min(...starts), end: Math.max(...ends) };
  const region = values['load-panic'] === true ? (system.crashRegions.at(-1) ?? used) : used;
  if (values.map === true) console.log(mapLines(plan, region).join('\n'));
}

/** The kernel keeps one image for a panic and one for a reboot. */
function planFile(isPanic: boolean): string {
  return isPanic ? 'plan-panic.json' : 'plan-reboot.json';
}

function segmentFile(isPanic: boolean, name: string, mem: number): string {
  return `${isPanic ? 'panic' : 'reboot'}-0x${mem.toString(16)}-${name}.bin`;
}

function writePlan(values: Values, folder: string, plan: LoadPlan): void {
  const isPanic = values['load-panic'] === true;
  mkdirSync(folder, { recursive: true });
  forget(folder, isPanic);
  for (const { name, bytes, mem } of plan.segments) writeFileSync(join(folder, segmentFile(isPanic, name, mem)), bytes);
  // Last: the folder holds an image when it is there.
  writeFileSync(join(folder, planFile(isPanic)), `${JSON.stringify(planJson(plan), undefined, 2)}\n`);
}

function needOut(values: Values): string {
  if (values.out === undefined)
    throw new UsageError('kexec: -S and -u look at the folder of an earlier load: give --out');
  return values.out;
}

/** As kexec -S: 1 means loaded; without -l it asks for the image for a panic. */
function showStatus(values: Values): number {
  const isPanic = values['load-panic'] === true || values.load !== true;
  return existsSync(join(needOut(values), planFile(isPanic))) ? 1 : 0;
}

function unload(values: Values): number {
  forget(needOut(values), values['load-panic'] === true);
  return 0;
}

function forget(folder: string, isPanic: boolean): void {
  const file = join(folder, planFile(isPanic));
  if (!existsSync(file)) return;
  const plan = JSON.parse(readFileSync(file, 'utf8')) as { segments: { name: string; mem: number }[] };
  rmSync(file);
  for (const { name, mem } of plan.segments) rmSync(join(folder, segmentFile(isPanic, name, mem)), { force: true });
}
