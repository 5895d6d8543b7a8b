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
