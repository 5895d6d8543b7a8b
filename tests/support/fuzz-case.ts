/** One case of the analyzer's fuzz campaign: a damaged dump, opened, and some commands on it. A number says all of it. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Session } from '../../analyzer/commands/session.ts';
import { Program } from '../../analyzer/program.ts';
import { runLine } from '../../analyzer/shell.ts';
import { FaultError, FormatError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';
import type { MemorySource } from '../../capture/formats/memory-source.ts';
import { CachedMemory, openDump } from '../../capture/sources/dump-file.ts';
import type { Dump } from '../../capture/sources/dump-file.ts';
import { CorruptMemory } from './corrupt-memory.ts';
import type { Damage } from './corrupt-memory.ts';
import { findDumpFolder } from './crash-reference.ts';
import { Random } from './random.ts';

const DUMPS = [
  ['aarch64-6.1', 'vmcore'],
  ['x86_64-6.1', 'vmcore'],
  ['aarch64-6.12-va52', 'vmcore.d31'],
] as const;
const FILE_DUMP = ['aarch64-6.1', 'vmcore.d31'] as const;

/** What is damaged: memory from the start, memory behind what opening has read, the dump's file. */
const KINDS = ['memory', 'later memory', 'later memory', 'file'] as const;

/** A case runs some of them. */
const COMMANDS =
  'sys;sys -c;sys -i;bt -a;bt -e;bt -f;bt -FF;bt -t;bt -T;bt 1;ps;ps -m;ps -a 1;ps -g;ps -p;ps -r;log;log -T;mod;mod -t;files;files -c 1;mount;net;net -a;net -s 1;net -S 1;vm;vm -p 1;vm -m 1;vm -v 1;vtop 400000;vtop init_task;kmem -i;kmem -i=shared;kmem -s;kmem -S task_struct;kmem -S dentry;kmem -v;kmem -V;kmem -z;kmem -f;kmem -n;kmem -h;kmem init_task;runq;runq -g;runq -d;runq -m;timer;timer -r;irq;irq -s;irq -a;irq -b;dev;dev -i;dev -d;dev -p;ipcs -M;swap;sig;sig -g 1;task -R pid;foreach bt;foreach files;foreach vm;foreach task -R comm;list -H modules;list task_struct.tasks -h init_task;tree -t rbtree vmap_area_root;tree -t maple -r mm_struct.mm_mt init_mm;p init_task;p runqueues:0;struct task_struct init_task;struct module.name,state -l module.list modules;sym -m virtio_net;sym schedule;search -t 1234;bpf;dis schedule;dis -r schedule+64;mach;fuser /;rd -SS init_task 64;waitq log_wait;sbitmapq init_task;whatis runqueues;gdb p *init_task.signal;report;doctor'.split(
    ';',
  );
const COMMANDS_PER_CASE = 14;
const LIMIT_BYTES = 2 ** 30;
const EXPECTED = [FaultError, FormatError, UnimplementedError, UsageError];

/** What a case is about, as its reports name it. */
export function describeCase(number: number): string {
  const random = new Random(number);
  const kind = KINDS[number % KINDS.length]!;
  const [name, file] = kind === 'file' ? FILE_DUMP : DUMPS[random.below(DUMPS.length)]!;
  return `case ${number} (${kind} of ${name}/${file})`;
}

/**
 * Runs a case.
 * @param report is told each command before it runs
 * @param scratch folder for damaged files
 * @returns what went wrong; undefined when all ended as it may
 */
export async function runFuzzCase(
  number: number,
  scratch: string,
  report: (line: string) => void,
): Promise<string | undefined> {
  const random = new Random(number);
  const kind = KINDS[number % KINDS.length]!;
  const dump = DUMPS[random.below(DUMPS.length)]!;
  report('(opening)');
  const opened = kind === 'file' ? openDamagedFile(number, scratch, random) : openDamagedMemory(kind, number, dump);
  if (!('session' in opened)) return opened.failure;
  using program = opened.session.program;
  for (let count = 0; count < COMMANDS_PER_CASE; count++) {
    const line = COMMANDS[random.below(COMMANDS.length)]!;
    report(line);
    const failure = await runLine(opened.session, line).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    if (failure !== undefined) return `"${line}" on ${program.architecture}: ${failure}`;
    const { rss } = process.memoryUsage();
    if (rss > LIMIT_BYTES) return `"${line}": ${Math.round(rss / 2 ** 20)} MiB resident`;
  }
  return undefined;
}

type Opened = { readonly session: Session } | { readonly failure: string | undefined };

function tryOpen(open: () => Program): Opened {
  try {
    return { session: new Session(open()) };
  } catch (error) {
    if (EXPECTED.some(expected => error instanceof expected)) return { failure: undefined };
    return { failure: `opening: ${error instanceof Error ? error.stack : String(error)}` };
  }
}

const soundDumps = new Map<string, Dump>();

/** The undamaged dump, kept open with the pages that were read. */
function soundDump(name: string, file: string): Dump {
  const path = join(findDumpFolder(name)!, file);
  const known = soundDumps.get(path);
  if (known !== undefined) return known;
  const dump = openDump([path]);
  soundDumps.set(path, dump);
  return dump;
}

function openDamagedMemory(
  kind: 'memory' | 'later memory',
  seed: number,
  [name, file]: (typeof DUMPS)[number],
): Opened {
  const whole = soundDump(name, file);
  // Disposing of the program must leave the shared dump open.
  const over = (memory: MemorySource): Dump => ({ ...whole, memory, [Symbol.dispose]: () => undefined });
  if (kind === 'memory') {
    // Symbols and types fill thousands of pages: what is read at the start is hit by slight damage only.
    const every = [20_000, 8000, 3000, 800][seed % 4]!;
    const memory = new CachedMemory(new CorruptMemory(whole.memory, { seed, every }));
    return tryOpen(() => new Program({ dump: over(memory) }));
  }
  const every = [1000, 200, 40, 8, 2][seed % 5]!;
  const damaged = new LaterCorruptMemory(whole.memory, { seed, every });
  const opened = tryOpen(() => new Program({ dump: over(new CachedMemory(damaged)) }));
  damaged.switchOver();
  return opened;
}

/** Sound until it is switched over. */
class LaterCorruptMemory implements MemorySource {
  readonly pageSize: number;
  readonly maxPfn: number;
  readonly #sound: MemorySource;
  readonly #damaged: MemorySource;
  #current: MemorySource;

  constructor(sound: MemorySource, damage: Damage) {
    this.pageSize = sound.pageSize;
    this.maxPfn = sound.maxPfn;
    this.#sound = sound;
    this.#damaged = new CorruptMemory(sound, damage);
    this.#current = sound;
  }

  hasPage(pfn: number): boolean {
    return this.#sound.hasPage(pfn);
  }

  readPage(pfn: number): Uint8Array {
    return this.#current.readPage(pfn);
  }

  switchOver(): void {
    this.#current = this.#damaged;
  }
}

let fileBytes: Buffer | undefined;

/** A truncated or changed copy of a dump's file. */
function openDamagedFile(number: number, scratch: string, random: Random): Opened {
  fileBytes ??= readFileSync(join(findDumpFolder(FILE_DUMP[0])!, FILE_DUMP[1]));
  const damaged =
    random.below(2) === 0 ? fileBytes.subarray(0, random.below(fileBytes.length)) : flip(fileBytes, random);
  const path = join(scratch, `${number}`);
  writeFileSync(path, damaged);
  const opened = tryOpen(() => new Program({ dump: [path] }));
  rmSync(path);
  return opened;
}

/** Changes bytes, half of them in the headers and bitmaps. */
function flip(bytes: Buffer, random: Random): Buffer {
  const HEADERS = 32 * 1024;
  const copy = Buffer.from(bytes);
  for (let count = 0; count < 64; count++)
    copy[random.below(count % 2 === 0 ? HEADERS : copy.length)] = random.below(256);
  return copy;
}
