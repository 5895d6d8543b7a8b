/** The machines that a lab can run on. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { LabMachineFactory } from '../lab/lab-machine.ts';
import { EmulatedMachine } from '../lab/emulated-machine.ts';
import { QemuMachine } from '../lab/qemu-machine.ts';

/** Backends by the name that `--backend` takes. */
export const BACKENDS: Readonly<Record<string, LabMachineFactory>> = {
  'kdump-lab': config => new EmulatedMachine(config),
  qemu: config => new QemuMachine(config),
};

export const DEFAULT_BACKEND = 'kdump-lab';

/** @throws UsageError */
export function findBackend(name: string): LabMachineFactory {
  const backend = BACKENDS[name];
  if (backend === undefined) throw new UsageError(`--backend ${name}: there are ${Object.keys(BACKENDS).join(', ')}`);
  return backend;
}
