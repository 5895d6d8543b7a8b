/**
 * `kdump-lab kexec`: plans what kexec(8) would load, away from the machine that it is for. Options by the names of kexec-tools; what
 * kexec reads from the running system comes from files instead.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, type ParseArgsConfig } from 'node:util';

import { asBuffer } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import { findNode, findProperty, parseFdt } from '../../capture/formats/fdt.ts';
import { readKernelImage } from '../../kernel-images/kernel-image.ts';
import { systemOfDebugLog } from '../../kexec/debug-log.ts';
import { planKexecFileLoad, planKexecLoad } from '../../kexec/load-plan-aarch64.ts';
import { type LoadPlan, type LoadRequest } from '../../kexec/load-plan.ts';
import { mapLines, planJson, planLines } from '../../kexec/report.ts';
import { kernelTextOf, memoryOf, parseIomem, parseKallsyms, type RunningSystem } from '../../kexec/running-system.ts';

const HELP = `Usage: kdump-lab kexec [options] KERNEL
Plans what kexec would load for a system, and shows or writes the segments.

Options of kexec(8):
  -p, --load-panic         for a panic, into the crash kernel region
  -l, --load               for a reboot
  -u, --unload             forget what --out holds
  -S, --status             exit 1 if --out holds a loaded image, else 0
  -c, --kexec-syscall      as kexec-tools does for kexec_load (default)
  -s, --kexec-file-syscall as the kernel does in kexec_file_load
  -a, --kexec-syscall-auto -s, and -c where that fails
  -i, --no-checks          no verification in the purgatory
  -d, --debug              what kexec-tools and the kernel print
  --command-line, --append TEXT, --reuse-cmdline
  --initrd, --ramdisk FILE
  --dtb FILE               device tree instead of the system's
  --mem-min, --mem-max, --entry ADDRESS

The system:
  --iomem FILE             its /proc/iomem
  --fdt FILE               its /sys/firmware/fdt
  --kallsyms FILE          its /proc/kallsyms: _text, _stext, __init_begin
  --vmcoreinfo 'ADDR SIZE' its /sys/kernel/vmcoreinfo (hexadecimal)
  --crash-notes ADDR,...   its crash_notes, one for each CPU (hexadecimal)
  --crash-notes-size N     bytes of each (default 424)
  --page-offset, --phys-offset ADDRESS   of its linear map
  --debug-log FILE         instead of all but --fdt: what its 'kexec -p -c -d' printed

Output:
  --map                    what lies where
  --json                   the plan as JSON
  --out DIR                a file for each segment, and plan.json
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
  iomem: { type: 'string' },
  fdt: { type: 'string' },
  kallsyms: { type: 'string' },
  vmcoreinfo: { type: 'string' },
  'crash-notes': { type: 'string' },
  'crash-notes-size': { type: 'string' },
  'page-offset': { type: 'string' },
  'phys-offset': { type: 'string' },
  'debug-log': { type: 'string' },
  map: { type: 'boolean' },
  json: { type: 'boolean' },
  out: { type: 'string' },
} as const satisfies ParseArgsConfig['options'];

type Values = ReturnType<typeof parse>['values'];

/** sizeof(note_buf_t) on arm64: NT_PRSTATUS and the end of the notes. */
const NOTE_BUFFER_SIZE = 424;

/** Runs the command. @returns the exit status @throws UsageError, ImageError, FormatError */
export async function runKexec(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args);
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.status === true) return showStatus(values);
  if (values.unload === true) return unload(values);
  const [kernelFile, ...rest] = positionals;
  if (kernelFile === undefined) throw new UsageError('kexec: No kernel specified (add --help for the options)');
  if (rest.length > 0) throw new UsageError(`kexec: more than one kernel: ${rest.join(' ')}`);
  const system = readSystem(values);
  const kernel = await readKernelImage(readFile('KERNEL', kernelFile), kernelFile);
  const request = loadRequest(values, system, kernel.bytes);
  const plan = makePlan(values, system, request);
  show(values, system, plan);
  if (values.out !== undefined) writePlan(values.out, plan);
  return 0;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`kexec: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function readFile(what: string, path: string): Buffer {
  if (!existsSync(path)) throw new UsageError(`kexec: ${what} ${path}: no such file`);
  return readFileSync(path);
}

/** A number as strtoul reads it with base 0. */
function parseAddress(option: string, text: string): number {
  if (!/^(0x[\da-f]+|\d+)$/i.test(text)) throw new UsageError(`kexec: Bad option value in --${option}=${text}`);
  return Number(text);
}

function parseHex(option: string, text: string): number {
  if (!/^(0x)?[\da-f]+$/i.test(text)) throw new UsageError(`kexec: Bad option value in --${option}=${text}`);
  return Number.parseInt(text, 16);
}

function readSystem(values: Values): RunningSystem {
  const tree = values.fdt ?? values.dtb;
  const deviceTree = tree === undefined ? new Uint8Array(0) : readFile('--fdt', tree);
  if (tree === undefined) throw new UsageError('kexec: No device tree available: give --fdt or --dtb');
  const log = values['debug-log'];
  if (log !== undefined) return systemOfDebugLog(readText('--debug-log', log), deviceTree, log);
  if (values.iomem === undefined) throw new UsageError('kexec: give --iomem, or --debug-log, to describe the system');
  const memory = memoryOf(parseIomem(readText('--iomem', values.iomem), values.iomem));
  if (memory.systemRam.length === 0)
    throw new UsageError('kexec: Could not get memory layout: no System RAM in --iomem');
  return {
    architecture: 'aarch64',
    ...memory,
    cpuNotes: cpuNotes(values),
    vmcoreinfo: vmcoreinfo(values),
    kernelText: kernelText(values, memory),
    pageOffset: BigInt(values['page-offset'] ?? '0xffff000000000000'),
    physOffset: parseAddress('phys-offset', values['phys-offset'] ?? String(memory.systemRam[0]!.start)),
    deviceTree,
  };
}

/** Log files of serial consoles have carriage returns. */
function readText(what: string, path: string): string {
  return readFile(what, path).toString('latin1').replaceAll('\r', '');
}

function cpuNotes(values: Values): RunningSystem['cpuNotes'] {
  const size = parseAddress('crash-notes-size', values['crash-notes-size'] ?? String(NOTE_BUFFER_SIZE));
  const addresses = values['crash-notes']?.split(',') ?? [];
  return addresses.map(address => ({ paddr: parseHex('crash-notes', address), size }));
}

function vmcoreinfo(values: Values): RunningSystem['vmcoreinfo'] {
  if (values.vmcoreinfo === undefined) return undefined;
  const [paddr = '', size = ''] = values.vmcoreinfo.trim().split(/\s+/);
  return { paddr: parseHex('vmcoreinfo', paddr), size: parseHex('vmcoreinfo', size) };
}

function kernelText(values: Values, memory: ReturnType<typeof memoryOf>): RunningSystem['kernelText'] {
  if (values.kallsyms === undefined) return undefined;
  const names = ['_text', '_stext', '__init_begin'] as const;
  const found = parseKallsyms(readText('--kallsyms', values.kallsyms), names);
  const [_text, _stext, __init_begin] = names.map(name => {
    const address = found.get(name);
    if (address !== undefined && address !== 0n) return address;
    throw new UsageError(`kexec: --kallsyms ${values.kallsyms ?? ''}: no address of ${name}`);
  }) as [bigint, bigint, bigint];
  return kernelTextOf(memory, { _text, _stext, __init_begin });
}

function loadRequest(values: Values, system: RunningSystem, kernel: Uint8Array): LoadRequest {
  if (values.reuseinitrd === true)
    throw new UsageError('kexec: --reuseinitrd needs the memory of the running system: give its initrd with --initrd');
  const initrd = values.initrd ?? values.ramdisk;
  const maximum = values['mem-max'];
  return {
    kernel,
    initrd: initrd === undefined ? undefined : readFile('--initrd', initrd),
    commandLine: commandLine(values, system),
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

/** `--reuse-cmdline` in front, less what belongs to the first kernel; then `--append`. */
function commandLine(values: Values, system: RunningSystem): string | undefined {
  const append = values['command-line'] ?? values.append;
  if (values['reuse-cmdline'] !== true) return append;
  const chosen = findNode(parseFdt(system.deviceTree).root, '/chosen');
  const bootargs = chosen && findProperty(chosen, 'bootargs');
  const words = bootargs === undefined ? [] : asBuffer(bootargs).toString('latin1').replace(/\0.*$/s, '').split(/\s+/);
  const dropped = values['load-panic'] === true ? /^(BOOT_IMAGE|crashkernel)=/ : /^BOOT_IMAGE=/;
  const kept = words.filter(word => word !== '' && !dropped.test(word));
  return [...kept, ...(append === undefined ? [] : [append])].join(' ');
}

function makePlan(values: Values, system: RunningSystem, request: LoadRequest): LoadPlan {
  const say = (line: string): void => {
    if (values.debug === true) console.log(line);
  };
  if (values.debug === true) {
    say(`arch_process_options: command_line: ${request.commandLine ?? '(null)'}`);
    say(`arch_process_options: initrd: ${values.initrd ?? values.ramdisk ?? '(null)'}`);
    say(`arch_process_options: dtb: ${values.dtb ?? '(null)'}`);
  }
  const auto = values['kexec-syscall-auto'] === true;
  if (values['kexec-file-syscall'] !== true && !auto) return planKexecLoad(system, request, say);
  try {
    return planKexecFileLoad(system, request, say);
  } catch (error) {
    if (!auto || !(error instanceof UsageError)) throw error;
    say(`${error.message}: trying kexec_load`);
    return planKexecLoad(system, request, say);
  }
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

const PLAN_FILE = 'plan.json';

function writePlan(folder: string, plan: LoadPlan): void {
  mkdirSync(folder, { recursive: true });
  for (const { name, bytes, mem } of plan.segments)
    writeFileSync(join(folder, `0x${mem.toString(16)}-${name}.bin`), bytes);
  // Last: the folder holds an image when it is there.
  writeFileSync(join(folder, PLAN_FILE), `${JSON.stringify(planJson(plan), undefined, 2)}\n`);
}

function needOut(values: Values): string {
  if (values.out === undefined)
    throw new UsageError('kexec: -S and -u look at the folder of an earlier load: give --out');
  return values.out;
}

/** As kexec -S: 1 means loaded. */
function showStatus(values: Values): number {
  return existsSync(join(needOut(values), PLAN_FILE)) ? 1 : 0;
}

function unload(values: Values): number {
  const folder = needOut(values);
  const file = join(folder, PLAN_FILE);
  if (!existsSync(file)) return 0;
  const plan = JSON.parse(readFileSync(file, 'utf8')) as { segments: { name: string; mem: number }[] };
  rmSync(file);
  for (const { name, mem } of plan.segments) rmSync(join(folder, `0x${mem.toString(16)}-${name}.bin`), { force: true });
  return 0;
}
