/**
 * Emits the function of a region: entry dispatch, structured control flow between its blocks, and the ways out.
 *
 *     page, bank, registers ← CPU state
 *     block $checkpoint
 *       block $leave
 *         block $fault
 *           body: nested labels, a Wasm loop for each loop of the guest
 *         $fault: save registers, return (PC and budget are in memory)
 *       $leave: save registers, tail-call whatever the jump cache has for PC, or return
 *     $checkpoint: return to the run loop when the budget is used up, else as $leave
 */
import { assertNever } from '../../../../capture/formats/errors.ts';
import { type Block, CODE_PAGE, directTargets, isCheckpoint } from '../../ir/block.ts';
import type { StateField } from '../../ir/state-field.ts';
import { OPS } from '../../ir/ops.ts';
import { CPU_STATE, EXIT } from '../cpu-state.ts';
import { BANK } from '../soft-tlb.ts';
import { BlockEmitter } from './emit-block.ts';
import { type Edge, type Interval, layoutIntervals } from './layout-intervals.ts';
import { LOCAL, RegionCode, type RegionImports } from './region-code.ts';

/** The blocks of a region in address order, and at which of them it is entered. */
export interface RegionPlan {
  readonly blocks: readonly Block[];
  /** Numbers of the blocks that the run loop and other regions may enter. */
  readonly entries: readonly number[];
}

/** Emits a region. */
export function emitRegion(plan: RegionPlan, imports: RegionImports): RegionCode {
  const { used, written } = fieldsInLocals(plan.blocks);
  const region = new RegionCode(imports, used, written);
  new RegionEmitter(plan, region).emit();
  return region;
}

/** A place in the code where a block or loop begins, while its label is open. */
interface OpenItem {
  readonly first: number;
  readonly last: number;
  /** Label to branch forward to its beginning. */
  readonly label: number;
  /** Whether the item is a loop whose head dispatches on `LOCAL.entry`. */
  readonly dispatches: boolean;
}

/** A loop whose body is being emitted. */
interface OpenLoop {
  readonly first: number;
  readonly label: number;
  readonly dispatches: boolean;
}

class RegionEmitter {
  readonly #plan: RegionPlan;
  readonly #region: RegionCode;
  readonly #numbers: ReadonlyMap<number, number>;
  /** Open forward labels, innermost last. */
  readonly #items: OpenItem[] = [];
  readonly #loops: OpenLoop[] = [];

  constructor(plan: RegionPlan, region: RegionCode) {
    this.#plan = plan;
    this.#region = region;
    this.#numbers = new Map(plan.blocks.map((block, number) => [block.start, number]));
  }

  emit(): void {
    const { code } = this.#region;
    this.#emitPrologue();
    code.block();
    const checkpoint = code.depth - 1;
    code.block();
    const leave = code.depth - 1;
    code.block();
    const fault = code.depth - 1;
    this.#region.labels = { fault, leave, checkpoint };
    const root = layoutIntervals(this.#plan.blocks.length, this.#edges(), this.#plan.entries);
    this.#emitInterval(root);
    code.unreachable();
    code.end();
    this.#region.saveRegisters();
    code.return();
    code.end();
    this.#region.saveRegisters();
    this.#emitGoOn();
    code.return();
    code.end();
    this.#region.saveRegisters();
    this.#emitBudgetExit();
    this.#emitGoOn();
  }

  #emitPrologue(): void {
    const { code } = this.#region;
    code.get(LOCAL.pc);
    code.i64(BigInt(-CODE_PAGE));
    code.op('i64.and');
    code.set(this.#region.page);
    this.#region.loadBank();
    this.#region.loadRegisters();
  }

  #edges(): Edge[] {
    return this.#plan.blocks.flatMap((block, from) =>
      directTargets(block).flatMap(target => {
        const to = this.#numbers.get(target);
        return to === undefined ? [] : [{ from, to }];
      }),
    );
  }

  /** Emits labels, dispatch and items of an interval. Control enters at the beginning with `LOCAL.entry` set where it dispatches. */
  #emitInterval(interval: Interval): void {
    const { code } = this.#region;
    const dispatches = interval.sideEntries.length > 0;
    if (interval.isLoop) {
      code.loop();
      this.#loops.push({ first: interval.first, label: code.depth - 1, dispatches });
    }
    const open: OpenItem[] = [];
    for (const item of interval.items.toReversed()) {
      code.block();
      open.push(openItem(item, code.depth - 1));
    }
    this.#items.push(...open);
    if (dispatches) this.#emitDispatch(interval, open);
    for (const item of interval.items) {
      code.end();
      this.#items.pop();
      if (typeof item === 'number') this.#emitBlock(item);
      else this.#emitInterval(item);
    }
    if (interval.isLoop) {
      code.end();
      this.#loops.pop();
    }
  }

  /** Branches to the item that holds block `LOCAL.entry`; the first one is reached by falling through. */
  #emitDispatch(interval: Interval, open: readonly OpenItem[]): void {
    const { code } = this.#region;
    const targets = new Set(interval.sideEntries);
    const byBlock = Array.from({ length: interval.last - interval.first + 1 }, (_, i) => {
      const block = interval.first + i;
      const item = open.find(candidate => block >= candidate.first && block <= candidate.last)!;
      return targets.has(block) ? item.label : open.at(-1)!.label;
    });
    code.get(LOCAL.entry);
    code.i32(interval.first);
    code.op('i32.ne');
    code.if();
    code.get(LOCAL.entry);
    code.i32(interval.first);
    code.op('i32.sub');
    code.brTable([...byBlock, byBlock[0]!]);
    code.end();
  }

  #emitBlock(number: number): void {
    const block = this.#plan.blocks[number]!;
    const emitter = new BlockEmitter(this.#region, block);
    emitter.emit();
    const { code } = this.#region;
    const { terminal } = block;
    switch (terminal.kind) {
      case 'jump':
        this.#emitJump(number, terminal.target);
        break;
      case 'branch':
        emitter.push(terminal.condition);
        code.if();
        this.#emitJump(number, terminal.taken);
        code.end();
        this.#emitJump(number, terminal.notTaken);
        break;
      case 'indirect':
        emitter.push(terminal.target);
        code.set(LOCAL.pc);
        code.br(this.#region.labels.checkpoint);
        break;
      case 'resume':
        this.#region.saveRegisters();
        this.#emitBudgetExit(false);
        code.return();
        break;
      default:
        assertNever(terminal);
    }
    this.#region.releaseTemporaries();
  }

  #emitJump(from: number, target: number): void {
    const to = this.#numbers.get(target);
    const checkpoint = isCheckpoint(this.#plan.blocks[from]!, target);
    if (to === undefined) return this.#emitLeave(target, checkpoint);
    // blocks overlap: what begins behind this one may be the middle of it, and going there a checkpoint
    if (checkpoint) this.#emitLeaveWithoutBudget(target);
    if (to > from) this.#emitForward(to);
    else this.#emitBackward(to);
  }

  #emitLeave(target: number, checkpoint: boolean): void {
    const { code, labels } = this.#region;
    this.#region.pushPc(target);
    code.set(LOCAL.pc);
    code.br(checkpoint ? labels.checkpoint : labels.leave);
  }

  #emitForward(to: number): void {
    const { code } = this.#region;
    const item = this.#items.findLast(candidate => to >= candidate.first && to <= candidate.last)!;
    if (item.dispatches) this.#setEntry(to);
    code.br(item.label);
  }

  #emitLeaveWithoutBudget(target: number): void {
    const { code } = this.#region;
    code.get(LOCAL.budget);
    code.i32(0);
    code.op('i32.le_s');
    code.if();
    this.#emitLeave(target, true);
    code.end();
  }

  #emitBackward(to: number): void {
    const { code } = this.#region;
    const loop = this.#loops.findLast(candidate => candidate.first === to)!;
    if (loop.dispatches) this.#setEntry(to);
    code.br(loop.label);
  }

  #setEntry(to: number): void {
    this.#region.code.i32(to);
    this.#region.code.set(LOCAL.entry);
  }

  /** Returns to the run loop when the budget is used up. @param withPc stores PC and budget, which are in locals */
  #emitBudgetExit(withPc = true): void {
    const { code } = this.#region;
    code.get(LOCAL.budget);
    code.i32(0);
    code.op('i32.le_s');
    code.if();
    code.get(LOCAL.cpu);
    code.get(LOCAL.cpu);
    code.memory('i32.load', CPU_STATE.exit);
    code.i32(EXIT.budget);
    code.op('i32.or');
    code.memory('i32.store', CPU_STATE.exit);
    if (withPc) {
      this.#emitStorePc();
      this.#emitStoreBudget();
      code.return();
    }
    code.end();
    if (!withPc) this.#emitStoreBudget();
  }

  /** Goes on at `LOCAL.pc`: in the region that the jump cache has for it, else in the run loop. */
  #emitGoOn(): void {
    const { code, tlbEntry, imports } = this.#region;
    this.#emitStorePc();
    this.#emitStoreBudget();
    emitJumpEntry(this.#region);
    this.#emitUnlessHit(() => {
      code.get(tlbEntry);
      code.i32(BANK.JUMP_ALTERNATE);
      code.op('i32.xor');
      this.#emitUnlessHit(() => code.return());
    });
    code.get(LOCAL.cpu);
    code.get(tlbEntry);
    code.memory('i32.load', BANK.JUMP_CACHE + BANK.jumpEntry);
    code.get(LOCAL.pc);
    code.get(LOCAL.budget);
    code.get(tlbEntry);
    code.memory('i32.load', BANK.JUMP_CACHE + BANK.jumpFunction);
    code.returnCallIndirect(imports.regionType);
  }

  /** Takes the address of a jump cache entry from the stack into `tlbEntry`, and does something when the entry is not PC's. */
  #emitUnlessHit(onMiss: () => void): void {
    const { code, tlbEntry } = this.#region;
    code.tee(tlbEntry);
    code.memory('i64.load', BANK.JUMP_CACHE + BANK.jumpPc);
    code.get(LOCAL.pc);
    code.op('i64.ne');
    code.if();
    onMiss();
    code.end();
  }

  #emitStorePc(): void {
    const { code } = this.#region;
    code.get(LOCAL.cpu);
    code.get(LOCAL.pc);
    code.memory('i64.store', CPU_STATE.pc);
  }

  #emitStoreBudget(): void {
    const { code } = this.#region;
    code.get(LOCAL.cpu);
    code.get(LOCAL.budget);
    code.memory('i32.store', CPU_STATE.budget);
  }
}

/** Pushes the address of the jump cache entry of `LOCAL.pc` less `BANK.JUMP_CACHE`; `jumpOffset` in soft-tlb.ts computes the same. */
function emitJumpEntry({ code, bank, tlbEntry }: RegionCode): void {
  const pushHash = (shiftLeft: number, shiftRight: number, mask: number): void => {
    code.get(tlbEntry);
    code.i32(Math.abs(shiftLeft));
    code.op(shiftLeft > 0 ? 'i32.shl' : 'i32.shr_u');
    code.get(tlbEntry);
    code.i32(shiftRight);
    code.op('i32.shr_u');
    code.op('i32.xor');
    code.i32(mask);
    code.op('i32.and');
  };
  code.get(LOCAL.pc);
  code.op('i32.wrap_i64');
  code.set(tlbEntry);
  pushHash(2, 5, BANK.JUMP_SLOT_MASK);
  pushHash(-1, 10, BANK.JUMP_GROUP_MASK);
  code.op('i32.or');
  code.get(bank);
  code.op('i32.add');
}

function openItem(item: number | Interval, label: number): OpenItem {
  if (typeof item === 'number') return { first: item, last: item, label, dispatches: false };
  return { first: item.first, last: item.last, label, dispatches: item.sideEntries.length > 0 };
}

const { get: GET, set: SET } = OPS;

/** State fields that the region keeps in locals, and those of them that it writes. */
function fieldsInLocals(blocks: readonly Block[]): { used: Set<StateField>; written: Set<StateField> } {
  const used = new Set<StateField>();
  const written = new Set<StateField>();
  for (const { values } of blocks) {
    for (const value of values) {
      if (value.op !== GET && value.op !== SET) continue;
      const field = value.immediate as StateField;
      if (!field.inLocals) continue;
      used.add(field);
      if (value.op === SET) written.add(field);
    }
  }
  return { used, written };
}
