/** Arguments and locals under the frames of a backtrace: `bt --args`, `bt --locals`. They need a vmlinux with DWARF. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { Task } from '../linux/sched.ts';
import { unwindDwarf } from '../unwind/dwarf.ts';
import type { Backtrace } from '../unwind/frames.ts';
import { sourceFrames } from '../unwind/source-frames.ts';
import type { SourceFrame } from '../unwind/source-frames.ts';
import { stoppedRegisters } from '../unwind/stopped-registers.ts';
import { argumentsText, localsText } from './gdb/frame.ts';
import type { Session } from './session.ts';

/** Functions of a frame, inlined ones first, by the address that the frame stands at. */
export class FrameVariables {
  readonly #session: Session;
  readonly #frames: SourceFrame[];
  readonly #locals: boolean;

  /** @throws UsageError without debug information */
  constructor(session: Session, task: Task, backtrace: Backtrace, locals: boolean) {
    const { program } = session;
    if (program.debug.kernel === undefined)
      throw new UsageError('arguments and locals need a vmlinux with debug information');
    this.#session = session;
    this.#locals = locals;
    // Registers are known where the task stopped, and again wherever an exception saved them.
    const saved = backtrace.items.filter(item => item.kind === 'registers').filter(({ user }) => !user);
    const starts = [stoppedRegisters(session.tasks, task), ...saved.map(({ values }) => values)];
    this.#frames = starts.flatMap(start => sourceFrames(program, unwindDwarf(program, start)));
  }

  /** Lines for the frame at an address; empty when nothing is known of it. Frames are asked for in order. */
  text(pc: bigint): string {
    // A frame record of arm64 is shown with the address of the call, DWARF's frame has where it returns to.
    const call = this.#session.program.architecture === 'aarch64' ? pc + 4n : pc;
    const first = this.#frames.findIndex(({ physical }) => physical.pc === (physical.exact ? pc : call));
    if (first === -1) return '';
    const { physical } = this.#frames[first]!;
    const functions = this.#frames.filter(frame => frame.physical === physical);
    this.#frames.splice(0, first + functions.length);
    return functions.map(frame => this.#functionText(frame)).join('');
  }

  #functionText(frame: SourceFrame): string {
    const where = frame.file === undefined ? '' : ` at ${frame.file}:${frame.line}`;
    const head = `    ${frame.inlined ? '[inlined] ' : ''}${frame.name}(${argumentsText(this.#session, frame)})${where}\n`;
    return this.#locals ? head + localsText(this.#session, frame, '        ') : head;
  }
}
