/** `info kexec` and `kexec check`: the capture kernel that a guest has loaded. */
import type { PhysicalRange } from '../../../capture/formats/memory-source.ts';
import type { MonitorTarget } from './target.ts';

/** Looks at the machine as it is. The analyzer is loaded for it, and not before. */
export async function checkKexec({ machine }: Pick<MonitorTarget, 'machine'>): Promise<string[]> {
  const { checkLines, checkMachine } = await import('../../lab/live-check.ts');
  const { architecture, memory } = machine;
  const check = checkMachine({
    name: 'the machine',
    architecture,
    ram: memory.ranges.map(({ start, size }): PhysicalRange => ({ start, end: start + size })),
    read: (paddr, length) => memory.read(paddr, length),
    cpus: [],
  });
  return check === undefined ? ['no kernel here has described itself (VMCOREINFO)'] : checkLines(check);
}
