/**
 * Traces of translated code: which blocks are translated, and which are executed.
 *
 * A traced instruction set is a layer between it and the engine. Each block begins with a call that makes the record, whatever
 * executes it: so blocks are recorded one by one although compiled code goes from one to the next without the run loop.
 */
import type { EngineCpu, Guest } from '../cpu/execute/guest.ts';
import { type Block, Value } from '../cpu/ir/block.ts';
import { stateHelper } from '../cpu/ir/helper-declaration.ts';
import { OPS } from '../cpu/ir/ops.ts';
import type { Trace, TraceView } from './trace.ts';

const PAGE = 4096;
/** An instruction that crosses into the next page is at most as long as x86's. */
const LONGEST_INSTRUCTION = 15;

const beforeBlock = stateHelper('trace.beforeBlock', [], 'none');

/** Puts the traces of blocks that are on between the engine and an instruction set. @param current the CPU that runs now */
export function tracedGuest<G extends Guest>(guest: G, { channels, record }: Trace, current: () => TraceView): G {
  const tracesExecution = channels.has('exec') || channels.has('cpu');
  /** Blocks that were recorded, by page and by offset and mode: the compiler translates blocks again. */
  const seen = new WeakMap<DataView, Set<string>>();
  const recordTranslation = (code: DataView, block: Block, modeKey: number, next: DataView | undefined): void => {
    const key = `${block.start} ${modeKey}`;
    const known = seen.get(code) ?? new Set();
    if (known.has(key)) return;
    seen.set(code, known.add(key));
    const { cpu, index } = placeOf(current());
    const vaddr = (cpu.pc & -BigInt(PAGE)) + BigInt(block.instructions[0]!);
    record({ channel: 'in_asm', architecture: guest.name, cpu: index, vaddr, code: bytesOf(code, block, next) });
  };
  const recordExecution = (): void => {
    const view = current();
    const { cpu, index } = placeOf(view);
    if (channels.has('exec')) record({ channel: 'exec', cpu: index, pc: cpu.pc, mode: view.cpu.modeKey() });
    if (channels.has('cpu')) record({ channel: 'cpu', cpu: index, lines: view.dump() });
  };
  return {
    ...guest,
    variant: undefined,
    translateBlock: (code, start, modeKey, nextPage, limit, debuggerSteps) => {
      let next: DataView | undefined;
      const block = guest.translateBlock(code, start, modeKey, () => (next = nextPage()), limit, debuggerSteps);
      if (block === undefined) return undefined;
      if (channels.has('in_asm')) recordTranslation(code, block, modeKey, next);
      return tracesExecution ? withCall(block) : block;
    },
    helpers: { ...guest.helpers, [beforeBlock.name]: recordExecution },
  };
}

function placeOf({ cpu: { engine } }: TraceView): { cpu: EngineCpu; index: number } {
  return { cpu: engine, index: engine.index };
}

/** The bytes of a block's instructions. */
function bytesOf(code: DataView, { instructions, end }: Block, next: DataView | undefined): Uint8Array {
  const [first, last] = [instructions[0]!, Math.max(end, instructions.at(-1)! + 1)];
  const here = new Uint8Array(code.buffer, code.byteOffset, PAGE).slice(first, Math.min(last, PAGE));
  if (last <= PAGE || next === undefined) return here;
  const behind = new Uint8Array(next.buffer, next.byteOffset, Math.min(last - PAGE, LONGEST_INSTRUCTION));
  return Buffer.concat([here, behind]);
}

/** The block with the record's call before everything else. */
function withCall(block: Block): Block {
  const call = new Value(OPS.call, 'none', [], beforeBlock, 0);
  call.position = 0;
  for (const value of block.values) value.position++;
  return { ...block, values: [call, ...block.values] };
}
