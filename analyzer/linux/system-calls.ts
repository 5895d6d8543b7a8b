/** The system call table; `arch/x86/entry/syscall_64.c`, `arch/arm64/kernel/sys.c`. */
import { UnimplementedError } from '../../capture/formats/errors.ts';
import type { Program } from '../program.ts';

/** More than any table has entries. */
const MAX_SYSTEM_CALLS = 1024;

/** One entry of the table. */
export interface SystemCall {
  readonly number: number;
  /** Address of its function. */
  readonly address: bigint;
  /** Name of that function. */
  readonly name: string;
}

/**
 * `sys_call_table[]`, up to the next symbol or the first word that is no function.
 * @throws UnimplementedError when the kernel has no such table
 */
export function systemCalls(program: Program): SystemCall[] {
  const { symbols } = program;
  const table = symbols.find('sys_call_table');
  if (table === undefined) throw new UnimplementedError('sys -c: this kernel has no sys_call_table');
  const found: SystemCall[] = [];
  for (let number = 0; number < MAX_SYSTEM_CALLS; number++) {
    const at = table + BigInt(8 * number);
    if (number > 0 && symbols.lookup(at)?.offset === 0) break;
    const address = program.memory.readU64(at);
    const place = symbols.lookup(address);
    if (place === undefined || place.offset !== 0 || !'tTwW'.includes(place.symbol.type)) break;
    found.push({ number, address, name: commonName(program, place.symbol.name, address) });
  }
  return found;
}

/** A call without arguments has one function for all entry paths; the name without a path is shown, as crash does. */
function commonName(program: Program, name: string, address: bigint): string {
  const common = name.replace(/^__(?:ia32|x64|arm64)_sys_/, '__do_sys_');
  return program.symbols.findAll(common).some(symbol => symbol.address === address) ? common : name;
}
