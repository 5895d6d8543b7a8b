/**
 * The kernel log of a dump as text, by what VMCOREINFO says of the log's structures.
 *
 * Sources: `Documentation/core-api/printk-ringbuffer.rst` and `kernel/printk/printk_ringbuffer.c` (Linux v6.12) for the
 * lockless ring since v5.10; `kernel/printk/printk.c` (v4.19) for the records before. makedumpfile(8) `--dump-dmesg`.
 * Not modelled: the byte stream before v3.5.
 */
import { readU16, readU32, readU64 } from './formats/bytes.ts';
import { FormatError } from './formats/errors.ts';
import type { Vmcoreinfo } from './formats/vmcoreinfo.ts';
import type { KernelMemory } from './kernel-memory.ts';
import type { DumpedKernel } from './open-kernel.ts';

/** One record of the log. */
export interface LogRecord {
  readonly timestampNs: bigint;
  /** `caller_id`: a thread's number, or a CPU's with the highest bit set; undefined where VMCOREINFO does not tell of it. */
  readonly callerId?: number | undefined;
  /** Bytes as the kernel stored them. */
  readonly text: Uint8Array;
}

/** Bounds on what a damaged dump can ask for. */
const MAX_RING_BITS = 20;
const MAX_TEXT_BITS = 27;
const MAX_LOG_BYTES = 2 ** 27;
const MAX_STRUCT = 4096;

/**
 * Reads the log.
 * @param sinceClear only records after the last `dmesg --clear`
 * @throws FormatError when VMCOREINFO does not describe the log
 * @throws FaultError when the log is not in the dump
 */
export function readLog(kernel: DumpedKernel, sinceClear = false): LogRecord[] {
  try {
    return readAnyLog(kernel, sinceClear);
  } catch (cause) {
    // Offsets of VMCOREINFO that lead out of the structures.
    if (cause instanceof RangeError) throw new FormatError("VMCOREINFO's description of the log is damaged", { cause });
    throw cause;
  }
}

function readAnyLog({ memory, vmcoreinfo }: DumpedKernel, sinceClear: boolean): LogRecord[] {
  if (vmcoreinfo.symbol('prb') !== undefined) return readRing(memory, vmcoreinfo, sinceClear);
  if (vmcoreinfo.symbol('log_first_idx') !== undefined) return readRecordBuffer(memory, vmcoreinfo, sinceClear);
  throw new FormatError("Can't find some symbols for log_buf.", {
    expected: 'SYMBOL(prb) or SYMBOL(log_first_idx) in VMCOREINFO',
    found: 'neither',
  });
}

/** The first kernel whose distributions have a makedumpfile that shows who wrote a record: 1.7.6 does, 1.7.2 does not. */
const CALLERS_SINCE = [6, 2] as const;

/** Tells whether the makedumpfile of a kernel's own time shows the callers of its records. */
export function showsCallers(vmcoreinfo: Vmcoreinfo): boolean {
  const [major = 0, minor = 0] = (vmcoreinfo.osRelease ?? '').split('.').map(part => Number.parseInt(part, 10));
  return major > CALLERS_SINCE[0] || (major === CALLERS_SINCE[0] && minor >= CALLERS_SINCE[1]);
}

const CALLER_IS_CPU = 0x8000_0000;

function callerText(callerId: number): string {
  const number = callerId % CALLER_IS_CPU;
  return `[${`${callerId >= CALLER_IS_CPU ? 'C' : 'T'}${number}`.padStart(8)}] `;
}

/**
 * Formats a record as makedumpfile does: time, caller, text, control bytes as `\xNN`, further lines indented.
 * @param withCaller shows the caller where it is known
 */
export function formatRecord({ timestampNs, callerId, text }: LogRecord, withCaller = false): string {
  const seconds = (timestampNs / 1_000_000_000n).toString().padStart(5);
  const micros = ((timestampNs % 1_000_000_000n) / 1000n).toString().padStart(6, '0');
  const caller = withCaller && callerId !== undefined ? callerText(callerId) : '';
  const prefix = `[${seconds}.${micros}] ${caller}`;
  let line = prefix;
  for (const byte of text) {
    if (byte === 0x0a) line += `\n${' '.repeat(prefix.length)}`;
    else if ((byte >= 0x20 && byte < 0x7f) || (byte >= 0x09 && byte <= 0x0d)) line += String.fromCharCode(byte);
    else line += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${line}\n`;
}

/** What VMCOREINFO says of the ring, as accessors that insist. */
function lines(info: Vmcoreinfo): { offset: (member: string) => number; size: (type: string) => number } {
  return {
    offset: member => need(info.offsetOf(member), `OFFSET(${member})`),
    size: type => bounded(need(info.sizeOf(type), `SIZE(${type})`), MAX_STRUCT, `SIZE(${type})`),
  };
}

function need<T>(value: T | undefined, line: string): T {
  if (value !== undefined) return value;
  throw new FormatError('VMCOREINFO lacks a line', { expected: line, found: 'nothing' });
}

/** The parts of `struct printk_ringbuffer`, copied out of the dump. */
interface Ring {
  readonly mask: bigint;
  readonly descs: Uint8Array;
  readonly descSize: number;
  readonly infos: Uint8Array;
  readonly infoSize: number;
  readonly text: Uint8Array;
  readonly headId: bigint;
  readonly tailId: bigint;
}

/** `DESC_ID_MASK`: the two highest bits of a descriptor's state variable are its state. */
const ID_MASK = (1n << 62n) - 1n;
const STATE = { COMMITTED: 1n, FINALIZED: 2n } as const;

function readRing(memory: KernelMemory, info: Vmcoreinfo, sinceClear: boolean): LogRecord[] {
  const ring = openRing(memory, info);
  const first = sinceClear ? firstSinceClear(memory, info, ring) : ring.tailId;
  const records: LogRecord[] = [];
  const count = Number((ring.headId - first) & ID_MASK) + 1;
  for (let index = 0; index < Math.min(count, Number(ring.mask) + 1); index++) {
    const record = ringRecord(info, ring, (first + BigInt(index)) & ID_MASK);
    if (record !== undefined) records.push(record);
  }
  return records;
}

function openRing(memory: KernelMemory, info: Vmcoreinfo): Ring {
  const { offset, size } = lines(info);
  const prb = memory.read(memory.readU64(info.symbol('prb')!), size('printk_ringbuffer'));
  const descRing = prb.subarray(offset('printk_ringbuffer.desc_ring'));
  const textRing = prb.subarray(offset('printk_ringbuffer.text_data_ring'));
  const count = 2 ** bounded(readU32(descRing, offset('prb_desc_ring.count_bits')), MAX_RING_BITS, 'count_bits');
  const textSize = 2 ** bounded(readU32(textRing, offset('prb_data_ring.size_bits')), MAX_TEXT_BITS, 'size_bits');
  const counter = info.offsetOf('atomic_long_t.counter') ?? 0;
  const descSize = size('prb_desc');
  const infoSize = size('printk_info');
  return {
    mask: BigInt(count - 1),
    descs: memory.read(readU64(descRing, offset('prb_desc_ring.descs')), count * descSize),
    descSize,
    infos: memory.read(readU64(descRing, offset('prb_desc_ring.infos')), count * infoSize),
    infoSize,
    text: memory.read(readU64(textRing, offset('prb_data_ring.data')), textSize),
    headId: readU64(descRing, offset('prb_desc_ring.head_id') + counter),
    tailId: readU64(descRing, offset('prb_desc_ring.tail_id') + counter),
  };
}

function bounded(value: number, limit: number, name: string): number {
  if (value >= 0 && value <= limit) return value;
  throw new FormatError(`impossible ${name} of the kernel log`, { expected: `0 to ${limit}`, found: `${value}` });
}

function ringRecord(info: Vmcoreinfo, ring: Ring, id: bigint): LogRecord | undefined {
  const { offset } = lines(info);
  const slot = Number(id & ring.mask);
  const desc = slot * ring.descSize;
  const state = readU64(ring.descs, desc + offset('prb_desc.state_var'));
  const kind = state >> 62n;
  if ((state & ID_MASK) !== id || (kind !== STATE.COMMITTED && kind !== STATE.FINALIZED)) return undefined;
  const block = desc + offset('prb_desc.text_blk_lpos');
  const begin = Number(readU64(ring.descs, block + offset('prb_data_blk_lpos.begin')) % BigInt(ring.text.length));
  const next = Number(readU64(ring.descs, block + offset('prb_data_blk_lpos.next')) % BigInt(ring.text.length));
  if (begin === next) return undefined;
  // A block that would wrap lies at the start of the ring; each begins with the id of its descriptor.
  const start = (begin > next ? 0 : begin) + 8;
  const meta = slot * ring.infoSize;
  const length = Math.max(0, Math.min(readU16(ring.infos, meta + offset('printk_info.text_len')), next - start));
  const caller = info.offsetOf('printk_info.caller_id');
  return {
    timestampNs: readU64(ring.infos, meta + offset('printk_info.ts_nsec')),
    callerId: caller === undefined ? undefined : readU32(ring.infos, meta + caller),
    text: ring.text.subarray(start, start + length),
  };
}

/** `clear_seq` is a latched pair: the low bit of its sequence says which copy is valid. */
function firstSinceClear(memory: KernelMemory, info: Vmcoreinfo, ring: Ring): bigint {
  const symbol = info.symbol('clear_seq');
  if (symbol === undefined) return ring.tailId;
  const sequence = memory.readU64(symbol);
  const value = info.offsetOf('latched_seq.val');
  const cleared = value === undefined ? sequence : memory.readU64(symbol + BigInt(value) + 8n * (sequence & 1n));
  // The sequence number of a record and the id of its descriptor agree modulo the size of the ring.
  const count = ring.mask + 1n;
  const behind = (ring.headId - cleared) % count;
  return ring.headId - (behind < 0n ? behind + count : behind);
}

function readRecordBuffer(memory: KernelMemory, info: Vmcoreinfo, sinceClear: boolean): LogRecord[] {
  const symbol = (name: string): bigint => need(info.symbol(name), `SYMBOL(${name})`);
  const member = (name: string): number =>
    need(info.offsetOf(`printk_log.${name}`) ?? info.offsetOf(`log.${name}`), `OFFSET(printk_log.${name})`);
  const headerSize = info.sizeOf('printk_log') ?? info.sizeOf('log') ?? 16;
  const length = Math.min(memory.readU32(symbol('log_buf_len')), MAX_LOG_BYTES);
  const buffer = memory.read(memory.readU64(symbol('log_buf')), length);
  const start = sinceClear && info.symbol('clear_idx') !== undefined ? 'clear_idx' : 'log_first_idx';
  const end = memory.readU32(symbol('log_next_idx'));
  const records: LogRecord[] = [];
  let wrapped = false;
  for (let index = memory.readU32(symbol(start)); index !== end && index + headerSize <= length;) {
    const size = readU16(buffer, index + member('len'));
    if (size === 0 && wrapped) break;
    if (size === 0) {
      wrapped = true;
      index = 0;
      continue;
    }
    const text = index + headerSize;
    const textLength = readU16(buffer, index + member('text_len'));
    records.push({
      timestampNs: readU64(buffer, index + member('ts_nsec')),
      text: buffer.subarray(text, text + textLength),
    });
    index += size;
  }
  return records;
}
