/**
 * A device tree from the user (`-dtb`), with what only the machine knows put into it.
 *
 * Source: QEMU 7.2 hw/arm/boot.c (`arm_load_dtb`): memory nodes are replaced, command line and initrd are set, the rest stays.
 */
import {
  cells64,
  deleteProperty,
  type Fdt,
  findNode,
  fdtNode,
  setProperty,
  strings,
  writeFdt,
} from '../../../capture/formats/fdt.ts';
import { memoryNode, type VirtDeviceTreeConfig } from './device-tree.ts';

/** What the machine sets. */
export type SuppliedTreeSettings = Pick<VirtDeviceTreeConfig, 'memoryBytes' | 'bootargs' | 'initrd'>;

/** Builds the blob. The tree is changed. */
export function completeDeviceTree(tree: Fdt, settings: SuppliedTreeSettings): Uint8Array {
  const { root } = tree;
  const others = root.children.filter(({ name }) => name !== 'memory' && !name.startsWith('memory@'));
  let chosen = findNode(root, '/chosen');
  if (chosen === undefined) {
    chosen = fdtNode('chosen', []);
    others.push(chosen);
  }
  root.children.splice(0, root.children.length, ...others, memoryNode(settings));
  // An empty command line leaves the tree's own in force.
  if (settings.bootargs !== undefined && settings.bootargs !== '') {
    setProperty(chosen, 'bootargs', strings(settings.bootargs));
  }
  const { initrd } = settings;
  for (const name of ['linux,initrd-start', 'linux,initrd-end']) deleteProperty(chosen, name);
  if (initrd !== undefined) {
    setProperty(chosen, 'linux,initrd-start', cells64(initrd.start));
    setProperty(chosen, 'linux,initrd-end', cells64(initrd.end));
  }
  return writeFdt(tree);
}
