/** `-M help`, `-cpu help`, `-device help`, `-d help`: what there is, as QEMU lists it. */
import packageJson from '../../../package.json' with { type: 'json' };
import { CPU_MODEL_NAMES, TRACE_CHANNELS, X64_MODEL_NAMES } from '../../../emulator/index.ts';
import { DEVICE_TYPES } from '../boot-options.ts';

const MACHINES: Readonly<Record<string, string>> = {
  virt: "QEMU's ARM virtual machine, aarch64 (default for arm64 kernels: virt,gic-version=3)",
  q35: 'PC with Q35 and ICH9, x86_64 (default for x86_64 kernels)',
  microvm: 'minimal PC without PCI, x86_64',
};

const LISTS: Readonly<Record<string, () => readonly string[]>> = {
  M: () => Object.entries(MACHINES).map(([name, what]) => `${name.padEnd(12)}${what}`),
  cpu: () => [
    ...CPU_MODEL_NAMES.map(name => `${name.padEnd(12)}aarch64`),
    ...X64_MODEL_NAMES.map(name => `${name.padEnd(12)}x86_64`),
  ],
  device: () => DEVICE_TYPES,
  d: () => Object.entries(TRACE_CHANNELS).map(([name, what]) => `${name.padEnd(16)}${what}`),
};
const ALIASES: Readonly<Record<string, string>> = { machine: 'M' };

/** The list that a command line asks for, if it does. */
export function listAskedFor(args: readonly string[]): readonly string[] | undefined {
  for (const [i, arg] of args.entries()) {
    const option = /^--?([A-Za-z]+)$/.exec(arg)?.[1] ?? '';
    if (option === 'version') return [`kdump-lab ${packageJson.version}`];
    const value = args[i + 1];
    const list = LISTS[ALIASES[option] ?? option];
    if (list !== undefined && (value === 'help' || value === '?')) return list();
  }
  return undefined;
}
