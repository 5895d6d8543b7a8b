/** Interrupts; `include/linux/irqdesc.h`, `kernel/irq/irqdesc.c`. */
import type { Program } from '../program.ts';
import { readIfPresent, readOr, untilGap } from '../gaps.ts';
import type { StructObject } from '../types/object.ts';
import { mapleForEach } from './maple-tree.ts';
import { xaForEach } from './xarray.ts';

const MAX_ACTIONS = 10_000;

/** A handler: `struct irqaction`. */
export interface IrqAction {
  readonly address: bigint;
  readonly name: string | undefined;
  readonly handler: bigint;
}

/** An interrupt descriptor. */
export interface IrqDescriptor {
  readonly irq: number;
  readonly struct: StructObject;
  /** Handlers that share it. */
  readonly actions: readonly IrqAction[];
  /** They cannot be read, or not all. */
  readonly isPartial: boolean;
}

/** `nr_irqs`: `total_nr_irqs` since 6.13. */
export function irqCount(program: Program): number {
  const address = program.symbols.find('nr_irqs') ?? program.symbols.find('total_nr_irqs');
  return address === undefined ? 0 : Math.min(1_000_000, program.memory.readI32(address));
}

/** Descriptors by number: a radix tree until 6.4, a maple tree since 6.5 (commit 721255b9826b "genirq: Use a maple tree for interrupt descriptor management"). */
export function irqDescriptors(program: Program): Map<number, IrqDescriptor> {
  const found = new Map<number, IrqDescriptor>();
  for (const { irq, address } of untilGap(program, 'interrupts', descriptorAddresses(program))) {
    const struct = program.object('irq_desc', address);
    found.set(irq, { irq, struct, ...actionsOf(struct) });
  }
  return found;
}

function* descriptorAddresses(program: Program): Generator<{ irq: number; address: bigint }> {
  const maple = program.symbols.find('sparse_irqs');
  if (maple !== undefined) {
    for (const { first, pointer } of mapleForEach(program, program.object('maple_tree', maple)))
      yield { irq: Number(first), address: pointer };
    return;
  }
  const tree = program.symbols.find('irq_desc_tree');
  if (tree === undefined) return;
  const type = program.types.findStruct('xarray') === undefined ? 'radix_tree_root' : 'xarray';
  for (const { index, pointer } of xaForEach(program, program.object(type, tree)))
    yield { irq: Number(index), address: pointer };
}

function actionsOf(descriptor: StructObject): Pick<IrqDescriptor, 'actions' | 'isPartial'> {
  const actions: IrqAction[] = [];
  const isPartial = readOr(
    () => {
      const seen = new Set<bigint>();
      for (
        let action = descriptor.follow('action');
        action !== undefined && seen.size < MAX_ACTIONS && !seen.has(action.address);
        action = action.follow('next')
      ) {
        seen.add(action.address);
        actions.push(irqAction(action));
      }
      return false;
    },
    () => true,
  );
  return { actions, isPartial };
}

function irqAction(action: StructObject): IrqAction {
  const name = readIfPresent(() => (action.pointer('name') === 0n ? undefined : action.stringAt('name', 64)));
  return { address: action.address, name, handler: action.pointer('handler') };
}
