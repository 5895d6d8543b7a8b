/** What to do about failures whose cause the host can guess better than the guest. */

import type { Scenario } from './scenario.ts';
import { TRIGGERS } from './triggers.ts';

const MIB = 2 ** 20;
/** Debian's kernels with an initramfs of ours need more than this. */
const USUAL_NEED = 96 * MIB;

/** A failure in one line, with what helps against it. */
export function withAdvice(failure: string, { mode, trigger }: Pick<Scenario, 'mode' | 'trigger'>): string {
  if (mode === 'host' && failure.endsWith('no capture kernel was started'))
    return `${failure}: ${TRIGGERS[trigger].missed}`;
  if (failure.startsWith('the kernel reserved no memory'))
    return `${failure}: give it more --memory, or less --crashkernel`;
  const reserved = /no capture kernel is loaded: .*\((\d+) bytes are reserved\)/.exec(failure)?.[1];
  if (reserved === undefined) return failure;
  if (Number(reserved) === 0)
    return `${failure}: the kernel had no room for it, give another --crashkernel or more --memory`;
  return Number(reserved) < USUAL_NEED ? `${failure}: give a bigger --crashkernel` : failure;
}
