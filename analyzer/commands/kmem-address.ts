/** `kmem ADDRESS`: everything that an address is in. */
import { pageOf, pfnOfPage } from '../linux/page.ts';
import type { Task } from '../linux/sched.ts';
import { vmallocAreas } from '../linux/vmalloc.ts';
import type { Program } from '../program.ts';
import { pageHeader, pageLine } from '../text/page-line.ts';
import { hex } from '../text/layout.ts';
import { taskStack } from '../unwind/stacks.ts';
import { findFreeBlock } from './kmem-pages.ts';
import type { FreeBlock } from './kmem-pages.ts';
import { objectAt, objectText } from './kmem-slab.ts';
import type { SlabObject } from './kmem-slab.ts';
import { vmallocHeader, vmallocRow } from './kmem-vmalloc.ts';
import type { View } from './view.ts';
import type { Session } from './session.ts';
import { contextText } from './set.ts';

/**
 * Finds the symbol, slab object, task, vmalloc area and page of an address. Small numbers, and all with `isPhysical`,
 * are physical addresses.
 */
export function identify(session: Session, given: bigint, isPhysical: boolean): View {
  const { program } = session;
  const physical = isPhysical || given < FIRST_VIRTUAL_ADDRESS;
  const address = physical ? program.space.directMap(Number(given)) : given;
  const found = { ...(physical ? {} : virtualPlaces(session, address)), ...memoryPlaces(session, address, given) };
  const text = placesText(session, address, found);
  if (text === '') return unknownAddress(program, given, physical);
  const { symbol, object, task, area, free, page } = found;
  const places = { symbol, object: object?.place, task: task?.address, free: free?.place, area, page: page?.address };
  return { data: { address, ...places }, text };
}

function noPage(address: bigint): string {
  return `WARNING: cannot find mem_map page for address: ${hex(address)}\n`;
}

/** What crash says of an address without a page. */
function unknownAddress(program: Program, given: bigint, isPhysical: boolean): View {
  const cannot = `kmem: cannot determine page for ${hex(given)}\n`;
  const data = { address: given };
  if (isPhysical) {
    const direct = program.space.directMap(Number(given));
    const warning = program.architecture === 'aarch64' ? noPage(direct) : '';
    return { data, text: `${warning}${cannot}${hex(given)}: physical address not found in mem map\n` };
  }
  const paddr = program.memory.translate(given);
  if (paddr === undefined)
    return {
      data,
      text: `WARNING: cannot make virtual-to-physical translation: ${hex(given)}\n${hex(given)}: kernel virtual address not found in mem map\n`,
    };
  return {
    data,
    text: `${noPage(given)}${cannot}${paddr.toString(16)}: kernel virtual address not found in mem map\n`,
  };
}

function placesText(session: Session, address: bigint, found: Places): string {
  const { program } = session;
  const parts = [
    found.symbol === undefined ? '' : `${hex(address)} (${found.symbol.type}) ${found.symbol.text}\n`,
    found.object === undefined ? '' : objectText(found.object),
    found.task === undefined ? '' : contextText(session, found.task),
    found.free === undefined ? '' : found.free.text,
    found.area === undefined ? '' : vmallocHeader() + vmallocRow(found.area),
    found.page === undefined ? '' : pageHeader(program) + pageLine(program, found.page),
  ];
  return parts.filter(part => part !== '').join('\n');
}

interface Places {
  readonly symbol?: ReturnType<typeof symbolOf>;
  readonly area?: ReturnType<typeof vmallocAreaAt>;
  readonly object?: SlabObject | undefined;
  readonly task?: Task | undefined;
  readonly free?: FreeBlock | undefined;
  readonly page?: ReturnType<typeof pageOf>;
}

function virtualPlaces(session: Session, address: bigint): Places {
  const { symbols } = session.program;
  // arm64 maps the image by areas of vmalloc, which crash does not take for one
  const isImage = address >= symbols.kernelStart && address < symbols.kernelEnd;
  return {
    symbol: symbolOf(session, address),
    area: isImage ? undefined : vmallocAreaAt(session.program, address),
  };
}

function memoryPlaces(session: Session, address: bigint, given: bigint): Places {
  const { program } = session;
  const pfn = pfnAt(program, address);
  return {
    object: pfnOfPage(program, address) === undefined ? objectAt(program, address) : undefined,
    task: taskAt(session, address),
    free: pfn === undefined ? undefined : findFreeBlock(program, pfn, given),
    page: pfn === undefined ? undefined : pageOf(program, pfn),
  };
}

/** No kernel's virtual addresses are as small, and no machine has as much memory. */
const FIRST_VIRTUAL_ADDRESS = 1n << 52n;

function symbolOf(session: Session, address: bigint): { readonly type: string; readonly text: string } | undefined {
  const place = session.program.symbols.lookup(address);
  if (place === undefined) return undefined;
  const { symbol, offset } = place;
  const name = `${symbol.name}${offset === 0 ? '' : `+${offset}`}${symbol.module === undefined ? '' : ` [${symbol.module}]`}`;
  const source = session.sourceLine(address);
  return { type: symbol.type, text: source === undefined ? name : `${name} ${source}` };
}

/** The task whose structure or kernel stack an address lies in. */
function taskAt(session: Session, address: bigint): Task | undefined {
  const { program } = session;
  const size = BigInt(program.types.struct('task_struct').size);
  const onStack = session.tasks.all.find(task => {
    const stack = taskStack(program, task);
    return address >= stack.start && address < stack.end;
  });
  if (onStack !== undefined) return onStack;
  // x86_64 allocates less than the structure's size when the FPU state is short: the nearest start counts.
  return session.tasks.all
    .filter(task => address >= task.address && address < task.address + size)
    .reduce<Task | undefined>(
      (best, task) => (best === undefined || task.address > best.address ? task : best),
      undefined,
    );
}

function vmallocAreaAt(program: Program, address: bigint): Parameters<typeof vmallocRow>[0] | undefined {
  const found = vmallocAreas(program).find(({ start, end }) => address >= start && address < end);
  if (found === undefined) return undefined;
  return { area: found.area.address, vmStruct: found.vmStruct, start: found.start, end: found.end };
}

/** Frame whose page structure is at an address, or that the address lies in. */
function pfnAt(program: Program, address: bigint): number | undefined {
  const pfn = pfnOfPage(program, address);
  if (pfn !== undefined) return pfn;
  const paddr = program.memory.translate(address);
  return paddr === undefined ? undefined : Math.floor(paddr / program.space.pageSize);
}
