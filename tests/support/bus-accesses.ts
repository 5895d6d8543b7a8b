/** Makes a list of accesses on our buses, as `qtestAccesses` makes them on QEMU. */
import type { Bus } from '../../emulator/memory/bus.ts';
import { type Access, isRead } from './qtest.ts';

/** Values read, in order; unassigned addresses read 0. */
export function busAccesses(memory: Bus, accesses: readonly Access[], ports: Bus = memory): bigint[] {
  const reads: bigint[] = [];
  for (const access of accesses) {
    const [kind, address, width, value] = access;
    const bus = kind === 'in' || kind === 'out' ? ports : memory;
    if (isRead(access)) reads.push(width === 8 ? (bus.readLong(address) ?? 0n) : BigInt(bus.read(address, width) ?? 0));
    else if (width === 8) bus.writeLong(address, BigInt(value!));
    else bus.write(address, Number(value), width);
  }
  return reads;
}

/** One line for each read that differs: address, our value, theirs. */
export function differencesOf(
  accesses: readonly Access[],
  ours: readonly bigint[],
  theirs: readonly bigint[],
): string[] {
  return accesses
    .filter(isRead)
    .flatMap(([, address], i) =>
      ours[i] === theirs[i]
        ? []
        : [`#${i} ${address.toString(16)}: ours ${ours[i]!.toString(16)} QEMU ${theirs[i]!.toString(16)}`],
    );
}
