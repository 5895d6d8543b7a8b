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
  /** Modules that only the production kernel loads, in load order. */
  readonly productionModules?: readonly string[];
  /** Modules that only the capture kernel loads. */
  readonly extraModules?: readonly string[];
  /** Undefined: the dump is saved as `/vmcore`, and the machine powers off. */
  readonly kdump?: KdumpSettings | undefined;
}

/** What a kdump.conf asks of the capture kernel. */
export interface KdumpSettings {
  readonly target: 'filesystem' | 'raw' | 'nfs' | 'ssh';
  /** `/dev/vda`, `UUID=…`, `LABEL=…`; with an nfs or ssh target the disk to fall back to. */
  readonly device: string;
  /** For nfs and ssh targets. */
  readonly network?: KdumpNetwork | undefined;
  /** Folder on the target, absolute. */
  readonly path: string;
  readonly failureAction: string;
  readonly finalAction: string;
  /** Paths of the hooks in the initramfs; empty for none. */
  readonly pre: string;
  readonly post: string;
}

/** How the capture kernel reaches a target behind the network. */
export interface KdumpNetwork {
  /** Of its card, `10.0.2.15`, with the mask of the network and the router. */
  readonly address: string;
  readonly mask: string;
  readonly router: string;
  /** `server:/export`, `user@server`. */
  readonly remote: string;
  /** Of ssh(1) and scp(1): `-i KEY …`. */
  readonly sshOptions?: string;
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
    ['PRODUCTION_MODULES', (settings.productionModules ?? []).join(' ')],
    ['EXTRA_MODULES', (settings.extraModules ?? []).join(' ')],
    ...kdumpVariables(settings.kdump),
  ];
  return variables.map(([name, value]) => `${name}=${shellQuote(value)}\n`).join('');
}

function kdumpVariables(kdump: KdumpSettings | undefined): readonly [string, string][] {
  if (kdump === undefined) return [['KDUMP_TARGET', '']];
  return [
    ['KDUMP_TARGET', kdump.target],
    ['KDUMP_DEVICE', kdump.device],
    ['KDUMP_PATH', kdump.path],
    ['KDUMP_ADDRESS', kdump.network?.address ?? ''],
    ['KDUMP_MASK', kdump.network?.mask ?? ''],
    ['KDUMP_ROUTER', kdump.network?.router ?? ''],
    ['KDUMP_REMOTE', kdump.network?.remote ?? ''],
    ['SSH_OPTIONS', kdump.network?.sshOptions ?? ''],
    ['FAILURE_ACTION', kdump.failureAction],
    ['FINAL_ACTION', kdump.finalAction],
    ['KDUMP_PRE', kdump.pre],
    ['KDUMP_POST', kdump.post],
  ];
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}

/** Quotes text for a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
