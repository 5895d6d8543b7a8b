/** Lists of CPUs as options take them: `1`, `0-3`, `1,4-6`, `a` for all. */
import { UsageError } from '../../capture/formats/errors.ts';
import { possibleCpus } from '../linux/cpumask.ts';
import { notADigit } from './numbers.ts';
import type { Session } from './session.ts';

/** CPUs of a per-cpu variable: `a` for all; nothing means that of the current task. @throws UsageError */
export function percpuCpus(session: Session, text: string): number[] {
  return text === '' ? [session.current.cpu] : parseCpus(session, text);
}

/** In ascending order, each once. @throws UsageError when a number is no CPU of the dump */
export function parseCpus(session: Session, text: string): number[] {
  const possible = possibleCpus(session.program);
  if (text === 'a' || text === 'all') return possible;
  const cpus = text.split(',').flatMap(part => {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (range === null)
      throw /[a-z]/i.test(text) ? notADigit(text) : new UsageError(`invalid cpu specification: ${text}`);
    const first = Number(range[1]);
    const last = range[2] === undefined ? first : Number(range[2]);
    return Array.from({ length: Math.max(0, Math.min(last, 8191) - first + 1) }, (_, index) => first + index);
  });
  for (const cpu of cpus) if (!possible.includes(cpu)) throw new UsageError(`invalid cpu specification: ${text}`);
  return [...new Set(cpus)].sort((a, b) => a - b);
}
