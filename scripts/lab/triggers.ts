/**
 * How the host learns in host mode that the production kernel has crashed.
 *
 * Sources: Linux v6.12 `kernel/panic.c` "panic", `drivers/misc/pvpanic/`, `drivers/tty/sysrq.c` "sysrq_handle_crash"; QEMU
 * docs/specs/pvpanic.rst.
 */
import { UsageError } from '../../capture/formats/errors.ts';
import type { ExtraDevice, IsaDevice, PvpanicEvent } from '../../emulator/index.ts';
import type { KernelConfig } from '../../kernel-images/kernel-config.ts';
import { PROVOCATIONS } from './provocations.ts';
import type { Scenario } from './scenario.ts';

/** A function of the kernel that is watched. */
export interface WatchedFunction {
  readonly name: string;
  /** Whether its first argument is the `struct pt_regs` that an exception saved, or NULL. */
  readonly takesRegisters: boolean;
}

/** One way to learn of a crash. */
export interface Trigger {
  readonly what: string;
  /** Why the host may not have learned of a panic. */
  readonly missed: string;
  /** The first of them that the kernel has is watched. */
  readonly functions: readonly WatchedFunction[];
}

/** By the names that `run --trigger` takes. */
export const TRIGGERS = {
  symbol: {
    what: 'where every panic looks for a capture kernel: __crash_kexec, found in kallsyms; nothing is stopped or notified yet',
    missed: 'it had not described itself yet (VMCOREINFO), as host mode needs it',
    functions: [
      { name: '__crash_kexec', takesRegisters: true },
      { name: 'crash_kexec', takesRegisters: true },
      { name: 'panic', takesRegisters: false },
    ],
  },
  pvpanic: {
    what: 'a write of the pvpanic driver, one of the panic notifiers: the kernel has stopped the other CPUs before, and they wait',
    missed: 'its pvpanic driver was not there yet: take --trigger symbol',
    functions: [],
  },
  sysrq: {
    what: "the handler of sysrq's c, found in kallsyms: panic() is not called, and the log tells of none",
    missed: "it was not sysrq's c: take --trigger symbol",
    functions: [{ name: 'sysrq_handle_crash', takesRegisters: false }],
  },
} as const satisfies Readonly<Record<string, Trigger>>;

/** A key of `TRIGGERS`. */
export type TriggerName = keyof typeof TRIGGERS;

/** What a board's pvpanic needs of the kernel. */
interface PvpanicDriver {
  /** The module that drives it. */
  readonly module: string;
  /** Its option in the kernel's configuration. */
  readonly option: string;
}

/** PCs have the port, which ACPI tells of; `virt` has the PCI function. */
export function pvpanicDriver(architecture: Scenario['architecture']): PvpanicDriver {
  return architecture === 'aarch64'
    ? { module: 'pvpanic_pci', option: 'PVPANIC_PCI' }
    : { module: 'pvpanic_mmio', option: 'PVPANIC_MMIO' };
}

/** The device that a trigger needs on the board. @param panicked is called when the guest says that it has panicked */
export function triggerDevices(
  trigger: TriggerName,
  architecture: Scenario['architecture'],
  panicked: () => void,
): (ExtraDevice | IsaDevice)[] {
  if (trigger !== 'pvpanic') return [];
  const report = (event: PvpanicEvent): void => {
    if (event === 'panicked') panicked();
  };
  return [{ type: architecture === 'aarch64' ? 'pvpanic' : 'pvpanic-isa', report }];
}

/** Checks that a trigger fits the scenario. @throws UsageError */
export function checkTrigger({ trigger, mode, panic }: Scenario): void {
  if (trigger === 'symbol') return;
  if (mode !== 'host')
    throw new UsageError(
      `--trigger ${trigger}: only with --mode host; in guest mode the guest's kernel takes over itself`,
    );
  if (trigger === 'sysrq' && panic !== 'sysrq' && Object.hasOwn(PROVOCATIONS, panic))
    throw new UsageError(`--trigger sysrq: --panic ${panic} is no crash by sysrq's c: take --trigger symbol`);
}

/** Checks that a kernel of a known configuration has what a trigger needs. @throws UsageError */
export function checkTriggerDriver({ trigger, architecture }: Scenario, config: KernelConfig, release: string): void {
  const { option } = pvpanicDriver(architecture);
  if (trigger !== 'pvpanic' || config.size === 0 || config.get(option) !== undefined) return;
  throw new UsageError(
    `--trigger pvpanic: ${release} has no driver for it (CONFIG_${option} is not set; Debian's arm64 kernels have none)`,
  );
}
