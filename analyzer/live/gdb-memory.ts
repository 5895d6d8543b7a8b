/**
 * RAM of a machine that runs, through a gdb stub that knows physical addresses: QEMU's, or kdump-lab's own. The machine stands still
 * while a command reads it, and runs on between commands.
 *
 * Sources: "Debugging with GDB", appendix "GDB Remote Serial Protocol"; QEMU documentation "GDB usage", on examining physical
 * memory (`Qqemu.PhyMemMode`); `info mtree` of QEMU's monitor, which tells where RAM is.
 */
import type { CpuRegisters } from '../../capture/formats/elf-notes.ts';
import { FaultError, UsageError } from '../../capture/formats/errors.ts';
import type { Architecture } from '../../capture/sources/dump-file.ts';
import { GdbConnection, MAX_ASKED_BYTES } from './gdb-connection.ts';
import { parseRegisters } from './gdb-registers.ts';
import type { LiveMemory } from './live-memory.ts';

const PAGE_SIZE = 4096;
/** Pages fetched together where one follows another. */
const READ_AHEAD = 32;
/** What is asked of the start of each page where a stub cannot search: the kernel's note begins there. */
const PROBED_BYTES = 64;
const PROBES = 1024;
/** CONFIG_NR_CPUS is at most this on the architectures read here. */
const MAX_CPUS = 8192;

interface Range {
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
}

/** The RAM behind one stub. */
export class GdbMemory implements LiveMemory, Disposable {
  readonly pageSize = PAGE_SIZE;
  readonly maxPfn: number;
  readonly #name: string;
  readonly #connection: GdbConnection;
  /** In order of addresses. */
  readonly #ram: readonly Range[];
  readonly #packetBytes: number;
  /** What was read since the machine stands. */
  readonly #pages = new Map<number, Uint8Array>();
  #registers: readonly CpuRegisters[] | undefined;
  #isHeld = true;

  /** @throws UsageError when nobody listens there, or what listens has no physical memory */
  constructor(name: string, host: string, port: number) {
    this.#name = name;
    this.#connection = new GdbConnection(name, host, port);
    const [features = ''] = this.#connection.ask(['qSupported:xmlRegisters=i386']);
    this.#connection.ask(['QStartNoAckMode'], true);
    this.#connection.ask(['?']);
    const [answer] = this.#connection.ask(['Qqemu.PhyMemMode:1']);
    if (answer !== 'OK') throw new UsageError(`${name}: this gdb stub does not know physical addresses`);
    const size = /PacketSize=([\da-f]+)/i.exec(features)?.[1] ?? '400';
    this.#packetBytes = Math.min(PAGE_SIZE, 2 ** Math.floor(Math.log2(Number.parseInt(size, 16) / 2)));
    this.#ram = this.#askForRam();
    this.maxPfn = Math.ceil(Math.max(...this.#ram.map(({ end }) => end)) / PAGE_SIZE);
  }

  [Symbol.dispose](): void {
    try {
      this.hold();
      this.#connection.ask(['D']);
    } catch (error) {
      // The machine may have gone before us.
      if (!(error instanceof UsageError)) throw error;
    } finally {
      this.#connection[Symbol.dispose]();
    }
  }

  /** Stops the machine. */
  hold(): void {
    if (this.#isHeld) return;
    this.#connection.interrupt();
    this.#isHeld = true;
  }

  /** Lets the machine run; what was read of it is forgotten. */
  release(): void {
    if (!this.#isHeld) return;
    this.#pages.clear();
    this.#registers = undefined;
    this.#isHeld = false;
    this.#connection.resume();
  }

  hasPage(pfn: number): boolean {
    return this.#ram.some(({ start, end }) => pfn * PAGE_SIZE >= start && (pfn + 1) * PAGE_SIZE <= end);
  }

  readPage(pfn: number): Uint8Array {
    const known = this.#pages.get(pfn);
    if (known !== undefined) return known;
    this.#fetch(pfn, this.#pages.has(pfn - 1) ? READ_AHEAD : 1);
    return this.#pages.get(pfn)!;
  }

  registers(architecture: Architecture): readonly CpuRegisters[] {
    this.hold();
    this.#registers ??= this.#askForRegisters(architecture);
    return this.#registers;
  }

  write(paddr: number, bytes: Uint8Array): void {
    const pfns = [paddr, paddr + bytes.length - 1].map(address => Math.floor(address / PAGE_SIZE));
    if (!pfns.every(pfn => this.hasPage(pfn))) throw new FaultError(paddr, 'no RAM is there');
    this.hold();
    const data = Buffer.from(bytes).toString('hex');
    const [answer] = this.#connection.ask([`M${paddr.toString(16)},${bytes.length.toString(16)}:${data}`]);
    if (answer !== 'OK') throw new FaultError(paddr, `the machine refuses the write: ${answer}`);
    for (const pfn of pfns) this.#pages.delete(pfn);
  }

  /** Without a stub that searches, what does not stand at the start of a page is not found. */
  *find(pattern: Uint8Array): Generator<number> {
    this.hold();
    for (const range of this.#ram) yield* this.#findIn(range, pattern);
  }

  *#findIn({ start, end }: Range, pattern: Uint8Array): Generator<number> {
    for (let from = start; from < end;) {
      const query = Buffer.from(`qSearch:memory:${from.toString(16)};${(end - from).toString(16)};`);
      const [answer = ''] = this.#connection.ask([Buffer.concat([query, pattern])]);
      if (answer === '') yield* this.#probe({ start, end }, pattern);
      const [, found] = /^1,([\da-f]+)$/i.exec(answer) ?? [];
      if (found === undefined) break;
      yield Number.parseInt(found, 16);
      from = Number.parseInt(found, 16) + 1;
    }
  }

  *#probe({ start, end }: Range, pattern: Uint8Array): Generator<number> {
    for (let from = start; from < end; from += PROBES * PAGE_SIZE) {
      const places = Array.from({ length: PROBES }, (_, index) => from + index * PAGE_SIZE).filter(at => at < end);
      const answers = this.#connection.ask(places.map(at => `m${at.toString(16)},${PROBED_BYTES.toString(16)}`));
      for (const [index, answer] of answers.entries()) {
        const at = Buffer.from(answer, 'hex').indexOf(pattern);
        if (at !== -1) yield places[index]! + at;
      }
    }
  }

  /** Reads pages from one on; those that follow only as far as there is RAM. @throws FaultError */
  #fetch(first: number, count: number): void {
    if (!this.hasPage(first)) throw new FaultError(first * PAGE_SIZE, 'no RAM is there');
    this.hold();
    let pages = 1;
    while (pages < Math.min(count, MAX_ASKED_BYTES / PAGE_SIZE) && this.hasPage(first + pages)) pages++;
    const pieces = (pages * PAGE_SIZE) / this.#packetBytes;
    const packets = Array.from({ length: pieces }, (_, index) => {
      const address = first * PAGE_SIZE + index * this.#packetBytes;
      return `m${address.toString(16)},${this.#packetBytes.toString(16)}`;
    });
    const bytes = Buffer.from(this.#connection.ask(packets).join(''), 'hex');
    if (bytes.length !== pages * PAGE_SIZE) throw new FaultError(first * PAGE_SIZE, 'the machine does not give it');
    for (let index = 0; index < pages; index++)
      this.#pages.set(first + index, bytes.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE));
  }

  /** CPUs are threads to gdb. */
  #askForRegisters(architecture: Architecture): CpuRegisters[] {
    return this.#threads().flatMap((thread, cpu) => {
      const [, answer = ''] = this.#connection.ask([`Hg${thread}`, 'g']);
      const registers = parseRegisters(answer, architecture);
      return registers === undefined ? [] : [{ pid: cpu + 1, registers }];
    });
  }

  /** `m` and ids, until an answer of `l`. */
  #threads(): string[] {
    const threads: string[] = [];
    let [answer = ''] = this.#connection.ask(['qfThreadInfo']);
    while (answer.startsWith('m') && threads.length < MAX_CPUS) {
      threads.push(...answer.slice(1).split(','));
      [answer = ''] = this.#connection.ask(['qsThreadInfo']);
    }
    return threads;
  }

  #askForRam(): Range[] {
    const tree = this.#connection.monitor('info mtree -f') ?? '';
    const found = tree.matchAll(/^\s*([\da-f]{16})-([\da-f]{16}) \(prio -?\d+, (?:ram|rom)\)/gim);
    const ranges = new Map(
      [...found].map(([, first = '', last = '']) => {
        const start = Number.parseInt(first, 16);
        return [start, { start, end: Number.parseInt(last, 16) + 1 }] as const;
      }),
    );
    if (ranges.size === 0) throw new UsageError(`${this.#name}: this gdb stub does not tell where RAM is`);
    return [...ranges.values()].sort((a, b) => a.start - b.start);
  }
}
