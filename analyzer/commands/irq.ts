/** `irq`: interrupts. */
import { UsageError } from '../../capture/formats/errors.ts';
import { onlineCpus, readCpumask } from '../linux/cpumask.ts';
import { irqCount, irqDescriptors } from '../linux/irq.ts';
import type { IrqDescriptor } from '../linux/irq.ts';
import { center, hex, hex16 } from '../text/layout.ts';
import type { Command } from './command.ts';
import { parseCpus } from './cpus.ts';
import type { Session } from './session.ts';

interface IrqData {
  readonly text: string;
}

/** `irq`. */
export const irq: Command<IrqData> = {
  name: 'irq',
  summary: 'interrupts: descriptors, handlers, counts, affinity',
  synopsis: '[[[index ...] | -u ] | -d | -b | -a | -s [-c cpu(s)]]',
  options: [
    { flag: '-u', help: 'only interrupts in use' },
    { flag: '-d', help: 'the interrupt descriptor table (x86_64)' },
    { flag: '-b', help: 'soft interrupt handlers' },
    { flag: '-a', help: 'affinity of interrupts in use' },
    { flag: '-s', help: 'counts by CPU' },
    { flag: '-c', takes: 'cpus', help: 'with -s: these CPUs' },
  ],
  description: 'Lists each interrupt with its descriptor, its actions and their names.',
  examples: [{ line: 'irq -s', why: 'which CPU took which interrupts' }],
  run(session, args) {
    if (args.has('-d')) return { text: idt(session) };
    if (args.has('-b')) return { text: softirqs(session) };
    if (args.has('-a')) return { text: affinities(session) };
    if (args.has('-s'))
      return {
        text: counts(session, args.has('-c') ? parseCpus(session, args.value('-c')!) : onlineCpus(session.program)),
      };
    const wanted = args.positionals.map(Number);
    return { text: table(session, args.has('-u'), wanted) };
  },
  text: data => data.text,
};

function table(session: Session, usedOnly: boolean, wanted: readonly number[]): string {
  const descriptors = irqDescriptors(session.program);
  const numbers = wanted.length > 0 ? wanted : Array.from({ length: irqCount(session.program) }, (_, index) => index);
  const rows = numbers.map(number => {
    const descriptor = descriptors.get(number);
    if (usedOnly && (descriptor === undefined || descriptor.actions.length === 0)) return '';
    return descriptor === undefined ? unusedRow(number) : descriptorRows(descriptor);
  });
  return ` IRQ   IRQ_DESC/_DATA      IRQACTION      NAME\n${rows.join('')}`;
}

/** Three digits, or a fourth column for more. */
function numberText(number: number): string {
  return number < 100 ? `${String(number).padStart(3)} ` : ` ${number}`;
}

function unusedRow(number: number): string {
  return `${numberText(number)}  ${center('(unused)', 16)}  ${center('(unused)', 16)}\n`;
}

function descriptorRows({ irq: number, struct, actions }: IrqDescriptor): string {
  const head = `${numberText(number)}  ${hex16(struct.address)}`;
  if (actions.length === 0) return `${head}  ${center('(unused)', 16)}\n`;
  return actions
    .map(
      ({ address, name }, index) =>
        `${index === 0 ? head : ' '.repeat(head.length)}  ${hex16(address)}  ${name === undefined ? '' : `"${name}"`}\n`,
    )
    .join('');
}

const IDT_ENTRIES = 256;
const GATE_SIZE = 16;

/** `idt_table[]`: the offset of a gate is split over bits 15:0, 63:48 and 95:64; Intel SDM vol. 3A "64-Bit Mode IDT". */
function idt(session: Session): string {
  const { program } = session;
  if (program.architecture !== 'x86_64') throw new UsageError('-d option is not applicable to ARM64 architecture');
  const base = program.symbols.need('idt_table');
  const rows = Array.from({ length: IDT_ENTRIES }, (_, vector) => {
    const at = base + BigInt(vector * GATE_SIZE);
    const low = program.memory.readU64(at);
    const high = program.memory.readU64(at + 8n);
    const target = (low & 0xffffn) | ((low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
    return `${`[${vector}]`.padStart(5)} ${program.symbols.format(target) ?? hex(target)}\n`;
  });
  return rows.join('');
}

/** `softirq_vec[]`, in the order of `enum`; `include/linux/interrupt.h`. */
function softirqs(session: Session): string {
  const { program } = session;
  const base = program.symbols.need('softirq_vec');
  const NR_SOFTIRQS = 10;
  const rows = Array.from({ length: NR_SOFTIRQS }, (_, index) => {
    const action = program.memory.readU64(base + BigInt(8 * index));
    return action === 0n
      ? ''
      : `${`[${index}]`.padStart(9)}  ${hex16(action)}  <${program.symbols.format(action) ?? ''}>\n`;
  });
  return `SOFTIRQ_VEC      ACTION\n${rows.join('')}`;
}

function affinities(session: Session): string {
  const { program } = session;
  const rows = [...irqDescriptors(program).values()]
    .filter(({ actions }) => actions.length > 0)
    .map(({ irq: number, struct, actions }) => {
      const member = struct.has('irq_common_data.affinity') ? 'irq_common_data.affinity' : 'irq_data.affinity';
      const cpus = readCpumask(program, struct.addressOf(member), Math.max(...onlineCpus(program)) + 1);
      return `${String(number).padStart(3)} ${(actions[0]!.name ?? '').padEnd(20)} ${cpus.join(',')}\n`;
    });
  return `IRQ NAME                 AFFINITY\n${rows.join('')}`;
}

/** `irq_desc.kstat_irqs`: per-cpu counts; a structure with `cnt` since 6.10. */
function counts(session: Session, cpus: readonly number[]): string {
  const { program } = session;
  const head = `     ${cpus.map(cpu => `CPU${cpu}`.padStart(11)).join('')}\n`;
  const rows = [...irqDescriptors(program).values()]
    .filter(({ actions }) => actions.length > 0)
    .map(({ irq: number, struct, actions }) => {
      const base = struct.pointer('kstat_irqs');
      const values = cpus.map(cpu =>
        program.memory.readU32(BigInt.asUintN(64, base + (program.percpuOffsets[cpu] ?? 0n))),
      );
      return `${String(number).padStart(3)}: ${values.map(value => String(value).padStart(11)).join('')}  ${actions.map(({ name }) => name ?? '').join(',')}\n`;
    });
  return head + rows.join('');
}
