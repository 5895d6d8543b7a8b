/** `backtrace`, `info frame`, `info args`, `info locals` of the current task; GDB manual "Examining the Stack". */
import { FaultError, UsageError } from '../../../capture/formats/errors.ts';
import type { Task } from '../../linux/sched.ts';
import { stripTypedefs } from '../../types/types.ts';
import { bitsOf, valueText } from '../../types/value.ts';
import type { Value } from '../../types/value.ts';
import { unwindDwarf } from '../../unwind/dwarf.ts';
import { sourceFrames } from '../../unwind/source-frames.ts';
import type { FrameVariable, SourceFrame } from '../../unwind/source-frames.ts';
import { stoppedRegisters } from '../../unwind/stopped-registers.ts';
import type { Session } from '../session.ts';

/** Frames of a task by DWARF. @throws UsageError when nothing tells where it stands */
export function framesOf(session: Session, task: Task): SourceFrame[] {
  const { program } = session;
  if (program.debug.kernel === undefined)
    throw new UsageError('No stack: frames need a vmlinux with debug information');
  return sourceFrames(program, unwindDwarf(program, stoppedRegisters(session.tasks, task)));
}

/** `bt [-full]`. */
export function backtrace(session: Session, text: string): string {
  const full = /\bfull\b/.test(text);
  return framesOf(session, session.current)
    .map((frame, level) => `${frameText(session, frame, level)}${full ? localsText(session, frame, '        ') : ''}`)
    .join('');
}

function frameText(session: Session, frame: SourceFrame, level: number): string {
  const shown = frame.innermost && !(level === 0 && frame.atLineStart);
  const address = shown ? `0x${frame.physical.pc.toString(16).padStart(16, '0')} in ` : '';
  const where = frame.file === undefined ? '' : ` at ${frame.file}:${frame.line}`;
  return `#${String(level).padEnd(3)}${address}${frame.name} (${argumentsText(session, frame)})${where}\n`;
}

/** `name=value, …` with scalars only, and what they were at entry when that is known. */
export function argumentsText(session: Session, { parameters }: SourceFrame): string {
  return parameters.map(parameter => argumentText(session, parameter)).join(', ');
}

function argumentText(session: Session, { name, type, value, entryValue }: FrameVariable): string {
  const { kind } = stripTypedefs(type);
  const isScalar = kind !== 'struct' && kind !== 'union' && kind !== 'array';
  if (value === undefined && entryValue === undefined) return `${name}=<optimized out>`;
  if (!isScalar) return `${name}=...`;
  if (value === undefined) return `${name}@entry=${shortText(session, entryValue!)}`;
  const same = entryValue !== undefined && sameBits(session, value, entryValue);
  return `${name}=${same ? `${name}@entry=` : ''}${shortText(session, value)}`;
}

function sameBits(session: Session, a: Value, b: Value): boolean {
  try {
    return bitsOf(session.program.memory, a) === bitsOf(session.program.memory, b);
  } catch (error) {
    if (!(error instanceof FaultError || error instanceof UsageError)) throw error;
    return false;
  }
}

/** A value without the type in front of pointers. */
function shortText(session: Session, value: Value): string {
  return readText(session, value).replace(/^\((?!unknown)[^()]*(?:\([^()]*\)[^()]*)*\) (?=0x)/, '');
}

/** A value's text; what cannot be read says so. */
export function readText(session: Session, value: Value): string {
  try {
    return valueText(session.program.memory, value, session.printContext());
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    return `<error: Cannot access memory at address 0x${BigInt(error.address).toString(16)}>`;
  }
}

/** `name = value` lines of a frame's variables. */
export function localsText(session: Session, frame: SourceFrame, indent: string): string {
  return variablesText(session, frame.locals(), indent) || `${indent}No locals.\n`;
}

function variablesText(session: Session, variables: readonly FrameVariable[], indent: string): string {
  return variables
    .map(({ name, value }) => {
      const text = value === undefined ? '<optimized out>' : shortText(session, value);
      return `${indent}${name} = ${text.replaceAll('\n', `\n${indent}`)}\n`;
    })
    .join('');
}

function innermost(session: Session): SourceFrame {
  return framesOf(session, session.current)[0] ?? noStack();
}

function noStack(): never {
  throw new UsageError('No stack.');
}

/** `info locals`. */
export function infoLocals(session: Session): string {
  return localsText(session, innermost(session), '');
}

/** `info args`. */
export function infoArguments(session: Session): string {
  return variablesText(session, innermost(session).parameters, '') || 'No arguments.\n';
}

/** `info frame`: the innermost frame of the current task. */
export function infoFrame(session: Session): string {
  const frames = framesOf(session, session.current);
  const frame = frames[0] ?? noStack();
  const { pc, cfa } = frame.physical;
  const name = session.program.architecture === 'aarch64' ? 'pc' : 'rip';
  const where = `${frame.name}${frame.file === undefined ? '' : ` (${frame.file}:${frame.line})`}`;
  const caller = frames.find(({ physical }) => physical !== frame.physical);
  const saved = caller === undefined ? '' : `; saved ${name} = 0x${caller.physical.pc.toString(16)}`;
  const inlined = frame.inlined
    ? '\n inlined into frame 1'
    : caller === undefined
      ? ''
      : `\n called by frame at 0x${(caller.physical.cfa ?? 0n).toString(16)}`;
  return `Stack level 0, frame at 0x${(cfa ?? 0n).toString(16)}:\n ${name} = 0x${pc.toString(16)} in ${where}${saved}${inlined}\n source language c.\n`;
}
