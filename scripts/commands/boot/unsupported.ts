/** QEMU's options that there is nothing for here: what they are refused with, or why they are taken and do nothing. */

const NO_GRAPHICS = 'there are no graphics';
const NO_FIRMWARE = 'there is no firmware: -kernel boots without';
const NO_SOUND = 'there is no sound';
const NO_USB = 'there is no USB';
const NO_MIGRATION = 'snapshots live in the running program only: savevm and loadvm of the monitor';
const NO_HOST_FOLDERS = 'folders of the host cannot be shared';

/** Options with a value: why they are refused. */
export const REFUSED_WITH_VALUE: Readonly<Record<string, string>> = {
  bios: NO_FIRMWARE,
  pflash: NO_FIRMWARE,
  mtdblock: NO_FIRMWARE,
  cdrom: 'there are no CD-ROM drives: use -drive',
  fda: 'there are no floppy drives: use -drive',
  fdb: 'there are no floppy drives: use -drive',
  sd: 'there are no SD cards: use -drive',
  loadvm: NO_MIGRATION,
  incoming: NO_MIGRATION,
  vnc: NO_GRAPHICS,
  spice: NO_GRAPHICS,
  audio: NO_SOUND,
  audiodev: NO_SOUND,
  soundhw: NO_SOUND,
  usbdevice: NO_USB,
  virtfs: NO_HOST_FOLDERS,
  fsdev: NO_HOST_FOLDERS,
  acpitable: 'the ACPI tables are those of the board',
  smbios: 'there are no SMBIOS tables',
  numa: 'there is one memory node',
  'mem-path': 'RAM is memory of this program',
  set: 'give the property where the device is',
  global: 'give the property where the device is',
  readconfig: 'give the options themselves',
  plugin: 'there are no plugins; -d has traces',
  trace: "QEMU's trace events are not there; -d has traces",
  'semihosting-config': 'there is no semihosting',
  tpmdev: 'there is no TPM',
  watchdog: 'there are no watchdogs',
  'watchdog-action': 'there are no watchdogs',
  runas: 'start it as the user that it is to run as',
  chroot: 'start it where it is to run',
  'tb-size': 'the size of the code cache is fixed',
  vga: NO_GRAPHICS,
  display: NO_GRAPHICS,
};

/** Flags: why they are refused. */
export const REFUSED_FLAGS: Readonly<Record<string, string>> = {
  'enable-kvm': 'this machine is always emulated',
  daemonize: 'start it in the background with your shell',
  usb: NO_USB,
  semihosting: 'there is no semihosting',
  curses: NO_GRAPHICS,
  sdl: NO_GRAPHICS,
  'full-screen': NO_GRAPHICS,
  'xen-attach': 'this machine is always emulated',
};

/** Options with a value that change nothing here: they are about the host, or about what is always so. */
export const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'name',
  'uuid',
  'msg',
  'k',
  'boot',
  'sandbox',
  'overcommit',
  'icount',
  'parallel',
  'L',
]);

/** Flags that change nothing here. */
export const FLAGS_WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'nographic',
  'nodefaults',
  'no-user-config',
  'no-fd-bootchk',
  'mem-prealloc',
  'no-hpet-legacy',
  'only-migratable',
]);
