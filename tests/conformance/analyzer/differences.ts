/** Reviewed differences from crash's output, with the reason for each. */

interface Differences {
  /** On every dump, with and without a vmlinux. */
  readonly all: Readonly<Record<string, string>>;
  /** Without a vmlinux. */
  readonly alone: Readonly<Record<string, string>>;
  readonly 'aarch64-6.1': Readonly<Record<string, string>>;
  readonly 'x86_64-6.1': Readonly<Record<string, string>>;
}

const OWN_TEXT = 'our own help, of our own words';
const INTERNAL = "crash's internal tables: ours hold other things";
const NEEDS_LINES = 'source lines are in a vmlinux only';
const STATIC_DATA = 'the symbol is not in the dump: this kernel has no KALLSYMS_ALL';

export const DIFFERENCES: Differences = {
  all: {
    help: OWN_TEXT,
    'help-ps': OWN_TEXT,
    'help-a': INTERNAL,
    'help-m': INTERNAL,
    'help-v': INTERNAL,
    'help-D': INTERNAL,
    'p-utsname': 'crash fails ("gdb request failed"); init_uts_ns can be read',
    'eval-expr': 'crash computes only what is in the parentheses: (0x10 * 3) + 5 is 53, not 48',
    'search-k-val':
      'crash searches other ranges: it leaves out the direct map on arm64 and reads an alias of physical memory at ffffffffa… on x86_64',
    'sys-panic': 'crash has no such option and prints its usage; ours says which option is unknown',
    'vtop-text': 'crash leaves out the head of the page line when an earlier command of the session has printed one',
    fuser: 'crash leaves out that the tasks also map the file (`vm` shows the mapping)',
  },
  alone: {
    'net-S': STATIC_DATA,
    'vm-v': STATIC_DATA,
    task: STATIC_DATA,
    'task-x': STATIC_DATA,
    'struct-task-val': STATIC_DATA,
    'struct-count': STATIC_DATA,
    dev: STATIC_DATA,
    'dev-d': STATIC_DATA,
    'tree-vmap': STATIC_DATA,
    'tree-vmap-plain': STATIC_DATA,
    'p-init_mm': STATIC_DATA,
    'dis-r': NEEDS_LINES,
    'sym-addr': NEEDS_LINES,
    'sym-n': NEEDS_LINES,
    'sym-p': NEEDS_LINES,
    'dis-l': NEEDS_LINES,
    'dis-rl': NEEDS_LINES,
    'dis-s': NEEDS_LINES,
    'gdb-info': NEEDS_LINES,
    'bt-r': STATIC_DATA,
    'bt-F': STATIC_DATA,
    'bt-FF': STATIC_DATA,
    'rd-a': STATIC_DATA,
    'rd-banner': STATIC_DATA,
    'rd-32': STATIC_DATA,
    'rd-16': STATIC_DATA,
    'rd-8': STATIC_DATA,
    'rd-x': STATIC_DATA,
    'rd-N': STATIC_DATA,
  },
  'aarch64-6.1': {
    'gdb-info': 'gdb names a second place, behind the prologue; ours the line of the address only',
    'dis-r':
      "one branch's target is counted from behind the patchable no-operations by gdb, all others from the symbol",
    'dis-rl':
      "one branch's target is counted from behind the patchable no-operations by gdb, all others from the symbol",
  },
  'x86_64-6.1': {
    mach: 'crash has no name for the MCE stack and gives it no size; it leaves out VC2',
    'struct-count': 'crash fails ("seek error") on a readable address',
    'p-jiffies': 'crash reads wrong memory after `p -u` in the same session',
    'gdb-p': 'crash reads wrong memory after `p -u` in the same session',
  },
};

/*
 * Reviewed, too, though no list can name each line: wrong calls, of which every command was tried with.
 * - Usages are of our own words, and name our own options.
 * - Where crash takes no symbols (vtop, waitq with an address) or no sums (rd, struct, sym), ours does.
 * - Where crash is silent, ours says why there is nothing: `sys -c nosuch`, `kmem -s nosuch`, `sym -m nosuch`, `dis -b zzz`.
 * - Where crash leaves a command to gdb, ours gives gdb's reason under the line `gdb request failed`.
 * - crash computes the place of an address that no table maps (`rd ffffffffffffffff`: seek error); ours says it is invalid.
 * - crash reads on when an option or address excludes another (`kmem -is`, `struct task_struct ADDRESS ADDRESS`).
 */

/** A command on a reference dump to which crash 9.0.2 gives a wrong answer, with what proves it. */
export interface CrashSlip {
  readonly dump: 'aarch64-6.1' | 'x86_64-6.1';
  readonly line: string;
  /** What crash prints, as recorded: not to be found in our answer. */
  readonly crash: string;
  /** What our answer has in its place. */
  readonly ours: string;
  readonly why: string;
  /** Another command, on which both agree, and what of its output shows the fact. */
  readonly proof: { readonly line: string; readonly shows: string };
  /** Our answer comes from the vmlinux. */
  readonly needsVmlinux?: boolean;
}

export const CRASH_SLIPS: readonly CrashSlip[] = [
  {
    dump: 'x86_64-6.1',
    line: 'mount /mnt',
    crash: 'ffff8f3f011c1b40 ffff8f3f0105a800 rootfs rootfs    /',
    ours: 'ffff8f3f012c3a00 ffff8f3f1fc7c000 ext4   /dev/vda  /mnt',
    why: 'whichever file system is asked for, crash shows the first one',
    proof: { line: 'mount', shows: 'ffff8f3f012c3a00 ffff8f3f1fc7c000 ext4   /dev/vda  /mnt' },
  },
  {
    dump: 'aarch64-6.1',
    line: 'mount ffff325bc39278c0',
    crash: 'ffff325bc21d73c0 ffff325bc21f5800 rootfs rootfs    /',
    ours: 'ffff325bc39278c0 ffff325bca704800 sysfs  sys       /sys',
    why: 'the same with the address of a mount',
    proof: { line: 'mount', shows: 'ffff325bc39278c0 ffff325bca704800 sysfs  sys       /sys' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'search -s init_task -l 4096 init_task',
    crash: 'ffffffffb541b3f0: ffffffffb541aa40 (init_task)\nffffffffb541b3c0: ffffffffb541aa40 (init_task)',
    ours: 'ffffffffb541b3c0: ffffffffb541aa40 (init_task)\nffffffffb541b3c8: ffffffffb541aa40 (init_task)',
    why: 'crash searches twice, and lists each place again, when a range is given without -k, -u or -p',
    proof: { line: 'rd ffffffffb541b3f0', shows: 'ffffffffb541b3f0:  ffffffffb541aa40' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'vm -f 8100073',
    crash: 'CAN_NONLINEAR',
    ours: 'SOFTDIRTY',
    why: 'bit 27 is VM_SOFTDIRTY since Linux 3.11 (`include/linux/mm.h`); crash gives it the name of VM_CAN_NONLINEAR, which kernels lost in 3.7',
    proof: { line: 'vm 143', shows: '8100073' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'eval 5 / 0',
    crash: '(crash ends: floating point exception)',
    ours: '',
    why: 'crash divides without looking at the divisor, which kills it on x86_64',
    proof: { line: 'eval 5 / 1', shows: 'decimal: 5' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'task -R tasks.next 143',
    crash: 'invalid data structure member reference: tasks.next',
    ours: 'tasks.next = 0xffff8f3f1fc2e890,',
    why: "a member of a member, of which crash's own help has an example",
    proof: { line: 'struct task_struct.tasks ffff8f3f1ff5c800', shows: 'next = 0xffff8f3f1fc2e890' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'task_struct.pid_links[1] ffff8f3f1ff5c800',
    crash: '(nothing)',
    ours: 'pprev = 0xffff8f3f1ff02f18',
    why: "an element of an array, of which crash's own help has an example",
    proof: { line: 'struct task_struct.pid_links ffff8f3f1ff5c800', shows: 'pprev = 0xffff8f3f1ff02f18' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'mm_struct.pgd ffff8f3f01055680 -px',
    crash: '    pgd = 0xffff8f3f1fc92000,',
    ours: '-> {\n       pgd = 0x1e65d067\n     }',
    why: "-p does not follow a pointer to a typedef, as the example in crash's own help shows it",
    proof: { line: 'rd ffff8f3f1fc92000', shows: '000000001e65d067' },
  },
  {
    dump: 'aarch64-6.1',
    line: 'dis schedule',
    crash: 'b.ne\t0xffffd938255b5c2c <schedule+132>',
    ours: 'b.ne\t0xffffd938255b5c2c <schedule+140>',
    why: 'behind conditional branches gdb counts from where DWARF lets the function begin, 8 bytes behind its symbol: the compiler puts the no-operations for ftrace in front. Branches without a comment behind them, and the lines themselves, are counted from the symbol.',
    proof: { line: 'dis ffffd938255b5c2c', shows: '0xffffd938255b5c2c <schedule+140>' },
  },
  {
    dump: 'aarch64-6.1',
    line: 'p schedule',
    crash: '0xffffd938255b5ba8 <schedule>',
    ours: '0xffffd938255b5ba0 <schedule>',
    why: 'the same 8 bytes: what code calls is the symbol',
    proof: { line: 'sym schedule', shows: 'ffffd938255b5ba0 (T) schedule' },
  },
  {
    dump: 'aarch64-6.1',
    line: 'sys -c 64',
    crash: '..debian/build/build_arm64_none_cloud-arm64/fs/read_write.c: 644',
    ours: '../fs/read_write.c: 646',
    why: 'the same 8 bytes: at the symbol the line table still tells the last line of the function before, and schedule, which names the folder to leave out, is of no line at all',
    proof: { line: 'dis -l __arm64_sys_write 3', shows: 'fs/read_write.c: 646' },
    needsVmlinux: true,
  },
  {
    dump: 'aarch64-6.1',
    line: 'dis start_kernel 3',
    crash: '0xffffd93825d909f4 <start_kernel>:\tcbz\tx0, 0xffffd93825d90a28 <start_kernel+52>',
    ours: '',
    why: 'the memory was freed after start-up and holds other data now: the kernel does not map it there any more, crash reads it past the page tables',
    proof: { line: 'vtop ffffd93825d909f4', shows: '(not mapped)' },
  },
  {
    dump: 'aarch64-6.1',
    line: 'bt -S ffff80000823b860 140',
    crash: '#0 [ffff325bc38e0000] (null) at ffff80000823b8cc',
    ours: '#0 [ffff80000823b8d0] schedule_hrtimeout_range_clock at ffffd938255bdd84',
    why: 'crash takes the frame record at the address given for the switched-out registers; for a task that ran it ignores -S',
    proof: { line: 'bt 140', shows: '[ffff80000823b8d0] schedule_hrtimeout_range_clock at ffffd938255bdd84' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'sbitmapq ffff8f3f1ff07a90',
    crash: 'invalid structure member offset: sbq_wait_state_wait_cnt',
    ours: '\t{ .wait = inactive },',
    why: 'crash ends in the middle: wait queues of this kernel have no counter of their own',
    proof: { line: 'struct sbq_wait_state', shows: 'struct sbq_wait_state {\n    wait_queue_head_t wait;\n}' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'bt -I schedule',
    crash: ' #1 [ffffd18d00013aa0] __handle_sysrq.cold',
    ours: ' #3 [ffffd18d00013a98] sysrq_handle_crash',
    why: 'with an address of code alone crash takes a leftover of the stack for the start, and loses panic and its caller; of a task that does not run it ignores the address',
    proof: { line: 'bt', shows: ' #3 [ffffd18d00013a98] sysrq_handle_crash at ffffffffb40a8a06' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'whatis irq_handler_t',
    crash: '(*)(int, void *)\nSIZE',
    ours: '(*)(int, void *) irq_handler_t;\nSIZE',
    why: 'crash leaves the name out where a brace stands in the type',
    proof: { line: 'whatis work_func_t', shows: 'typedef void (*)(struct work_struct *) work_func_t;' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'whatis unsigned long',
    crash: 'SIZE: 4',
    ours: 'SIZE: 8',
    why: 'crash looks at the first word only, and prints no name of a basic type',
    proof: { line: 'p sizeof(unsigned long)', shows: '= 8' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'pte ffffffffffffffff',
    crash: '3ffffffff000',
    ours: 'ffffffffff000',
    why: 'an entry has 52 bits of address (Intel SDM vol. 3A "4-level paging and 5-level paging"); crash cuts it to 46',
    proof: { line: 'eval (1 << 52)', shows: 'hexadecimal: 10000000000000' },
  },
  {
    dump: 'x86_64-6.1',
    line: 'whatis -r 24',
    crash: '  24  va_list\n',
    ours: '24  fr_proto',
    why: 'of typedefs crash lists those that something has looked at before, and of structures without a tag none that a typedef names',
    proof: { line: 'whatis fr_proto', shows: 'SIZE: 24' },
  },
];
