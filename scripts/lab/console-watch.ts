/**
 * Reads the flow's progress from the guest's console: our init's `kdump-lab: ` lines and the kernel's own landmarks.
 *
 * Source: `kernel/panic.c` (v6.12) "panic" for the kernel's lines; `kernel-images/initramfs/init.sh` for ours.
 */

/** Stages of a run in the order in which they come. */
export type PhaseName =
  | 'power-on'
  | 'production-init'
  | 'kexec-load'
  | 'panic'
  | 'capture-kernel'
  | 'capture-init'
  | 'save'
  | 'saved'
  | 'stop';

/** What a console line says about the flow. */
export type ConsoleEvent =
  | { readonly kind: 'phase'; readonly name: PhaseName }
  | { readonly kind: 'note'; readonly code: string; readonly text: string }
  | { readonly kind: 'failure'; readonly code: string; readonly text: string }
  | { readonly kind: 'collector'; readonly command: string }
  /** Where the dump is: a path on the disk, or `raw`. */
  | { readonly kind: 'saved'; readonly place: string }
  /** Bytes that the production kernel has reserved. */
  | { readonly kind: 'reserved'; readonly size: number }
  /** The capture kernel's memory before or after saving, in KiB. */
  | { readonly kind: 'memory'; readonly when: string; readonly total: number; readonly available: number }
  /** The kernel has halted the machine, which goes on doing nothing. */
  | { readonly kind: 'halted' }
  /** The kernel cannot go on, and will not start another one. */
  | { readonly kind: 'dead'; readonly text: string };

const PHASES = new Set<string>([
  'production-init',
  'kexec-load',
  'panic',
  'capture-init',
  'save',
  'saved',
] satisfies PhaseName[]);
/** A line longer than this is not one of ours; a guest may write without end and without newlines. */
const LONGEST_LINE = 4096;

/** Splits console bytes into lines and finds the events in them. */
export class ConsoleWatch {
  #line = '';
  #banners = 0;
  #panic = '';
  #deadlocked = false;

  /** Takes bytes in pieces of any size. @returns events in order */
  push(bytes: Uint8Array): ConsoleEvent[] {
    const events: ConsoleEvent[] = [];
    const text = this.#line + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    const lines = text.split('\n');
    this.#line = lines.pop()!.slice(-LONGEST_LINE);
    for (const line of lines) {
      const event = this.#readLine(line.trimEnd());
      if (event !== undefined) events.push(event);
    }
    return events;
  }

  /** Whether the capture kernel has said its first line. */
  get inCaptureKernel(): boolean {
    return this.#banners > 1;
  }

  /** Text of the last `Kernel panic` line; empty when there was none. */
  get panicText(): string {
    return this.#panic;
  }

  #readLine(line: string): ConsoleEvent | undefined {
    const own = /kdump-lab: (phase|note|fail|collector|saved|reserved|memory)=(.*)$/.exec(line);
    return own === null ? this.#readKernelLine(line) : readOwnLine(own[1]!, own[2]!);
  }

  #readKernelLine(line: string): ConsoleEvent | undefined {
    if (/\] Linux version \d/.test(line)) {
      this.#banners++;
      return this.#banners === 2 ? { kind: 'phase', name: 'capture-kernel' } : undefined;
    }
    if (line.includes('System is deadlocked on memory') || line.includes('Out of memory')) this.#deadlocked = true;
    if (line.includes('reboot: System halted')) return { kind: 'halted' };
    const panic = /Kernel panic - not syncing: (.*?)( \]---)?$/.exec(line);
    if (panic === null) return undefined;
    this.#panic = panic[1]!;
    return line.includes('end Kernel panic') ? { kind: 'dead', text: this.#describeDeath() } : undefined;
  }

  #describeDeath(): string {
    const advice = this.#deadlocked ? ': give a bigger --crashkernel' : '';
    return this.inCaptureKernel
      ? `the capture kernel panicked (${this.#panic})${advice}`
      : `the kernel panicked (${this.#panic}) and no capture kernel was started`;
  }
}

function readOwnLine(key: string, value: string): ConsoleEvent | undefined {
  const [code, ...rest] = value.split(' ');
  const text = rest.join(' ');
  switch (key) {
    case 'phase':
      return PHASES.has(code!) ? { kind: 'phase', name: code as PhaseName } : undefined;
    case 'note':
      return { kind: 'note', code: code!, text };
    case 'fail':
      return { kind: 'failure', code: code!, text };
    case 'reserved':
      return { kind: 'reserved', size: Number(value) };
    case 'memory':
      return { kind: 'memory', when: code!, total: Number(rest[0]), available: Number(rest[1]) };
    case 'saved':
      return { kind: 'saved', place: value };
    default:
      return { kind: 'collector', command: value };
  }
}
