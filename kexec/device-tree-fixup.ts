/**
 * Turns the production kernel's device tree into the capture kernel's.
 *
 * Sources: kexec-tools 2.0.25 `kexec/arch/arm64/kexec-arm64.c` "setup_2nd_dtb", `kexec/dt-ops.c` "dtb_set_property"; Linux v6.12
 * `drivers/of/kexec.c` "of_kexec_alloc_and_setup_fdt"; the `linux,*` properties: devicetree `/chosen` binding (dt-schema `chosen.yaml`).
 */
import { alignUp, writeU32, writeU64 } from '../capture/formats/bytes.ts';
import { UsageError } from '../capture/formats/errors.ts';
import { cells64, EMPTY } from '../capture/formats/fdt.ts';
import type { PhysicalRange } from '../capture/formats/memory-source.ts';
import { hex } from './debug-lines.ts';
import { FlatTree, flatTreeSize, propertyNumber } from './flat-tree.ts';
import type { Say } from './load-plan.ts';

/** What the capture kernel is told. */
export interface CaptureTree {
  /** Undefined or empty: the production kernel's command line stays (kexec-tools) or goes (kernel). */
  readonly commandLine: string | undefined;
  readonly elfcorehdr: PhysicalRange | undefined;
  /** Crash kernel regions in the order of /proc/iomem: a low one first. */
  readonly crashRegions: readonly PhysicalRange[];
  readonly initrd: PhysicalRange | undefined;
  /** Value for `kaslr-seed`; undefined: the kernel's KASLR stays off. */
  readonly kaslrSeed: bigint | undefined;
  /** Value for `rng-seed`, which only kexec_file_load sets. */
  readonly rngSeed: Uint8Array | undefined;
}

const CHOSEN = 'chosen';
/** kexec-tools' ELF core header when there is none. */
const NOWHERE: PhysicalRange = { start: 0, end: 0 };
/** Booting.rst: the device tree must not exceed 2 MiB. */
const LARGEST_TREE = 2 * 2 ** 20;

/**
 * What kexec-tools makes.
 * @throws UsageError for what kexec-tools refuses, with its words
 */
export function fixTreeAsKexecTools(source: Uint8Array, wanted: CaptureTree, say: Say = () => {}): Uint8Array {
  const tree = new FlatTree(source);
  const { commandLine, elfcorehdr, crashRegions, initrd } = wanted;
  // kexec-tools rounds values up to whole cells before it sets them.
  if (commandLine !== undefined && commandLine !== '') tree.setProperty(CHOSEN, 'bootargs', wholeCells(commandLine));
  const cells = rootCells(tree);
  say(`get_cells_size: #address-cells:${cells.address} #size-cells:${cells.size}`);
  for (const range of elfcorehdr === undefined ? [NOWHERE] : [elfcorehdr, ...crashRegions])
    checkCells(cells, range, say);
  replaceKaslrSeed(tree, wanted.kaslrSeed, say);
  if (elfcorehdr !== undefined) {
    tree.setProperty(CHOSEN, 'linux,elfcorehdr', rangeValue(cells, [elfcorehdr]));
    // The low region is the last one, for kernels that read only the first.
    tree.setProperty(CHOSEN, 'linux,usable-memory-range', rangeValue(cells, crashRegions.toReversed()));
  }
  if (initrd === undefined) {
    tree.deleteProperty(CHOSEN, 'linux,initrd-start');
    tree.deleteProperty(CHOSEN, 'linux,initrd-end');
  } else {
    tree.setProperty(CHOSEN, 'linux,initrd-start', cells64(initrd.start));
    tree.setProperty(CHOSEN, 'linux,initrd-end', cells64(initrd.end));
  }
  const blob = tree.build();
  if (blob.length > LARGEST_TREE) throw new UsageError('dtb too big.');
  return blob;
}

/**
 * What the kernel makes in kexec_file_load.
 * @param sourcePaddr where the production kernel found its tree: a reservation of it is not passed on
 */
export function fixTreeAsKernel(source: Uint8Array, wanted: CaptureTree, sourcePaddr?: number): Uint8Array {
  const tree = new FlatTree(source);
  const { commandLine, elfcorehdr, crashRegions, initrd } = wanted;
  if (sourcePaddr !== undefined) tree.deleteReservation(sourcePaddr, flatTreeSize(source));
  tree.deleteProperty(CHOSEN, 'linux,elfcorehdr');
  tree.deleteProperty(CHOSEN, 'linux,usable-memory-range');
  dropInitrdReservation(tree);
  setInitrd(tree, initrd);
  if (elfcorehdr !== undefined) {
    const cells = rootCells(tree);
    tree.setProperty(CHOSEN, 'linux,elfcorehdr', rangeValue(cells, [elfcorehdr]));
    tree.addReservation(elfcorehdr.start, elfcorehdr.end - elfcorehdr.start);
    tree.setProperty(CHOSEN, 'linux,usable-memory-range', rangeValue(cells, crashRegions.toReversed()));
  }
  if (commandLine === undefined) tree.deleteProperty(CHOSEN, 'bootargs');
  else tree.setProperty(CHOSEN, 'bootargs', Buffer.from(`${commandLine}\0`, 'latin1'));
  tree.deleteProperty(CHOSEN, 'kaslr-seed');
  if (wanted.kaslrSeed !== undefined) tree.setProperty(CHOSEN, 'kaslr-seed', cells64(wanted.kaslrSeed));
  if (wanted.rngSeed !== undefined) tree.setProperty(CHOSEN, 'rng-seed', wanted.rngSeed);
  tree.setProperty(CHOSEN, 'linux,booted-from-kexec', EMPTY);
  return tree.build();
}

interface RootCells {
  readonly address: number;
  readonly size: number;
}

function rootCells(tree: FlatTree): RootCells {
  const read = (name: string): number => {
    const value = tree.property('', name);
    return value === undefined ? 1 : propertyNumber(value);
  };
  return { address: read('#address-cells'), size: read('#size-cells') };
}

/** One cell holds 32 bits. @throws UsageError in the words of kexec-tools */
function checkCells(cells: RootCells, { start, end }: PhysicalRange, say: Say): void {
  say(`cells_size_fitted: ${hex(start)}-${hex(Math.max(end - 1, start))}`);
  if ((cells.address === 1 && start >= 2 ** 32) || (cells.size === 1 && end - start >= 2 ** 32))
    throw new UsageError("usable memory range doesn't fit cells-size.");
}

function rangeValue({ address, size }: RootCells, ranges: readonly PhysicalRange[]): Uint8Array {
  const entry = (address + size) * 4;
  const value = new Uint8Array(entry * ranges.length);
  for (const [i, { start, end }] of ranges.entries()) {
    writeCells(value, i * entry, start, address);
    writeCells(value, i * entry + address * 4, end - start, size);
  }
  return value;
}

function writeCells(bytes: Uint8Array, offset: number, value: number, count: number): void {
  if (count === 1) writeU32(bytes, offset, value, 'big');
  else writeU64(bytes, offset + (count - 2) * 4, BigInt(value), 'big');
}

/** A seed is only replaced where the production kernel has found one, and it must have wiped it. */
function replaceKaslrSeed(tree: FlatTree, seed: bigint | undefined, say: Say): void {
  const found = tree.property(CHOSEN, 'kaslr-seed');
  if (found?.length !== 8) return say('setup_2nd_dtb: no kaslr-seed found');
  if (found.some(byte => byte !== 0)) throw new UsageError('setup_2nd_dtb failed: kaslr-seed is not wiped to 0.');
  tree.setProperty(CHOSEN, 'kaslr-seed', cells64(seed ?? 0n));
}

/** Firmware may have reserved the first initrd, exactly or in whole pages. */
function dropInitrdReservation(tree: FlatTree): void {
  const start = tree.property(CHOSEN, 'linux,initrd-start');
  const end = tree.property(CHOSEN, 'linux,initrd-end');
  if (start === undefined || end === undefined) return;
  const at = propertyNumber(start);
  const size = propertyNumber(end) - at;
  if (!tree.deleteReservation(at, size)) tree.deleteReservation(at, alignUp(size, 4096));
}

function setInitrd(tree: FlatTree, initrd: PhysicalRange | undefined): void {
  if (initrd === undefined) {
    tree.deleteProperty(CHOSEN, 'linux,initrd-start');
    tree.deleteProperty(CHOSEN, 'linux,initrd-end');
    return;
  }
  tree.setProperty(CHOSEN, 'linux,initrd-start', cells64(initrd.start));
  tree.setProperty(CHOSEN, 'linux,initrd-end', cells64(initrd.end));
  tree.addReservation(initrd.start, initrd.end - initrd.start);
}

function wholeCells(text: string): Uint8Array {
  const bytes = new Uint8Array(alignUp(text.length + 1, 4));
  bytes.set(Buffer.from(text, 'latin1'));
  return bytes;
}
