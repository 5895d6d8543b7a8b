/** A scenario: everything that decides what happens in a run, as plain data. The options of `kdump-lab run` in one type. */
import { UsageError } from '../../capture/formats/errors.ts';
import { plainCrashkernelSize } from '../../kernel-images/command-line.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import type { Flavour } from '../../kernel-images/kernel-package.ts';
import type { DiskBus } from './lab-machine.ts';
import { checkTrigger, type TriggerName } from './triggers.ts';

/** One run of the two-kernel flow. */
export interface Scenario {
  readonly architecture: Architecture;
  readonly suite: string;
  readonly flavour: Flavour;
  /** A kernel file instead of Debian's newest. Its modules come from the Debian package of its release, if the suite has it. */
  readonly kernel: string | undefined;
  readonly mirror: string | undefined;
  /** Value of QEMU's `-machine`. */
  readonly machine: string;
  /** Value of QEMU's `-cpu`. */
  readonly cpu: string;
  readonly cpus: number;
  /** RAM in bytes. */
  readonly memorySize: number;
  /** Value of `crashkernel=`; undefined: sized by the kernel. */
  readonly crashkernel: string | undefined;
  /** More words for the production kernel's command line. */
  readonly append: string;
  /** More words for the capture kernel's command line. */
  readonly captureAppend: string;
  readonly diskBus: DiskBus;
  /** Size of the dump disk in bytes; undefined: RAM and a quarter. */
  readonly diskSize: number | undefined;
  /** Network card: value of QEMU's `-nic`; undefined: none, but for a kdump.conf that wants one. */
  readonly nic?: string | undefined;
  /** Who loads and starts the capture kernel: the guest's own kexec and kernel, or the host. */
  readonly mode: 'guest' | 'host';
  /** What tells the host of the panic, when it is to start the capture kernel. */
  readonly trigger: TriggerName;
  /** Observe kexec in the guest. */
  readonly traceKexec: boolean;
  /** Options of the guest's kexec, without `--command-line` and the like. */
  readonly kexecOptions: string;
  /** Command that saves the dump: gets /proc/vmcore and the target as last arguments (`dd` as if= and of=). */
  readonly collector: string;
  /** A kdump.conf that the capture kernel obeys. */
  readonly kdumpConf?: string | undefined;
  /** Shell command that panics the production kernel, or a name of provocations.ts. */
  readonly panic: string;
  /** Whether a few processes run at the time of the panic. */
  readonly users: boolean;
  /** The documented shortcuts: `kexec -i`, `cryptomgr.notests` in both kernels, a device tree without seeds. */
  readonly fast: boolean;
  /** Guest seconds after which the run is given up. */
  readonly timeoutSeconds: number;
}

const MIB = 1024 * 1024;

/** What `run` does without options. */
export const DEFAULT_SCENARIO: Scenario = {
  architecture: 'aarch64',
  suite: 'bookworm',
  flavour: 'cloud',
  kernel: undefined,
  mirror: undefined,
  machine: 'virt,gic-version=3',
  cpu: 'cortex-a57',
  cpus: 1,
  memorySize: 512 * MIB,
  crashkernel: undefined,
  append: '',
  captureAppend: '',
  diskBus: 'mmio',
  diskSize: undefined,
  mode: 'guest',
  trigger: 'symbol',
  traceKexec: false,
  kexecOptions: '-p -c',
  collector: 'makedumpfile -l -d 31',
  panic: 'echo c > /proc/sysrq-trigger',
  users: true,
  fast: false,
  timeoutSeconds: 120,
};

/** What differs by architecture. */
export const ARCHITECTURE_DEFAULTS: Readonly<Record<Architecture, Pick<Scenario, 'machine' | 'cpu' | 'diskBus'>>> = {
  aarch64: { machine: 'virt,gic-version=3', cpu: 'cortex-a57', diskBus: 'mmio' },
  x86_64: { machine: 'q35', cpu: 'qemu64', diskBus: 'pci' },
};

const MOST_CPUS = 8;
const LEAST_MEMORY = 128 * MIB;
const MOST_MEMORY = 3072 * MIB;

/** Checks that a scenario's numbers are possible. @throws UsageError */
export function checkScenario(scenario: Scenario): void {
  const { cpus, memorySize, crashkernel, timeoutSeconds, collector } = scenario;
  require(Number.isInteger(cpus) && cpus >= 1 && cpus <= MOST_CPUS, `--smp ${cpus}: must be 1 to ${MOST_CPUS}`);
  require(memorySize >= LEAST_MEMORY &&
    memorySize <= MOST_MEMORY &&
    memorySize % MIB === 0, `--memory: must be 128M to 3G in whole MiB, and is ${memorySize / MIB}M`);
  require(isDiskBusThere(
    scenario,
  ), `--disk-bus ${scenario.diskBus}: ${scenario.machine} has none (mmio: virt, microvm; pci: virt, q35; ide: q35)`);
  require(timeoutSeconds > 0, '--timeout: must be a number of guest seconds above 0');
  require(collector.trim() !== '', '--collector: must name a command, like "makedumpfile -l -d 31" or cp');
  if (crashkernel !== undefined) checkCrashkernel(crashkernel, memorySize);
  checkTrigger(scenario);
}

function isDiskBusThere({ machine, diskBus }: Scenario): boolean {
  const board = machine.split(',')[0]!;
  const buses: Readonly<Record<string, readonly DiskBus[]>> = {
    q35: ['pci', 'ide'],
    microvm: ['mmio'],
    virt: ['mmio', 'pci'],
  };
  return buses[board]?.includes(diskBus) ?? true;
}

function checkCrashkernel(crashkernel: string, memorySize: number): void {
  require(/^\w[\w@:,.-]*$/.test(crashkernel), `--crashkernel ${crashkernel}: not a crashkernel= value`);
  const size = plainCrashkernelSize(crashkernel);
  require(size === undefined ||
    size < memorySize, `--crashkernel ${crashkernel}: more than the machine's ${memorySize / MIB}M`);
}

function require(condition: boolean, message: string): void {
  if (!condition) throw new UsageError(message);
}
