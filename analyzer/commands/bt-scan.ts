/** `bt -o` on x86_64: crash's older method, which takes every return address on the stack for a frame. */
import type { Backtrace, Frame } from '../unwind/frames.ts';
import { textAddresses } from '../unwind/search.ts';
import type { Session } from './session.ts';

const SETTING = 'bt-method';

/** Tells whether `-o`, or `-O` before, chose the older method. */
export function isScanning(session: Session, isChosen: boolean): boolean {
  return isChosen || session.settings.variables.get(SETTING) === 'old';
}

/** `-O`: the other method from now on. Returns what is said about it. */
export function toggleMethod({ settings: { variables } }: Session): string {
  const now = variables.get(SETTING) === 'old' ? 'new' : 'old';
  variables.set(SETTING, now);
  return `bt: use ${now} bt method by default\n`;
}

/**
 * A backtrace with a frame for each word of text from the first frame up; addresses where a function begins are no return
 * addresses. Registers at the end stay.
 *
 * Not modelled: stacks of exceptions and interrupts, which are followed as without `-o`.
 */
export function scanned({ program }: Session, backtrace: Backtrace): Backtrace {
  const { items, end } = backtrace;
  const first = items.find(item => item.kind === 'frame');
  if (first === undefined || items.some(item => item.kind === 'switch')) return backtrace;
  const frames = textAddresses(program, first.address, end)
    .filter(({ value }) => program.symbols.lookup(value)?.offset !== 0)
    .map(({ address, value }, level): Frame => ({ ...first, level, address, pc: value }));
  const isSlot = frames[0]?.address === first.address;
  return {
    end,
    items: [
      ...(isSlot ? [] : [first]),
      ...frames.map(frame => ({ ...frame, level: frame.level + (isSlot ? 0 : 1) })),
      ...items.filter(item => item.kind === 'registers' && item.user),
    ],
  };
}
