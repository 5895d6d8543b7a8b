/** Audit records that were queued and not yet sent; `kernel/audit.c`. */
import type { Program } from '../program.ts';
import { StructObject } from '../types/object.ts';
import type { LogRecord } from './printk.ts';

const QUEUES = ['audit_queue', 'audit_retry_queue', 'audit_hold_queue'] as const;
const MAX_QUEUED = 100_000;
const NLMSG_HEADER_SIZE = 16;

/** The texts in audit's queues of socket buffers, oldest first. Empty when the kernel's symbols do not name the queues. */
export function auditRecords(program: Program): LogRecord[] {
  return QUEUES.flatMap(name => {
    const head = program.symbols.find(name);
    return head === undefined ? [] : [...queueTexts(program, head)].map((text, index) => record(text, index));
  });
}

function record(text: string, index: number): LogRecord {
  return { sequence: BigInt(index), timeNs: 0n, level: 0, facility: 0, callerId: undefined, text, dictionary: [] };
}

/** `skb_queue_walk` over a `struct sk_buff_head`. */
function* queueTexts(program: Program, head: bigint): Generator<string> {
  const type = program.types.struct('sk_buff');
  const seen = new Set<bigint>([head]);
  for (let at = program.memory.readU64(head); at !== 0n && !seen.has(at) && seen.size < MAX_QUEUED;) {
    seen.add(at);
    const skb = new StructObject(program.memory, type, at);
    const data = skb.pointer('data');
    const type16 = program.memory.readU16(data + 4n);
    const length = Math.max(0, skb.num('len') - NLMSG_HEADER_SIZE);
    yield `type=${type16} ${program.memory.readString(data + BigInt(NLMSG_HEADER_SIZE), length)}`;
    at = skb.pointer('next');
  }
}
