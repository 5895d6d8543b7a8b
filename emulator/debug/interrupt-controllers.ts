/**
 * Interrupt controllers in words, for a monitor's `info pic` and `info lapic`: what is masked, pending and in service.
 *
 * Source: Intel SDM vol. 3A "Local Vector Table", "Interrupt Command Register (ICR)"; 82093AA data sheet "I/O Redirection Table"; GIC
 * architecture IHI 0048, IHI 0069 for the words. The layout of PC controllers is that of QEMU's monitor.
 */
import type { IoApicState } from '../devices/apic/io-apic.ts';
import type { LocalApicState } from '../devices/apic/local-apic.ts';
import type { InterruptBankState } from '../devices/gic/interrupt-bank.ts';
import type { I8259ChipState } from '../devices/i8259.ts';
import type { DeviceRegion } from '../machine/machine-interface.ts';
import { hex32 } from './register-dump.ts';

const DELIVERY = ['Fixed', 'LowPri', 'SMI', '?', 'NMI', 'INIT', 'SIPI', 'ExtINT'] as const;
const TIMER_MODES = ['one-shot', 'periodic', 'tsc-deadline', '?'] as const;

/** What `info pic` shows of a machine. */
export function describeInterruptControllers(regions: readonly DeviceRegion[]): string[] {
  return regions.flatMap(region => {
    const describe = CONTROLLERS[region.name];
    return describe === undefined ? [] : describe(region.state(), region.name);
  });
}

/** What `info lapic` shows of a CPU; nothing where there are no local APICs. */
export function describeLocalApic(regions: readonly DeviceRegion[], cpu: number): string[] {
  const page = regions.find(({ name }) => name === 'local-apic');
  const state = (page?.state() as readonly LocalApicState[] | undefined)?.[cpu];
  return state === undefined ? [] : localApicLines(state, cpu);
}

const CONTROLLERS: Readonly<Record<string, (state: unknown, name: string) => string[]>> = {
  'io-apic': (state, name) => ioApicLines(state as IoApicState, name),
  'io-apic-2': (state, name) => ioApicLines(state as IoApicState, name),
  'i8259-master': state => i8259Lines(state as I8259ChipState, 'pic0'),
  'i8259-slave': state => i8259Lines(state as I8259ChipState, 'pic1'),
  'gicv3-distributor': state => {
    const { enabledGroups, spis } = state as { readonly enabledGroups: number; readonly spis: InterruptBankState };
    return [`gicv3 distributor: groups ${groups(enabledGroups)}`, ...bankLines(spis, 32)];
  },
  'gicv3-redistributors': state =>
    (state as readonly { readonly asleep: boolean; readonly privates: InterruptBankState }[]).flatMap(
      ({ asleep, privates }, cpu) => [
        `CPU ${cpu}${asleep ? ' (redistributor asleep)' : ''}`,
        ...bankLines(privates, 0),
      ],
    ),
  'gicv2-distributor': state => {
    const { enabledGroups, spis, privates } = state as {
      readonly enabledGroups: number;
      readonly spis: InterruptBankState;
      readonly privates: readonly InterruptBankState[];
    };
    return [
      `gicv2 distributor: groups ${groups(enabledGroups)}`,
      ...bankLines(spis, 32),
      ...privates.flatMap((bank, cpu) => [`CPU ${cpu}`, ...bankLines(bank, 0)]),
    ];
  },
};

function groups(enabled: number): string {
  const names = [0, 1].filter(group => ((enabled >> group) & 1) !== 0);
  return names.length === 0 ? 'off' : names.join(' and ');
}

/** Interrupts that are enabled, pending or active. @param first INTID of the bank's first */
function bankLines(bank: InterruptBankState, first: number): string[] {
  const lines: string[] = [];
  for (let n = 0; n < bank.priority.length; n++) {
    const has = (bits: Uint32Array): boolean => ((bits[n >> 5]! >>> (n & 31)) & 1) !== 0;
    const isEdge = has(bank.edge);
    const pending = has(bank.latched) || (!isEdge && has(bank.level));
    if (!has(bank.enabled) && !pending && !has(bank.active)) continue;
    const words = [
      has(bank.enabled) ? 'enabled' : 'disabled',
      isEdge ? 'edge' : 'level',
      ...(pending ? ['pending'] : []),
      ...(has(bank.active) ? ['active'] : []),
    ];
    const priority = bank.priority[n]!.toString(16).padStart(2, '0');
    lines.push(
      `  INTID ${String(first + n).padStart(4)} priority ${priority} group ${Number(has(bank.group))} ${words.join(' ')}`,
    );
  }
  return lines;
}

const REMOTE_IRR = 1 << 14;
const MASKED = 1 << 16;

function ioApicLines({ id, select, lines, low, high }: IoApicState, name: string): string[] {
  const pins = [...low].map((entry, pin) => {
    const target = high[pin]!;
    const words = [
      `dest=${target >>> 24}`.padEnd(8),
      `vec=${entry & 0xff}`.padEnd(8),
      polarity(entry),
      (entry & MASKED) !== 0 ? 'masked' : '      ',
      DELIVERY[(entry >> 8) & 7]!.toLowerCase().padEnd(6),
      (entry & (1 << 11)) !== 0 ? 'logical' : 'physical',
    ];
    return `  pin ${String(pin).padEnd(2)} 0x${hex32(target)}${hex32(entry)} ${words.join(' ')}`;
  });
  const remote = [...low].flatMap((entry, pin) => ((entry & REMOTE_IRR) !== 0 ? [pin] : []));
  return [
    `${name}: id=0x${hex2(id)} sel=0x${hex2(select)}`,
    ...pins,
    `  IRR      ${numbers(bitsOf([lines]))}`,
    `  Remote IRR ${numbers(remote)}`,
  ];
}

function polarity(entry: number): string {
  return `${(entry & (1 << 13)) !== 0 ? 'active-lo' : 'active-hi'} ${(entry & (1 << 15)) !== 0 ? 'level' : 'edge '}`;
}

function i8259Lines(
  { irr, imr, isr, lowestPriority, vectorBase, readIsr, elcr }: I8259ChipState,
  name: string,
): string[] {
  const highest = (lowestPriority + 1) & 7;
  return [
    `${name}: irr=${hex2(irr)} imr=${hex2(imr)} isr=${hex2(isr)} hprio=${highest} irq_base=${hex2(vectorBase)} rr_sel=${Number(readIsr)} elcr=${hex2(elcr)}`,
  ];
}

/** Register numbers of the local vector table. */
const LVT = [
  ['LVT0', 0x35],
  ['LVT1', 0x36],
  ['LVTPC', 0x34],
  ['LVTERR', 0x37],
  ['LVTTHMR', 0x33],
  ['LVTT', 0x32],
] as const;
const LVT_TIMER = 0x32;
const DIVISORS = [2, 4, 8, 16, 32, 64, 128, 1] as const;

function localApicLines(state: LocalApicState, cpu: number): string[] {
  const { svr, icrLow, icrHigh, esr, isr, irr, tpr, dfr, ldr, timerDivide, timerInitial } = state;
  const divide = DIVISORS[(timerDivide & 3) | ((timerDivide >> 1) & 4)]!;
  return [
    `dumping local APIC state for CPU ${cpu}`,
    '',
    ...LVT.map(([name, register]) => vectorEntry(name, state.lvt[register] ?? MASKED, register === LVT_TIMER)),
    `Timer    DCR=0x${timerDivide.toString(16)} (divide by ${divide}) initial_count = ${timerInitial >>> 0}`,
    `SPIV     0x${hex32(svr)} APIC ${(svr & 0x100) !== 0 ? 'enabled' : 'disabled'}, focus=${(svr & 0x200) !== 0 ? 'on' : 'off'}, spurious vec ${svr & 0xff}`,
    `ICR      0x${hex32(icrLow)} ${(icrLow & (1 << 11)) !== 0 ? 'logical' : 'physical'} ${DELIVERY[(icrLow >> 8) & 7]!} (vec ${icrLow & 0xff})`,
    `ICR2     0x${hex32(icrHigh)}`,
    `ESR      0x${hex32(esr)}`,
    `ISR      ${numbers(bitsOf(isr))}`,
    `IRR      ${numbers(bitsOf(irr))}`,
    '',
    `TPR 0x${hex2(tpr)} DFR 0x${hex2(dfr >>> 28)} LDR 0x${hex2(ldr >>> 24)}`,
  ];
}

function vectorEntry(name: string, entry: number, isTimer: boolean): string {
  const mode = isTimer ? TIMER_MODES[(entry >> 17) & 3]! : '';
  const masked = (entry & MASKED) !== 0 ? 'masked' : '';
  const delivery = `${DELIVERY[(entry >> 8) & 7]!.padEnd(6)} (vec ${entry & 0xff})`;
  return `${name.padEnd(8)} 0x${hex32(entry)} ${polarity(entry)} ${masked.padEnd(6)} ${mode.padEnd(12)} ${delivery}`;
}

function bitsOf(words: Iterable<number>): number[] {
  return [...words].flatMap((word, index) =>
    Array.from({ length: 32 }, (_, bit) => bit).flatMap(bit => (((word >>> bit) & 1) !== 0 ? [index * 32 + bit] : [])),
  );
}

function numbers(list: readonly number[]): string {
  return list.length === 0 ? '(none)' : list.join(' ');
}

function hex2(value: number): string {
  return (value & 0xff).toString(16).padStart(2, '0');
}
