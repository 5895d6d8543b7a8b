import { describe, expect, test } from 'vitest';

import { ConsoleWatch, type ConsoleEvent } from '../../../../scripts/lab/console-watch.ts';

// Lines as a Debian 6.1 arm64 guest writes them.
const BANNER = '[    0.000000] Linux version 6.1.0-56-cloud-arm64 (debian-kernel@lists.debian.org) (gcc-12)\r\n';

function watch(...pieces: string[]): { events: ConsoleEvent[]; watch: ConsoleWatch } {
  const watcher = new ConsoleWatch();
  return { events: pieces.flatMap(piece => watcher.push(Buffer.from(piece, 'latin1'))), watch: watcher };
}

describe('ConsoleWatch', () => {
  test('reads phases, notes and failures of our init', () => {
    const text =
      'kdump-lab: phase=production-init uptime=0.95\r\nkdump-lab: note=kallsyms no _text: way round\r\nkdump-lab: collector=makedumpfile -l -d 31\r\nkdump-lab: fail=disk cannot mount /dev/vda\r\n';
    expect(watch(text).events).toEqual([
      { kind: 'phase', name: 'production-init' },
      { kind: 'note', code: 'kallsyms', text: 'no _text: way round' },
      { kind: 'collector', command: 'makedumpfile -l -d 31' },
      { kind: 'failure', code: 'disk', text: 'cannot mount /dev/vda' },
    ]);
  });

  test('reads the same from single bytes', () => {
    expect(watch(...'kdump-lab: phase=save uptime=1.0\r\n'.split('')).events).toEqual([
      { kind: 'phase', name: 'save' },
    ]);
  });

  test('ignores phases that do not exist', () => {
    expect(watch('kdump-lab: phase=world-domination uptime=1\r\n').events).toEqual([]);
  });

  test('takes the second banner for the capture kernel, and only that one', () => {
    expect(watch(BANNER).events).toEqual([]);
    expect(watch(BANNER, BANNER, BANNER).events).toEqual([{ kind: 'phase', name: 'capture-kernel' }]);
  });

  test('does not take the panic that leads to the capture kernel for an end', () => {
    const { events } = watch(BANNER, '[    1.4] Kernel panic - not syncing: sysrq triggered crash\r\n', BANNER);
    expect(events).toEqual([{ kind: 'phase', name: 'capture-kernel' }]);
  });

  test('reports a panic after which no kernel starts', () => {
    const { events } = watch(
      BANNER,
      '[    1.4] Kernel panic - not syncing: sysrq triggered crash\r\n',
      '[    1.5] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n',
    );
    expect(events).toEqual([
      { kind: 'dead', text: 'the kernel panicked (sysrq triggered crash) and no capture kernel was started' },
    ]);
  });

  test('advises a bigger crashkernel when the capture kernel runs out of memory', () => {
    const { events } = watch(
      BANNER,
      BANNER,
      '[    0.9] Kernel panic - not syncing: System is deadlocked on memory\r\n',
      '[    0.9] ---[ end Kernel panic - not syncing: System is deadlocked on memory ]---\r\n',
    );
    expect(events.at(-1)).toEqual({
      kind: 'dead',
      text: 'the capture kernel panicked (System is deadlocked on memory): give a bigger --crashkernel',
    });
  });

  test('keeps no more than a line of a guest that never ends one', () => {
    const watcher = new ConsoleWatch();
    for (let i = 0; i < 1000; i++) watcher.push(Buffer.alloc(10_000, 'x'));
    expect(watcher.push(Buffer.from('\nkdump-lab: phase=saved uptime=1\n'))).toEqual([
      { kind: 'phase', name: 'saved' },
    ]);
  });
});
