/**
 * What the log says about the crash: which of its lines are of the incident, and where the kernel was.
 *
 * Sources: `arch/x86/kernel/dumpstack.c` `show_ip`, `arch/arm64/kernel/process.c` `__show_regs`, `kernel/panic.c`,
 * `kernel/watchdog.c` for the wording (Linux v6.12).
 */

/** Lines with which an incident begins. */
const START =
  /Unable to handle kernel|BUG: (?:unable|kernel|KASAN|KFENCE|soft|workqueue|sleeping|scheduling|spinlock|Bad)|Internal error:|Oops[: ]|general protection fault|kernel BUG at|Kernel panic - not syncing|[sS]ys[rR]q ?: Trigger a crash|watchdog: BUG|Watchdog detected hard LOCKUP|rcu: INFO: .* detected stalls?|INFO: task .* blocked for more/;
/** Lines before the last start that still belong to the same incident. */
const REACH = 200;

/** The incident's lines: from the first start within reach of the last one to the end of the log; none without a start. */
export function incidentLines(log: readonly string[]): string[] {
  const last = log.findLastIndex(line => START.test(line));
  if (last === -1) return [];
  const from = Math.max(0, last - REACH);
  return log.slice(from + log.slice(from).findIndex(line => START.test(line)));
}

/** A place in the kernel, as a log line names it. */
export interface CodePlace {
  readonly symbol: string;
  readonly offset: number;
}

/** x86: `RIP: 0010:func+0x12/0x34`, a user's code segment is 0033; arm64: `pc : func+0x12/0x34`. */
const PLACE = /(?:RIP: 0010:|pc : )([\w.$]+)\+0x([\da-f]+)\/0x[\da-f]+/;

/** Where the kernel was when it faulted: the first place that the incident's lines name. */
export function faultingPlace(incident: readonly string[]): CodePlace | undefined {
  for (const line of incident) {
    const match = PLACE.exec(line);
    if (match !== null) return { symbol: match[1]!, offset: Number.parseInt(match[2]!, 16) };
  }
  return undefined;
}

/** Texts by which crash (`task.c`, `get_panicmsg`) finds the line that it shows, first choice first. */
const CRASH_TEXTS: readonly string[] = [
  'SysRq : Crash',
  'SysRq : Trigger a crash',
  'SysRq : Netdump',
  'Kernel panic: ',
  'Kernel panic - ',
  'Kernel BUG at',
  'kernel BUG at',
  'Unable to handle kernel paging request',
  'Unable to handle kernel NULL pointer dereference',
  'BUG: unable to handle kernel ',
  'general protection fault: ',
  'double fault: ',
  'divide error: ',
  'stack segment: ',
  '[Hardware Error]: ',
  'Bad mode in ',
  'Oops: ',
];
/** Where there is none of them, the first line with one of these, before any that speaks of sysrq. */
const FALLBACK = /Unable to handle kernel|BUG: unable to handle kernel|[kK]ernel BUG at|Bad mode in|Oops|Kernel panic/;

/**
 * The line that crash calls PANIC.
 *
 * @param sysrqPressed the kernel's variable of that name, undefined where there is none
 */
export function crashPanicLine(log: readonly string[], sysrqPressed: boolean | undefined): string | undefined {
  for (const text of CRASH_TEXTS) {
    const found = log.find(line => line.includes(text));
    if (found !== undefined) return found;
  }
  const bySysrq = (line: string): boolean => sysrqPressed !== undefined && line.includes('sysrq');
  const first = log.find(line => bySysrq(line) || FALLBACK.test(line));
  return first !== undefined && bySysrq(first) && sysrqPressed === false ? undefined : first;
}
