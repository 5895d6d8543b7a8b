/** Reads that fail, in crash's words: which kind of address, and what was to be read there. */
import { FaultError } from '../../capture/formats/errors.ts';
import { isOfIncompleteDump } from '../incomplete-dump.ts';
import { FIRST_KERNEL_ADDRESS } from './numbers.ts';

/** A fault that knows what was to be read. */
export class NamedFault extends FaultError {
  readonly what: string;

  constructor({ address, reason }: Pick<FaultError, 'address' | 'reason'>, what: string) {
    super(address, reason);
    this.name = 'NamedFault';
    this.what = what;
  }
}

/** Reads something that has a name in crash's messages: "list entry". @throws FaultError with that name */
export function readingOf<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FaultError && !(error instanceof NamedFault)) throw new NamedFault(error, what);
    throw error;
  }
}

/** What commands read when nothing more exact is known. */
const READ_BY: Readonly<Record<string, string>> = {
  bt: 'stack contents',
  dis: 'gdb_readmem_callback',
  gdb: 'gdb_readmem_callback',
  list: 'list entry',
  p: 'gdb_readmem_callback',
  struct: 'gdb_readmem_callback',
  union: 'gdb_readmem_callback',
  waitq: 'list entry',
  wr: 'write memory',
};

/** The line that crash shows of a fault: `invalid kernel virtual address: 1234  type: "list entry"`. */
export function faultText(fault: FaultError, command: string): string {
  const { address } = fault;
  const what = fault instanceof NamedFault ? fault.what : READ_BY[command];
  const type = what === undefined ? '' : `  type: "${what}"`;
  const kind = failure(fault);
  const failed = command === 'wr' && kind === 'read error: ' ? 'write error: ' : kind;
  return `${failed}${spaceOf(address, what)} address: ${address.toString(16)}${type}`;
}

function spaceOf(address: bigint | number, what: string | undefined): string {
  if (what?.endsWith('FILEADDR') === true) return 'dumpfile';
  if (typeof address === 'number') return 'physical';
  return address >= FIRST_KERNEL_ADDRESS ? 'kernel virtual' : 'user virtual';
}

/** An address that means nothing, one that the dump lacks, one that was left out of it, or one that cannot be read from it. */
function failure({ reason }: FaultError): string {
  if (reason === 'not mapped') return 'invalid ';
  if (reason === 'filtered out of the dump') return 'page excluded: ';
  if (isOfIncompleteDump(reason)) return 'page incomplete: ';
  return reason === 'not in the dump' ? 'seek error: ' : 'read error: ';
}

/** Why a read failed, where crash's words do not tell. */
export function unusualReason(fault: FaultError): string | undefined {
  return failure(fault) === 'read error: ' ? fault.reason : undefined;
}
