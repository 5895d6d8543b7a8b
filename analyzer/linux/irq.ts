/** Interrupts; `include/linux/irqdesc.h`, `kernel/irq/irqdesc.c`. */
import { FaultError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
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
}

/** `nr_irqs`: `total_nr_irqs` since 6.13. */
export function irqCount(program: Program): number {
  const address = program.symbols.find('nr_irqs') ?? program.symbols.find('total_nr_irqs');
  return address === undefined ? 0 : Math.min(1_000_000, program.memory.readI32(address));
}

/** Descriptors by number: a radix tree until 6.4, a maple tree since 6.5 (commit 721255b9826b "genirq: Use a maple tree for interrupt descriptor management"). */
export function irqDescriptors(program: Program): Map<number, IrqDescriptor> {
  const found = new Map<number, IrqDescriptor>();
  for (const { irq, address } of descriptorAddresses(program)) {
    const struct = program.object('irq_desc', address);
    found.set(irq, { irq, struct, actions: actionsOf(program, struct) });
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

function actionsOf(program: Program, descriptor: StructObject): IrqAction[] {
  const found: IrqAction[] = [];
  for (
    let action = descriptor.follow('action');
    action !== undefined && found.length < MAX_ACTIONS;
    action = action.follow('next')
  ) {
    const { address } = action;
    if (found.some(entry => entry.address === address)) break;
    found.push({ address, name: nameOf(program, action), handler: action.pointer('handler') });
  }
  return found;
}

function nameOf(program: Program, action: StructObject): string | undefined {
  try {
    const address = action.pointer('name');
    return address === 0n ? undefined : program.memory.readString(address, 64);
  } catch (error) {
    if (error instanceof FaultError) return undefined;
    throw error;
  }
}
