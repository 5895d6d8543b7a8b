/**
 * Sets PCI functions up as firmware does: base addresses, decoding, interrupt lines.
 *
 * Source: SeaBIOS 1.16 src/fw/pciinit.c: the largest BARs come first; I/O from 0xc000 up, memory below 0xfec00000, what is
 * prefetchable below that.
 */
import { PCI_BASE_ADDRESS_0, PCI_COMMAND, COMMAND, type BarDeclaration } from '../../devices/pci/config-space.ts';
import type { PciHost } from '../../devices/pci/host.ts';
import { LAYOUT } from './layout.ts';

const PCI_INTERRUPT_LINE = 0x3c;
const PCI_INTERRUPT_PIN = 0x3d;
const FIRST_IO = 0xc000;
/** Memory BARs do not share pages. */
const LEAST_MEMORY = 0x1000;
/** IRQs of the 8259 days, by line. Devices of the chip set have lines of their own. */
const IRQS = [10, 10, 11, 11] as const;
const FIRST_CHIPSET_DEVICE = 25;

/** A BAR that needs a place. */
interface Request {
  readonly slot: number;
  readonly bar: BarDeclaration;
  /** A power of two, at least the BAR's. */
  readonly size: number;
}

/** Gives every BAR its address and switches decoding on. Call it after a reset, before the guest runs. */
export function setUpPci(host: PciHost): void {
  const all = host.functions.flatMap(({ slot, pciFunction }) =>
    pciFunction.config.bars.map((bar): Request => {
      const least = bar.kind === 'io' ? 1 : LEAST_MEMORY;
      return { slot, bar, size: Math.max(bar.size, least) };
    }),
  );
  const [io, memory, prefetchable] = [[], [], []] as [Request[], Request[], Request[]];
  for (const request of all) {
    const { kind, prefetchable: isPrefetchable } = request.bar;
    (kind === 'io' ? io : isPrefetchable === true ? prefetchable : memory).push(request);
  }
  place(host, io, FIRST_IO);
  const end = LAYOUT.PCI_MMIO.base + LAYOUT.PCI_MMIO.size;
  const memoryBase = baseBelow(end, memory);
  place(host, memory, memoryBase);
  place(host, prefetchable, baseBelow(memoryBase, prefetchable));
  for (const { slot } of host.functions) enable(host, slot);
}

/** Where requests begin that end below an address. */
function baseBelow(end: number, requests: readonly Request[]): number {
  const size = requests.reduce((sum, request) => sum + request.size, 0);
  const alignment = Math.max(1, ...requests.map(({ size: each }) => each));
  return end - size - ((end - size) % alignment);
}

function place(host: PciHost, requests: readonly Request[], base: number): void {
  let at = base;
  for (const { slot, bar, size } of requests.toSorted((a, b) => b.size - a.size)) {
    host.writeConfig(slot, PCI_BASE_ADDRESS_0 + 4 * bar.index, at, 4);
    at += size;
  }
}

function enable(host: PciHost, slot: number): void {
  host.writeConfig(slot, PCI_COMMAND, COMMAND.IO | COMMAND.MEMORY | COMMAND.SERR, 2);
  const pin = host.readConfig(slot, PCI_INTERRUPT_PIN, 1);
  const device = slot >> 3;
  const line = (device >= FIRST_CHIPSET_DEVICE ? 0 : device) + pin - 1;
  if (pin > 0) host.writeConfig(slot, PCI_INTERRUPT_LINE, IRQS[line % IRQS.length]!, 1);
}
