/** From a scenario to what a machine boots: kernel, command lines, initramfs, and the ways round that this kernel needs. */
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

import { ImageError, UsageError } from '../../capture/formats/errors.ts';
import {
  captureCommandLine,
  captureKernelNeed,
  defaultCrashkernel,
  productionCommandLine,
} from '../../kernel-images/command-line.ts';
import { cpuModel } from '../../emulator/index.ts';
import { PackageArchive, type FetchEvent } from '../../kernel-images/debian/package-index.ts';
import {
  buildInitramfs,
  capturePrograms,
  fetchGuestPrograms,
  isApplet,
  type GuestPrograms,
  type Initramfs,
} from '../../kernel-images/initramfs/build.ts';
import type { GuestSettings } from '../../kernel-images/initramfs/settings.ts';
import { KernelConfig } from '../../kernel-images/kernel-config.ts';
import { readKernelImage, requireArchitecture, type KernelImage } from '../../kernel-images/kernel-image.ts';
import { resolveModules, type KernelModule, type ModuleTree } from '../../kernel-images/kernel-modules.ts';
import {
  DEBIAN_ARCHITECTURES,
  fetchKernel,
  resolveKernelPackage,
  type UnpackedKernel,
} from '../../kernel-images/kernel-package.ts';
import { checkCma, checkCollector, checkKaslrSeed } from '../../kernel-images/workarounds.ts';
import { parseNic } from '../commands/boot/networks.ts';
import { readKdumpPlan, type DumpDisk, type KdumpPlan } from './kdump-plan.ts';
import { PROVOCATIONS } from './provocations.ts';
import type { Note } from './report.ts';
import type { Scenario } from './scenario.ts';
import type { DiskBus } from './lab-machine.ts';
import { checkTriggerDriver, pvpanicDriver } from './triggers.ts';

/** A scenario made ready. */
export interface PreparedRun {
  readonly scenario: Scenario;
  readonly kernelPath: string;
  readonly image: KernelImage;
  readonly release: string;
  readonly package: { readonly name: string; readonly version: string } | undefined;
  readonly initramfs: Initramfs;
  readonly disk: DumpDisk;
  /** Of the files of the capture kernel's modules, in bytes. */
  readonly moduleSize: number;
  readonly productionCommandLine: string;
  readonly captureCommandLine: string;
  readonly seeds: boolean;
  readonly programs: Readonly<Record<string, string>>;
  /** The guest's kexec(8). */
  readonly kexecProgram: Uint8Array;
  readonly notes: readonly Note[];
}

interface ChosenKernel {
  readonly path: string;
  readonly image: KernelImage;
  readonly unpacked: UnpackedKernel | undefined;
  readonly notes: readonly Note[];
}

/** The card of a machine whose dump goes over the network. */
const DEFAULT_NIC = 'user';

/** Fetches and builds everything. @throws UsageError, ImageError, FormatError */
export async function prepareRun(asked: Scenario, onFetch?: (event: FetchEvent) => void): Promise<PreparedRun> {
  const kdump =
    asked.kdumpConf === undefined
      ? undefined
      : readKdumpPlan(asked.kdumpConf, diskName(asked), parseNic(asked.nic ?? DEFAULT_NIC, 0).network.user);
  const nic = asked.nic ?? (kdump?.settings.network === undefined ? undefined : DEFAULT_NIC);
  const scenario = kdump === undefined ? asked : { ...asked, collector: kdump.coreCollector, nic };
  // A kernel file is looked at before anything is fetched.
  const file = scenario.kernel === undefined ? undefined : await readKernelFile(scenario.kernel, scenario);
  const { architecture, suite, mirror } = scenario;
  const archive = await PackageArchive.open({
    suite,
    architecture: DEBIAN_ARCHITECTURES[architecture],
    mirror,
    onFetch,
  });
  const kernel =
    file === undefined ? await debianKernel(scenario, archive) : await kernelWithModules(scenario, file, archive);
  checkPageSize(kernel.image, scenario.cpu);
  const programs = await fetchGuestPrograms(archive, architecture, scenario.collector, kdump?.programs);
  const modules = await chooseModules(kernel, scenario, kdump);
  return assemble(scenario, kernel, programs, modules, kdump);
}

async function readKernelFile(path: string, scenario: Scenario): Promise<KernelImage> {
  if (!existsSync(path)) throw new UsageError(`--kernel ${path}: no such file`);
  const image = await readKernelImage(readFileSync(path), path);
  requireArchitecture(image, scenario.architecture, path);
  return image;
}

/** A kernel stops without a word on a CPU that does not have its pages. @throws UsageError */
function checkPageSize({ architecture, pageSize, version }: KernelImage, cpu: string): void {
  if (architecture !== 'aarch64' || pageSize !== 16_384 || cpuModel(cpu).features.has('FEAT_TGran16K')) return;
  throw new UsageError(`${version} has pages of 16 KiB, which --cpu ${cpu} has not: choose cortex-a76 or max`);
}

async function debianKernel(scenario: Scenario, archive: PackageArchive): Promise<ChosenKernel> {
  const unpacked = await fetchKernel(archive, resolveKernelPackage(archive, scenario.flavour));
  const image = await readKernelImage(readFileSync(unpacked.imagePath), basename(unpacked.imagePath));
  requireArchitecture(image, scenario.architecture, unpacked.imagePath);
  return { path: unpacked.imagePath, image, unpacked, notes: [] };
}

async function kernelWithModules(
  scenario: Scenario,
  image: KernelImage,
  archive: PackageArchive,
): Promise<ChosenKernel> {
  const path = scenario.kernel!;
  const record = image.version === '' ? undefined : archive.find(`linux-image-${image.version}`);
  if (record !== undefined) return { path, image, unpacked: await fetchKernel(archive, record), notes: [] };
  const text = `no package of ${scenario.suite} has modules for ${image.version || 'this kernel'}: its disk drivers must be built in`;
  return { path, image, unpacked: undefined, notes: [{ code: 'modules', text }] };
}

/** Modules that drive the dump disk. */
const DISK_DRIVERS: Readonly<Record<DiskBus, readonly string[]>> = {
  mmio: ['virtio_mmio', 'virtio_blk'],
  pci: ['virtio_pci', 'virtio_blk'],
  ide: ['ahci', 'sd_mod'],
};

async function chooseModules(
  { unpacked, image }: ChosenKernel,
  scenario: Scenario,
  kdump: KdumpPlan | undefined,
): Promise<ChosenModules> {
  const tree = unpacked?.modules;
  if (unpacked !== undefined) checkTriggerDriver(scenario, unpacked.config, image.version || unpacked.release);
  const always = tree === undefined ? [] : await resolveModules(tree, [...DISK_DRIVERS[scenario.diskBus], 'ext4']);
  const production =
    tree === undefined || scenario.trigger !== 'pvpanic'
      ? []
      : await resolveModules(tree, [pvpanicDriver(scenario.architecture).module]);
  const network = tree === undefined ? [] : await resolveModules(tree, networkModules(scenario, kdump));
  const { extra, missing } = await chooseExtraModules(tree, kdump?.extraModules ?? [], [...always, ...network]);
  const names = new Set(always.map(({ name }) => name));
  return { always, production, extra: [...network.filter(({ name }) => !names.has(name)), ...extra], missing };
}

/** What the way to a target behind the network needs. */
function networkModules({ diskBus }: Scenario, kdump: KdumpPlan | undefined): readonly string[] {
  if (kdump === undefined || kdump.networkModules.length === 0) return [];
  return [diskBus === 'mmio' ? 'virtio_mmio' : 'virtio_pci', ...kdump.networkModules];
}

/** What `extra_modules` of a kdump.conf needs beyond the usual ones, in load order. */
async function chooseExtraModules(
  tree: ModuleTree | undefined,
  names: readonly string[],
  modules: readonly KernelModule[],
): Promise<Pick<ChosenModules, 'extra' | 'missing'>> {
  const known = new Set(modules.map(({ name }) => name));
  const extra: KernelModule[] = [];
  const missing: string[] = [];
  for (const wanted of names) {
    const found = tree === undefined ? undefined : await tryResolve(tree, wanted);
    if (found === undefined) missing.push(wanted);
    for (const module of found ?? []) {
      if (!known.has(module.name)) extra.push(module);
      known.add(module.name);
    }
  }
  return { extra, missing };
}

async function tryResolve(tree: ModuleTree, name: string): Promise<KernelModule[] | undefined> {
  try {
    return await resolveModules(tree, [name]);
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
}

/** The guest's name of the dump disk. */
function diskName({ diskBus }: Scenario): string {
  return diskBus === 'ide' ? '/dev/sda' : '/dev/vda';
}

/** Modules of both kernels, and those of one only. */
interface ChosenModules {
  readonly always: readonly KernelModule[];
  readonly production: readonly KernelModule[];
  /** Of the capture kernel. */
  readonly extra: readonly KernelModule[];
  /** Names of `extra_modules` that the kernel does not have. */
  readonly missing: readonly string[];
}

function assemble(
  scenario: Scenario,
  kernel: ChosenKernel,
  programs: GuestPrograms,
  modules: ChosenModules,
  kdump: KdumpPlan | undefined,
): PreparedRun {
  const config = kernel.unpacked?.config ?? new KernelConfig('');
  const plan = planKernels(scenario, kernel.image, config, programs, modules.always);
  const initramfs = packInitramfs(kernel.image, programs, modules, plan.settings, kdump);
  const record = kernel.unpacked?.package;
  return {
    scenario,
    kernelPath: kernel.path,
    image: kernel.image,
    release: kernel.image.version || (kernel.unpacked?.release ?? ''),
    package: record === undefined ? undefined : { name: record.name, version: record.version },
    initramfs,
    disk: kdump?.disk ?? { kind: 'ext4' },
    moduleSize: [...modules.always, ...modules.extra].reduce((sum, { bytes }) => sum + bytes.length, 0),
    productionCommandLine: plan.productionCommandLine,
    captureCommandLine: plan.settings.captureCommandLine,
    seeds: plan.seeds,
    programs: Object.assign({}, ...[...capturePrograms(programs), programs.kexec].map(({ versions }) => versions)),
    kexecProgram: programs.kexec.files.find(({ path }) => path.endsWith('/kexec'))!.bytes,
    notes: [...kernel.notes, ...plan.notes, ...kdumpNotes(kdump, programs, modules.missing)],
  };
}

function kdumpNotes(
  kdump: KdumpPlan | undefined,
  programs: GuestPrograms,
  missingModules: readonly string[],
): readonly Note[] {
  if (kdump === undefined) return [];
  const { notes, extraBins } = kdump;
  const missing = extraBins.filter(path => !isApplet(programs, basename(path)));
  return [
    ...notes,
    ...missingModules.map(name => ({
      code: 'kdump-conf',
      text: `extra_modules ${name}: the kernel has no such module`,
    })),
    ...missing.map(path => ({
      code: 'kdump-conf',
      text: `extra_bins ${path}: the lab's initramfs has busybox's programs only`,
    })),
  ];
}

function packInitramfs(
  image: KernelImage,
  programs: GuestPrograms,
  modules: ChosenModules,
  settings: GuestSettings,
  kdump: KdumpPlan | undefined,
): Initramfs {
  return buildInitramfs({
    programs,
    modules: [...modules.always, ...modules.extra],
    productionModules: modules.production,
    settings: {
      ...settings,
      productionModules: modules.production.map(({ name }) => name),
      extraModules: modules.extra.map(({ name }) => name),
      kdump: kdump?.settings,
    },
    captureKernel: captureKernelBytes(image),
    extraFiles: kdump?.files ?? [],
    extraApplets: (kdump?.extraBins ?? []).filter(path => isApplet(programs, basename(path))),
  });
}

/** kexec takes the image as Debian ships it; compressed arm64 kernels were unpacked when they were read. */
function captureKernelBytes(image: KernelImage): Uint8Array {
  if (image.format === 'vmlinux' || image.format === 'multiboot')
    throw new ImageError(`kexec as a capture kernel wants an Image or bzImage, not a ${image.format}`);
  return image.bytes;
}

interface KernelPlan {
  readonly settings: GuestSettings;
  readonly productionCommandLine: string;
  readonly seeds: boolean;
  readonly notes: readonly Note[];
}

const MIB = 1024 * 1024;

function planKernels(
  scenario: Scenario,
  image: KernelImage,
  config: KernelConfig,
  programs: GuestPrograms,
  modules: readonly KernelModule[],
): KernelPlan {
  const need = captureKernelNeed(
    image.memorySize,
    captureInitramfsSize(programs, modules),
    config.number('CMA_SIZE_MBYTES') * MIB,
  );
  const crashkernel = scenario.crashkernel ?? defaultCrashkernel(need);
  const cma = checkCma(crashkernel, config, need);
  const seed = checkKaslrSeed(scenario.append, scenario.architecture);
  const collector = checkCollector(scenario.collector, {
    release: image.version,
    config,
    makedumpfileVersion: programs.makedumpfile.versions['makedumpfile'] ?? '',
  });
  const options = {
    architecture: scenario.architecture,
    crashkernel,
    append: [scenario.append, PROVOCATIONS[scenario.panic]?.append ?? ''].filter(word => word !== '').join(' '),
    withoutCryptoTests: scenario.fast,
    captureAppend: [cma === undefined ? '' : 'cma=0', scenario.captureAppend].filter(word => word !== '').join(' '),
  };
  return {
    settings: {
      disk: diskName(scenario),
      modules: modules.map(module => module.name),
      users: scenario.users,
      repairKallsyms: scenario.architecture === 'aarch64',
      loadsCaptureKernel: scenario.mode === 'guest',
      kexecOptions: kexecOptions(scenario),
      captureCommandLine: captureCommandLine(options),
      panic: PROVOCATIONS[scenario.panic]?.command ?? scenario.panic,
      collector: collector?.command ?? scenario.collector,
      collectorNote: collector === undefined ? '' : `${collector.code} ${collector.text}`,
    },
    productionCommandLine: productionCommandLine(options),
    seeds: !scenario.fast && seed === undefined,
    // The collector's note comes from the guest's console, when its time has come.
    notes: [cma, seed].filter(note => note !== undefined),
  };
}

function captureInitramfsSize(programs: GuestPrograms, modules: readonly KernelModule[]): number {
  const files = [...capturePrograms(programs).flatMap(program => program.files), ...modules];
  return files.reduce((sum, file) => sum + file.bytes.length, 0);
}

/** `-i` leaves out the purgatory's check of the segments; kexec_file_load has none. */
function kexecOptions(scenario: Scenario): string {
  const options = scenario.kexecOptions.trim();
  const usesFileLoad = /(^|\s)(-s|--kexec-file-syscall|-a|--kexec-syscall-auto)(\s|$)/.test(options);
  return scenario.fast && !usesFileLoad && !/(^|\s)-i(\s|$)/.test(options) ? `${options} -i` : options;
}
