/** Translates a basic block of x86_64 code into IR. */
import type { Block } from '../ir/block.ts';
import type { Decoded, DecodeFailure, Decoder } from './decode.ts';
import type { X64Features } from './features.ts';
import { decoderFor } from './instruction-set.ts';
import type { X64Mode } from './mode.ts';
import { operandsOf } from './operands.ts';
import { checkCodeLimit, debugStep, vectorUnavailable } from './system/helpers.ts';
import { Translation } from './translation.ts';

/** Longest block, in instructions. */
const MAX_INSTRUCTIONS = 64;

/** The page behind that of the block, or undefined when fetching from it faults. */
export type NextPage = () => DataView | undefined;

/**
 * Translates the block that starts at byte `start` of a page.
 *
 * It ends behind the first instruction that sets a terminal, after 64 instructions, before an instruction that crosses the page, and
 * behind every instruction while stepping. An instruction that crosses is a block of its own.
 * @param code the bytes of the page
 * @param nextPage gives the bytes of the following page, for an instruction that crosses
 * @param pauseEndsTurn false on a machine of one CPU, where PAUSE does nothing
 * @param end offset in the page at which no other instruction of the block begins
 * @param debuggerSteps a repeated string instruction is to do one element
 * @returns undefined when an instruction crosses and `nextPage` gives nothing
 */
export function translateBlock(
  code: DataView,
  start: number,
  mode: X64Mode,
  features: X64Features,
  nextPage: NextPage,
  pauseEndsTurn = true,
  end = code.byteLength,
  debuggerSteps = false,
): Block | undefined {
  const decoder = decoderFor(features);
  const single = mode.stepping || debuggerSteps;
  const t = new Translation(start, mode, features, { pauseEndsTurn, single, debuggerSteps });
  const limit = single ? 1 : MAX_INSTRUCTIONS;
  const last = Math.min(end, code.byteLength);
  let offset = start;
  while (offset < last && t.ir.instructionCount < limit && t.terminal === undefined) {
    const decoded = decoder.decode({ page: code, next: undefined }, offset, mode);
    if (decoded === 'beyond-page') {
      if (offset === start) return translateCrossing(t, decoder, code, offset, nextPage);
      break;
    }
    offset = translateOne(t, decoded, offset);
  }
  return t.ir.finish(offset, t.terminal ?? { kind: 'jump', target: offset });
}

function translateCrossing(
  t: Translation,
  decoder: Decoder,
  code: DataView,
  offset: number,
  nextPage: NextPage,
): Block | undefined {
  const next = nextPage();
  if (!next) return undefined;
  const decoded = decoder.decode({ page: code, next }, offset, t.mode);
  const end = translateOne(t, decoded, offset);
  return t.ir.finish(end, t.terminal ?? { kind: 'jump', target: end });
}

/** @returns the offset behind the instruction */
function translateOne(t: Translation, decoded: Decoded | DecodeFailure, offset: number): number {
  t.ir.beginInstruction(offset);
  if (t.mode.stepping) t.ir.call(debugStep);
  if (typeof decoded === 'string') {
    if (decoded === 'too-long') t.protection();
    else t.undefined();
    return offset + 1;
  }
  t.begin(decoded);
  if (t.mode.limited) t.ir.call(checkCodeLimit, t.length);
  translateInstruction(t, decoded);
  t.flags.commit();
  return offset + decoded.length;
}

function translateInstruction(t: Translation, decoded: Decoded): void {
  const { instruction, prefixes, memory } = decoded;
  const { attributes, semantics } = instruction;
  if (typeof semantics !== 'function') return t.undefined();
  if (prefixes.lock && !(attributes.has('lock') && memory)) return t.undefined();
  const unit = instruction.unit;
  if (unit !== undefined && !(unit === 'avx' ? t.mode.avxUsable && t.mode.fpuUsable : t.mode.fpuUsable)) {
    t.ir.call(vectorUnavailable, t.ir.i32(['x87', 'mmx', 'sse', 'avx'].indexOf(unit)));
  }
  if (attributes.has('cpl0') && !t.mode.privileged) return t.protection();
  const [a, b, c, d] = operandsOf(decoded);
  semantics(t, a!, b!, c!, d!);
}
