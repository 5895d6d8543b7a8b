/** The settings that our `/init` reads: one typed record, written as shell assignments. */

/** Contents of `/etc/kdump-lab.conf`. */
export interface GuestSettings {
  /** Block device of the dump disk: `/dev/vda`. */
  readonly disk: string;
  /** Modules in load order. */
  readonly modules: readonly string[];
  /** Whether to start a few processes before the panic. */
  readonly users: boolean;
  /** Whether `/proc/kallsyms` may need the way round for kexec-tools (arm64). */
  readonly repairKallsyms: boolean;
  /** Whether the guest runs kexec; if not, the host takes over on panic. */
  readonly loadsCaptureKernel: boolean;
  /** `-p -c` */
  readonly kexecOptions: string;
  readonly captureCommandLine: string;
  /** Shell command. */
  readonly panic: string;
  /** `makedumpfile -l -d 31`, `cp`: gets `/proc/vmcore` and the target as last arguments; `dd` gets them as `if=` and `of=`. */
  readonly collector: string;
  /** `CODE TEXT` when the host replaced the collector that was asked for, else empty. */
  readonly collectorNote: string;
}

/** Formats settings for `.` (source). */
export function formatSettings(settings: GuestSettings): string {
  const variables: readonly [string, string][] = [
    ['DISK', settings.disk],
    ['MODULES', settings.modules.join(' ')],
    ['USERS', yesNo(settings.users)],
    ['REPAIR_KALLSYMS', yesNo(settings.repairKallsyms)],
    ['LOAD_CAPTURE_KERNEL', yesNo(settings.loadsCaptureKernel)],
    ['KEXEC_OPTIONS', settings.kexecOptions],
    ['CAPTURE_COMMAND_LINE', settings.captureCommandLine],
    ['PANIC', settings.panic],
    ['COLLECTOR', settings.collector],
    ['COLLECTOR_NOTE', settings.collectorNote],
  ];
  return variables.map(([name, value]) => `${name}=${shellQuote(value)}\n`).join('');
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

/** Quotes text for a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
