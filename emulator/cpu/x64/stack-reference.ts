/**
 * Whether an access that has faulted went through the stack segment: in 64-bit mode an address that is not canonical is #SS(0) then, and
 * #GP(0) otherwise. Nobody keeps that in mind while code runs: the instruction is decoded again.
 *
 * Source: Intel SDM vol. 1 "Canonical Addressing", "Default Segment Selection Rules"; vol. 3A "Interrupt 12—Stack Fault Exception (#SS)".
 */
import type { X64Cpu } from './cpu.ts';
import { decoderFor } from './instruction-set.ts';
import { modeOfKey } from './mode.ts';
import { operandsOf } from './operands.ts';
import { GPR, SEGMENT } from './state.ts';

const LONGEST = 15;
/** Instructions that access the stack beside their operands. */
const STACK_OPERATIONS = /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/;
/** Farthest from rSP or rBP that they do. */
const REACH = 32n;

/** The bytes of the instruction at the PC, as far as they are mapped. */
function codeAtPc({ engine, memory }: X64Cpu): DataView {
  const bytes: number[] = [];
  for (let i = 0; i < LONGEST; i++) {
    const byte = memory.read(engine.pc + BigInt(i), 1);
    if (byte === undefined) break;
    bytes.push(Number(byte));
  }
  return new DataView(Uint8Array.from(bytes).buffer);
}

/** @param address that of the access */
export function isStackReference(cpu: X64Cpu, address: bigint): boolean {
  const decoded = decoderFor(cpu.features).decode(
    { page: codeAtPc(cpu), next: undefined },
    0,
    modeOfKey(cpu.modeKey()),
  );
  if (typeof decoded === 'string') return false;
  const isNear = (register: number): boolean => {
    const distance = BigInt.asIntN(64, address - cpu.state.gpr(register));
    return distance >= -REACH && distance <= REACH;
  };
  if (STACK_OPERATIONS.test(decoded.instruction.mnemonic) && (isNear(GPR.SP) || isNear(GPR.BP))) return true;
  const memory = operandsOf(decoded).find(operand => operand.kind === 'memory');
  return memory?.kind === 'memory' && memory.segment === SEGMENT.SS;
}
