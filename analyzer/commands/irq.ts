/** `irq`: interrupts. */
import { UsageError } from '../../capture/formats/errors.ts';
import { mapPresent } from '../gaps.ts';
import { cpuListText, cpumaskVar, onlineCpus } from '../linux/cpumask.ts';
import { irqCount, irqDescriptors } from '../linux/irq.ts';
import type { IrqAction, IrqDescriptor } from '../linux/irq.ts';
import type { Program } from '../program.ts';
import { center, hex, hex16, lines } from '../text/layout.ts';
import type { Arguments, Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import type { Session } from './session.ts';

/** A line of a table of addresses: of `-d` and `-b`. */
interface Vector {
  readonly vector: number;
  readonly address: bigint;
  readonly symbol: string | undefined;
}

interface Count {
  readonly irq: number;
  readonly counts: readonly number[];
  readonly chip: string;
  /** How it is triggered, where the kernel names it. */
  readonly trigger: string;
  readonly names: readonly string[];
}

interface IrqData {
  readonly irqs?: readonly {
    readonly irq: number;
    /** Undefined for a number without a descriptor. */
    readonly descriptor: bigint | undefined;
    readonly actions: readonly IrqAction[];
    /** The dump lacks it, or some of its actions. */
    readonly isPartial?: boolean;
  }[];
  readonly idt?: readonly Vector[];
  readonly softirqs?: readonly Vector[];
  readonly affinity?: readonly { readonly irq: number; readonly name: string; readonly cpus: readonly number[] }[];
  readonly counts?: { readonly cpus: readonly number[]; readonly irqs: readonly Count[] };
}

/** `irq`. */
export const irq: Command<IrqData> = {
  name: 'irq',
  summary: 'interrupts: descriptors, handlers, counts, affinity',
  synopsis: '[[[index ...] | -u ] | -d | -b | -a | -s [-c cpu(s)]]',
  options: [
    { flag: '-u', help: 'only interrupts that have a descriptor' },
    { flag: '-d', help: 'the interrupt descriptor table (x86_64)' },
    { flag: '-b', help: 'soft interrupt handlers' },
    { flag: '-a', help: 'affinity of interrupts in use' },
    { flag: '-s', help: 'counts by CPU' },
    { flag: '-c', takes: 'cpus', help: 'with -s: these CPUs' },
  ],
  description: 'Lists each interrupt with its descriptor, its actions and their names.',
  examples: [
    { line: 'irq -u', why: 'the interrupts that are set up' },
    { line: 'irq -s', why: 'which CPU took which interrupts' },
  ],
  run(session, args) {
    const { program } = session;
    if (args.has('-d')) return { idt: idtVectors(program) };
    if (args.has('-b')) return { softirqs: softirqVectors(program) };
    if (args.has('-a')) return { affinity: affinities(program) };
    if (args.has('-s')) return { counts: countsOf(session, args) };
    return { irqs: chosenIrqs(program, args) };
  },
  text({ irqs, idt, softirqs, affinity, counts }) {
    if (idt !== undefined) return lines(idt.map(idtLine));
    if (softirqs !== undefined) return `SOFTIRQ_VEC      ACTION\n${lines(softirqs.map(softirqLine))}`;
    if (affinity !== undefined)
      return `IRQ NAME                 AFFINITY\n${lines(
        affinity.map(({ irq: number, name, cpus }) => `${cell(number)} ${name.padEnd(20)} ${cpuListText(cpus)}`),
      )}`;
    if (counts !== undefined) return countsText(counts);
    return ` IRQ   IRQ_DESC/_DATA      IRQACTION      NAME\n${(irqs ?? []).map(irqLines).join('')}`;
  },
};

function chosenIrqs(program: Program, args: Arguments): NonNullable<IrqData['irqs']> {
  const descriptors = irqDescriptors(program);
  const count = irqCount(program);
  const wanted = args.positionals.map(word => irqNumber(word, count));
  const numbers = wanted.length > 0 ? wanted : Array.from({ length: count }, (_, index) => index);
  const rows = numbers.map(number => {
    const found = descriptors.get(number);
    const partial = found?.isPartial === true ? { isPartial: true } : {};
    return { irq: number, descriptor: found?.struct.address, actions: found?.actions ?? [], ...partial };
  });
  return args.has('-u') ? rows.filter(({ descriptor }) => descriptor !== undefined) : rows;
}

function irqNumber(word: string, count: number): number {
  const number = /^(?:0x[\da-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN;
  if (!(number < count)) throw new UsageError(`invalid IRQ value: ${word}  (${count - 1} max)`);
  return number;
}

function irqLines({
  irq: number,
  descriptor,
  actions,
  isPartial = false,
}: NonNullable<IrqData['irqs']>[number]): string {
  const unused = center('(unused)', 16);
  // Three digits, or a fourth column for more.
  const head = `${number < 100 ? `${cell(number)} ` : ` ${number}`}  ${descriptor === undefined ? unused : hex16(descriptor)}`;
  const mark = isPartial ? [`${actions.length === 0 ? head : ' '.repeat(head.length)}  (not in the dump)`] : [];
  if (actions.length === 0) return isPartial ? lines(mark) : `${head}  ${unused}\n`;
  const rows = actions.map(
    ({ address, name }, index) =>
      `${index === 0 ? head : ' '.repeat(head.length)}  ${hex16(address)}  ${name === undefined ? '' : `"${name}"`}`,
  );
  return lines([...rows, ...mark]);
}

function cell(number: number): string {
  return String(number).padStart(3);
}

const IDT_ENTRIES = 256;
const GATE_SIZE = 16;

/** `idt_table[]`: the offset of a gate is split over bits 15:0, 63:48 and 95:64; Intel SDM vol. 3A "64-Bit Mode IDT". */
function idtVectors(program: Program): Vector[] {
  if (program.architecture !== 'x86_64') throw new UsageError('-d option is not applicable to ARM64 architecture');
  const base = program.symbols.need('idt_table');
  return Array.from({ length: IDT_ENTRIES }, (_, vector) => {
    const at = base + BigInt(vector * GATE_SIZE);
    const low = program.memory.readU64(at);
    const high = program.memory.readU64(at + 8n);
    const address = (low & 0xffffn) | ((low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
    return { vector, address, symbol: program.symbols.format(address) };
  });
}

function idtLine({ vector, address, symbol }: Vector): string {
  return `${`[${vector}]`.padStart(5)} ${symbol ?? hex(address)}`;
}

const NR_SOFTIRQS = 10;

/** `softirq_vec[]`, in the order of `enum`; `include/linux/interrupt.h`. */
function softirqVectors(program: Program): Vector[] {
  const base = program.symbols.need('softirq_vec');
  return Array.from({ length: NR_SOFTIRQS }, (_, vector) => {
    const address = program.memory.readU64(base + BigInt(8 * vector));
    return { vector, address, symbol: program.symbols.format(address) };
  }).filter(({ address }) => address !== 0n);
}

function softirqLine({ vector, address, symbol }: Vector): string {
  return `    [${vector}]     ${hex16(address)}  <${symbol ?? ''}>`;
}

function inUse(program: Program): IrqDescriptor[] {
  return [...irqDescriptors(program).values()].filter(({ actions }) => actions.length > 0);
}

function affinities(program: Program): NonNullable<IrqData['affinity']> {
  const count = Math.max(...onlineCpus(program)) + 1;
  return mapPresent(program, 'affinity of interrupts', inUse(program), ({ irq: number, struct, actions }) => {
    const member = struct.has('irq_common_data.affinity') ? 'irq_common_data.affinity' : 'irq_data.affinity';
    return { irq: number, name: actions[0]!.name ?? '', cpus: cpumaskVar(program, struct, member, count) };
  });
}

/** `irq_desc.kstat_irqs`: per-cpu counts; a structure that begins with `cnt` since 6.10. */
function countsOf(session: Session, args: Arguments): NonNullable<IrqData['counts']> {
  const { program } = session;
  const cpus = args.has('-c') ? parseCpus(session, args.value('-c')!) : onlineCpus(program);
  const irqs = mapPresent(program, 'counts of interrupts', inUse(program), ({ irq: number, struct, actions }) => {
    const base = struct.pointer('kstat_irqs');
    const counts = cpus.map(cpu =>
      program.memory.readU32(BigInt.asUintN(64, base + (program.percpuOffsets[cpu] ?? 0n))),
    );
    const chip = struct.follow('irq_data.chip')?.stringAt('name', 64) ?? '';
    const names = actions.map(({ name }) => name ?? '');
    return { irq: number, counts, chip, trigger: struct.stringAt('name', 64), names };
  });
  return { cpus, irqs };
}

function column(text: string | number): string {
  return `${String(text).padStart(10)} `;
}

function countsText({ cpus, irqs }: NonNullable<IrqData['counts']>): string {
  const head = `     ${cpus.map(cpu => column(`CPU${cpu}`)).join('')}`;
  const rows = irqs.map(({ irq: number, counts, chip, trigger, names }) => {
    const handler = `${chip.padStart(8)}${trigger === '' ? '' : `-${trigger.padEnd(8)}`}`;
    return `${cell(number)}: ${counts.map(count => column(count)).join('')}${handler} ${names.join(', ')}`;
  });
  return lines([head, ...rows]);
}
