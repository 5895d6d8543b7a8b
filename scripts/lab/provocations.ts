/**
 * Ways to make a production kernel panic in a particular state. Some are means of its own user space; for the others, which Debian's
 * kernels have no means for (LKDTM is off), the host puts a few instructions into the kernel that `echo c > /proc/sysrq-trigger` then runs.
 *
 * Source for the states: Linux `drivers/misc/lkdtm/`, `Documentation/admin-guide/sysctl/kernel.rst` (v6.12).
 */
import type { Program } from '../../analyzer/program.ts';
import { writeU32 } from '../../capture/formats/bytes.ts';
import { UsageError } from '../../capture/formats/errors.ts';
import type { KernelWatcher } from './host-kexec.ts';
import type { KernelProbes } from './kernel-probes.ts';
import { openLiveKernel } from './live-kernel.ts';
import { machineStateOf, type WatchedCpu } from './watched-board.ts';

const SYSRQ = 'echo c > /proc/sysrq-trigger';
const sysctl = (name: string, value: number): string => `echo ${value} > /proc/sys/${name.replaceAll('.', '/')}; `;

/** What the host does to the kernel when user space asks for the crash. */
export type HostPart =
  'bug' | 'null-pointer' | 'stack-overflow' | 'interrupts-off' | 'interrupt' | 'soft-lockup' | 'hung-task';

/** One way to panic. */
export interface Provocation {
  readonly what: string;
  /** Shell command in the production kernel's user space. */
  readonly command: string;
  /** More words for the production kernel's command line. */
  readonly append?: string;
  readonly host?: HostPart;
}

/** By the names that `run --panic` takes. */
export const PROVOCATIONS: Readonly<Record<string, Provocation>> = {
  sysrq: { what: "sysrq's c", command: SYSRQ },
  bug: { what: 'the trap instruction of BUG()', command: SYSRQ, host: 'bug' },
  'null-pointer': { what: 'a read through a NULL pointer', command: SYSRQ, host: 'null-pointer' },
  'stack-overflow': { what: 'a stack that runs into its guard page', command: SYSRQ, host: 'stack-overflow' },
  'interrupts-off': { what: 'panic() with interrupts off', command: SYSRQ, host: 'interrupts-off' },
  interrupt: { what: "BUG() in the timer's interrupt", command: SYSRQ, host: 'interrupt' },
  'soft-lockup': {
    what: 'a loop in the kernel, with kernel.softlockup_panic',
    command: sysctl('kernel.softlockup_panic', 1) + sysctl('kernel.watchdog_thresh', 1) + SYSRQ,
    host: 'soft-lockup',
  },
  'hung-task': {
    what: 'a task that waits for ever, with kernel.hung_task_panic',
    command:
      sysctl('kernel.hung_task_panic', 1) +
      sysctl('kernel.hung_task_timeout_secs', 1) +
      sysctl('kernel.hung_task_check_interval_secs', 1) +
      SYSRQ,
    host: 'hung-task',
  },
  oom: { what: 'no memory left, with vm.panic_on_oom', command: `${sysctl('vm.panic_on_oom', 1)}tail /dev/zero` },
  'init-exit': { what: 'the end of init', command: 'exec false' },
  'no-init': {
    what: 'no init and no root file system: before any user space',
    command: 'false',
    append: 'rdinit=/none',
  },
};

/** Machine code by architecture. Each replaces the beginning of `sysrq_handle_crash`, or of what the timer's interrupt calls. */
const CODE = {
  aarch64: {
    // brk #0x800
    trap: words(0xd421_0000),
    // mov x0, #0; ldr x0, [x0]
    nullRead: words(0xd280_0000, 0xf940_0000),
    // sub sp, sp, #16; str xzr, [sp]; b .-8
    overflow: words(0xd100_43ff, 0xf900_03ff, 0x17ff_fffe),
    // msr daifset, #2
    mask: words(0xd503_42df),
    // b .
    loop: words(0x1400_0000),
  },
  x86_64: {
    // ud2
    trap: Uint8Array.of(0x0f, 0x0b),
    // xor eax, eax; mov rax, [rax]
    nullRead: Uint8Array.of(0x31, 0xc0, 0x48, 0x8b, 0x00),
    // push rax; jmp .-1
    overflow: Uint8Array.of(0x50, 0xeb, 0xfd),
    // cli; nopl 0(rax)
    mask: Uint8Array.of(0xfa, 0x0f, 0x1f, 0x40, 0x00),
    // jmp .
    loop: Uint8Array.of(0xeb, 0xfe),
  },
} as const;

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  for (const [i, value] of values.entries()) writeU32(bytes, i * 4, value);
  return bytes;
}

/** Behind the first instruction, which a probe takes. */
const LOOP_OFFSET = 16;
const TARGET = 'sysrq_handle_crash';
/** What every tick calls. */
const TICK = 'update_process_times';
const TASK_UNINTERRUPTIBLE = 2;

/** Prepares one machine's kernel, as soon as it has described itself. */
export class Provoker implements KernelWatcher {
  readonly #probes: KernelProbes;
  readonly #part: HostPart;
  #isArmed = false;

  constructor(probes: KernelProbes, part: HostPart) {
    this.#probes = probes;
    this.#part = part;
  }

  get isArmed(): boolean {
    return this.#isArmed;
  }

  /** @throws UsageError when the kernel lacks what is needed */
  tryArm(): void {
    const program = openLiveKernel(machineStateOf(this.#probes.board));
    if (program === undefined) return;
    this.#isArmed = true;
    const { board, dma } = this.#probes;
    const code = CODE[board.architecture];
    const paddr = this.#need(program, TARGET);
    switch (this.#part) {
      case 'bug':
        return dma.write(paddr, code.trap);
      case 'null-pointer':
        return dma.write(paddr, code.nullRead);
      case 'stack-overflow':
        return dma.write(paddr, code.overflow);
      case 'interrupts-off':
        return dma.write(paddr + this.#nopOffset(paddr), code.mask);
      case 'interrupt':
      case 'soft-lockup':
      case 'hung-task':
        dma.write(paddr + LOOP_OFFSET, code.loop);
        this.#probes.plant(paddr, cpu => this.#onSysrq(cpu, program));
    }
  }

  /** Where the function has room for an instruction that does not matter. */
  #nopOffset(paddr: number): number {
    const { offset, skip } = this.#probes.board.probe.findSite(this.#probes.dma.read(paddr, LOOP_OFFSET));
    if (skip === 0)
      throw new UsageError(`--panic ${this.#part}: ${TARGET} has no room for an instruction in this kernel`);
    return offset;
  }

  /** Physical address of a function. */
  #need(program: Program, name: string): number {
    const address = program.symbols.find(name);
    const paddr = address === undefined ? undefined : program.space.translate(address);
    if (paddr === undefined) throw new UsageError(`--panic ${this.#part}: this kernel has no ${name}`);
    return paddr;
  }

  /** A CPU is about to crash: it goes on in a loop, with whatever makes the loop fatal, or sleeps for ever. */
  #onSysrq(cpu: WatchedCpu, program: Program): 'continue' {
    const { board, dma } = this.#probes;
    if (this.#part === 'hung-task') {
      const state = this.#currentTask(program, cpu).addressOf('__state');
      dma.write(program.space.translate(state)!, words(TASK_UNINTERRUPTIBLE));
      cpu.pc = program.symbols.find('schedule')!;
      return 'continue';
    }
    if (this.#part === 'interrupt') dma.write(this.#need(program, TICK), CODE[board.architecture].trap);
    else this.#disablePreemption(program, cpu);
    cpu.pc += BigInt(LOOP_OFFSET);
    return 'continue';
  }

  #currentTask(program: Program, cpu: WatchedCpu) {
    const runQueue = program.percpuAddress('runqueues', cpu.index);
    if (runQueue === undefined) throw new UsageError(`--panic ${this.#part}: this kernel has no runqueues`);
    return program.object('task_struct', program.object('rq', runQueue).pointer('curr'));
  }

  /** `preempt_disable`: else the scheduler takes the CPU away from the loop. */
  #disablePreemption(program: Program, cpu: WatchedCpu): void {
    const address =
      this.#probes.board.architecture === 'aarch64'
        ? this.#currentTask(program, cpu).addressOf('thread_info.preempt_count')
        : x86PreemptCount(program, cpu.index);
    const paddr = address === undefined ? undefined : program.space.translate(address);
    if (paddr === undefined) throw new UsageError(`--panic ${this.#part}: this kernel keeps no preempt_count`);
    this.#probes.dma.writeU32(paddr, this.#probes.dma.readU32(paddr) + 1);
  }
}

/** A per-cpu variable of its own, or (v6.2 to v6.14) in `pcpu_hot`. */
function x86PreemptCount(program: Program, cpu: number): bigint | undefined {
  const own = program.percpuAddress('__preempt_count', cpu);
  const hot = program.percpuAddress('pcpu_hot', cpu);
  if (own !== undefined || hot === undefined) return own;
  return program.object('pcpu_hot', hot).addressOf('preempt_count');
}
