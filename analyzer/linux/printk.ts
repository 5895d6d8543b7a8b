/** The kernel log; `kernel/printk/printk_ringbuffer.h` since 5.10, `struct printk_log` before it. */
import { cString, readSize64, readU16, readU32, readU64 } from '../../capture/formats/bytes.ts';
import { FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';
import { possibleCpus } from './cpumask.ts';
import { StructObject } from '../types/object.ts';

/** One record of the log. */
export interface LogRecord {
  readonly sequence: bigint;
  readonly timeNs: bigint;
  readonly level: number;
  readonly facility: number;
  /** Bit 31 set: a CPU number; else a thread's pid. Undefined when the kernel does not record it. */
  readonly callerId: number | undefined;
  readonly text: string;
  /** `KEY=value` lines: SUBSYSTEM, DEVICE and what drivers add. */
  readonly dictionary: readonly string[];
}

/** `enum desc_state`: only these two have text to read. */
const DESC_COMMITTED = 1;
const DESC_FINALIZED = 2;
const DESC_ID_MASK = 0x3fff_ffff_ffff_ffffn;
/** `BLK_DATALESS`: an odd position means that the record has no text. */
const DATALESS = 1n;
const MAX_COUNT_BITS = 24;
const MAX_RECORDS = 2 ** MAX_COUNT_BITS;
const MAX_LOG_BYTES = 2 ** 30;

/** Reads the log from its oldest record. @throws UnimplementedError when the kernel keeps its log in another way */
export function readLog(program: Program): LogRecord[] {
  const prb = program.symbols.find('prb') ?? program.vmcoreinfo.symbol('prb');
  if (prb !== undefined && program.types.findStruct('printk_ringbuffer') !== undefined) {
    return readRingbuffer(program, program.object('printk_ringbuffer', program.memory.readU64(prb)));
  }
  const logBuffer = program.symbols.find('log_buf') ?? program.vmcoreinfo.symbol('log_buf');
  if (logBuffer === undefined) throw new UnimplementedError("this kernel's log: it has neither prb nor log_buf");
  return readPrintkLog(program, logBuffer);
}

/** The lockless ring buffer: descriptors from tail to head, each with an info and a block of text. */
function readRingbuffer(program: Program, ring: StructObject): LogRecord[] {
  const countBits = ring.num('desc_ring.count_bits');
  if (countBits > MAX_COUNT_BITS)
    throw new FormatError('the log has an impossible number of descriptors', {
      expected: `at most 2^${MAX_COUNT_BITS}`,
      found: `2^${countBits}`,
    });
  const count = 2 ** countBits;
  const descriptors = arrayReader(program, ring.pointer('desc_ring.descs'), 'prb_desc', count);
  const infos = arrayReader(program, ring.pointer('desc_ring.infos'), 'printk_info', count);
  const textSize = Math.min(MAX_LOG_BYTES, 2 ** ring.num('text_data_ring.size_bits'));
  const text = program.memory.readAvailable(ring.pointer('text_data_ring.data'), textSize);
  const head = ring.big('desc_ring.head_id.counter') & DESC_ID_MASK;
  const tail = ring.big('desc_ring.tail_id.counter') & DESC_ID_MASK;
  const records: LogRecord[] = [];
  for (let step = 0; step < Math.min(count, MAX_RECORDS); step++) {
    const id = (tail + BigInt(step)) & DESC_ID_MASK;
    const index = Number(id % BigInt(count));
    const record = ringRecord(descriptors, infos, index, id, text);
    if (record !== undefined) records.push(record);
    if (id === head) break;
  }
  return records;
}

interface ArrayReader {
  readonly bytes: Uint8Array;
  readonly stride: number;
  /** Byte offset of a member of element `index`. */
  at(index: number, member: string): number;
}

function arrayReader(program: Program, address: bigint, struct: string, count: number): ArrayReader {
  const type = program.types.struct(struct);
  const template = new StructObject(program.memory, type, 0n);
  const stride = type.size;
  const bytes = program.memory.readAvailable(address, Math.min(MAX_LOG_BYTES, stride * count));
  const offsets = new Map<string, number>();
  return {
    bytes,
    stride,
    at(index, member) {
      let offset = offsets.get(member);
      if (offset === undefined) {
        offset = template.offsetOf(member);
        offsets.set(member, offset);
      }
      return index * stride + offset;
    },
  };
}

function ringRecord(
  descriptors: ArrayReader,
  infos: ArrayReader,
  index: number,
  id: bigint,
  text: Uint8Array,
): LogRecord | undefined {
  if ((index + 1) * descriptors.stride > descriptors.bytes.length || (index + 1) * infos.stride > infos.bytes.length)
    return undefined;
  const stateWord = readU64(descriptors.bytes, descriptors.at(index, 'state_var'));
  const state = Number(stateWord >> 62n);
  if ((state !== DESC_COMMITTED && state !== DESC_FINALIZED) || (stateWord & DESC_ID_MASK) !== id) return undefined;
  const begin = readU64(descriptors.bytes, descriptors.at(index, 'text_blk_lpos.begin'));
  const next = readU64(descriptors.bytes, descriptors.at(index, 'text_blk_lpos.next'));
  const length = readU16(infos.bytes, infos.at(index, 'text_len'));
  const flags = infos.bytes[infos.at(index, 'level')] ?? 0;
  return {
    sequence: readU64(infos.bytes, infos.at(index, 'seq')),
    timeNs: readU64(infos.bytes, infos.at(index, 'ts_nsec')),
    level: flags >> 5,
    facility: infos.bytes[infos.at(index, 'facility')] ?? 0,
    callerId: readU32(infos.bytes, infos.at(index, 'caller_id')),
    text: blockText(text, begin, next, length),
    dictionary: dictionaryOf(infos, index),
  };
}

/** Text of a data block: behind the 8-byte id, at the start of the ring when the block wraps. */
function blockText(text: Uint8Array, begin: bigint, next: bigint, length: number): string {
  if ((begin & DATALESS) !== 0n || text.length === 0) return '';
  const ID_SIZE = 8;
  const size = BigInt(text.length);
  const wraps = begin / size !== next / size && next % size !== 0n;
  const start = (wraps ? 0 : Number(begin % size)) + ID_SIZE;
  return Buffer.from(text.subarray(start, Math.min(text.length, start + length))).toString('latin1');
}

function dictionaryOf(infos: ArrayReader, index: number): string[] {
  const subsystem = cString(infos.bytes, infos.at(index, 'dev_info.subsystem'), 16);
  const device = cString(infos.bytes, infos.at(index, 'dev_info.device'), 48);
  return [subsystem === '' ? '' : `SUBSYSTEM=${subsystem}`, device === '' ? '' : `DEVICE=${device}`].filter(
    line => line !== '',
  );
}

/** `struct printk_log` records of variable length in a ring (3.5 to 5.9). */
function readPrintkLog(program: Program, logBuffer: bigint): LogRecord[] {
  const { memory, symbols } = program;
  const address = memory.readU64(logBuffer);
  const size = Math.min(MAX_LOG_BYTES, memory.readU32(symbols.need('log_buf_len')));
  const ring = memory.readAvailable(address, size);
  const layout = program.object('printk_log', 0n);
  let at = memory.readU32(symbols.need('log_first_idx'));
  const end = memory.readU32(symbols.need('log_next_idx'));
  const records: LogRecord[] = [];
  for (let count = 0; count < MAX_RECORDS && at !== end && at + layout.type.size <= ring.length; count++) {
    const length = readU16(ring, at + layout.offsetOf('len'));
    if (length === 0) {
      if (at === 0) break;
      at = 0;
      continue;
    }
    records.push(printkRecord(ring, at, layout, BigInt(count)));
    at += length;
  }
  return records;
}

function printkRecord(ring: Uint8Array, at: number, layout: StructObject, sequence: bigint): LogRecord {
  const textLength = readU16(ring, at + layout.offsetOf('text_len'));
  const dictLength = readU16(ring, at + layout.offsetOf('dict_len'));
  const flags = ring[at + layout.offsetOf('flags')] ?? 0;
  const textStart = at + layout.type.size;
  const dictStart = textStart + textLength;
  const latin1 = (from: number, length: number): string =>
    Buffer.from(ring.subarray(from, from + length)).toString('latin1');
  return {
    sequence,
    timeNs: BigInt(readSize64(ring, at + layout.offsetOf('ts_nsec'))),
    level: flags >> 5,
    facility: ring[at + layout.offsetOf('facility')] ?? 0,
    callerId: layout.has('caller_id') ? readU32(ring, at + layout.offsetOf('caller_id')) : undefined,
    text: latin1(textStart, textLength),
    dictionary: dictLength === 0 ? [] : latin1(dictStart, dictLength).split('\0'),
  };
}

/** What one CPU wrote where the log could not be taken; `printk_safe.c`, until 5.15 (commit 93d102f094be). */
export interface SafeBuffer {
  /** `nmi_print_seq` or `safe_print_seq`. */
  readonly name: string;
  readonly cpu: number;
  readonly address: bigint;
  readonly text: string;
  /** Messages that did not fit. */
  readonly lost: number;
}

/** The per-cpu buffers of `printk_safe`; none in kernels that have none. */
export function readSafeBuffers(program: Program): SafeBuffer[] {
  if (program.types.findStruct('printk_safe_seq_buf') === undefined) return [];
  return ['nmi_print_seq', 'safe_print_seq'].flatMap(name =>
    possibleCpus(program).flatMap(cpu => {
      const address = program.percpuAddress(name, cpu);
      if (address === undefined) return [];
      const buffer = program.object('printk_safe_seq_buf', address);
      const capacity = buffer.type.size - buffer.offsetOf('buffer');
      const length = Math.max(0, Math.min(capacity, buffer.num('len.counter')));
      const bytes = program.memory.readAvailable(buffer.addressOf('buffer'), length);
      const text = Buffer.from(bytes).toString('latin1');
      return [{ name, cpu, address, text, lost: buffer.num('message_lost.counter') }];
    }),
  );
}
