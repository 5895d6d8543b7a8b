/** Makes a list of accesses on our bus, as `qtestAccesses` makes them on QEMU. */
import type { Bus } from '../../emulator/memory/bus.ts';
import type { Access } from './qtest.ts';

/** Values read, in order; unassigned addresses read 0. */
export function busAccesses(bus: Bus, accesses: readonly Access[]): bigint[] {
  const reads: bigint[] = [];
  for (const access of accesses) {
    const [kind, address, width] = access;
    if (kind === 'read')
      reads.push(width === 8 ? (bus.readLong(address) ?? 0n) : BigInt(bus.read(address, width) ?? 0));
    else if (width === 8) bus.writeLong(address, BigInt(access[3]));
    else bus.write(address, Number(access[3]), width);
  }
  return reads;
}
