import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type FdtNode, parseFdt, propertyCells, propertyStrings } from '../../../../../capture/formats/fdt.ts';
import {
  buildDeviceTree,
  type VirtDeviceTreeConfig,
} from '../../../../../emulator/machine/virt-aarch64/device-tree.ts';
import { isInstalled } from '../../../../support/qtest.ts';

const QEMU = 'qemu-system-aarch64';
const HAS_DTC = isInstalled('dtc');
const BASE: VirtDeviceTreeConfig = {
  cpuCount: 2,
  cpuCompatible: 'arm,cortex-a57',
  pmu: true,
  memoryBytes: 512 * 1024 * 1024,
  gicVersion: 3,
  its: true,
  psciMethod: 'hvc',
};

/** Fills in the seeds of the other tree, which QEMU draws anew each time. */
function withSeedsOf(config: VirtDeviceTreeConfig, root: FdtNode): VirtDeviceTreeConfig {
  const chosen = root.children.find(node => node.name === 'chosen')!;
  const value = (name: string): Uint8Array | undefined => chosen.properties.find(p => p.name === name)?.value;
  const rng = value('rng-seed');
  if (rng === undefined) return config;
  return { ...config, seeds: { rng, kaslr: Buffer.from(value('kaslr-seed')!).readBigUInt64BE() } };
}

/** One line a node or property, in the order of the blob. */
function lines(node: FdtNode, path = ''): string[] {
  const own = `${path}/${node.name}`;
  const text = node.properties.map(({ name, value }) => `${own} ${name} ${Buffer.from(value).toString('hex')}`);
  return [own, ...text, ...node.children.flatMap(child => lines(child, own))];
}

function expectSameTree(config: VirtDeviceTreeConfig, theirs: Uint8Array): void {
  const { root } = parseFdt(theirs);
  expect(lines(parseFdt(buildDeviceTree(withSeedsOf(config, root))).root)).toEqual(lines(root));
}

describe('device tree of virt', () => {
  test.skipIf(!HAS_DTC).each([
    { file: 'virt-gic3-smp2.dts', config: BASE },
    { file: 'virt-gic2-smp2.dts', config: { ...BASE, gicVersion: 2 as const, its: false } },
  ])('is the one that QEMU 7.2 printed as $file', ({ file, config }) => {
    const source = readFileSync(join(import.meta.dirname, '../../../../fixtures/qemu-7.2', file));
    expectSameTree(config, spawnSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], { input: source }).stdout);
  });

  test('names the command line and the initrd', () => {
    const config = { ...BASE, bootargs: 'console=ttyAMA0', initrd: { start: 0x4800_0000, end: 0x4900_0000 } };
    const chosen = parseFdt(buildDeviceTree(config)).root.children.at(-1)!;
    const value = (name: string): Uint8Array => chosen.properties.find(p => p.name === name)!.value;
    expect(propertyStrings(value('bootargs'))).toEqual(['console=ttyAMA0']);
    expect([...propertyCells(value('linux,initrd-start')), ...propertyCells(value('linux,initrd-end'))]).toEqual([
      0x4800_0000, 0x4900_0000,
    ]);
  });

  test('is the same blob each time, without seeds unless asked for', () => {
    expect(buildDeviceTree(BASE)).toEqual(buildDeviceTree(BASE));
    expect(Buffer.from(buildDeviceTree(BASE)).includes('kaslr-seed')).toBe(false);
  });

  describe.skipIf(!isInstalled(QEMU))(`beside ${QEMU}`, () => {
    const cases: { options: string; smp: number; memory: number; change: Partial<VirtDeviceTreeConfig> }[] = [
      { options: 'gic-version=3', smp: 1, memory: 512, change: { cpuCount: 1 } },
      { options: 'gic-version=3', smp: 8, memory: 3072, change: { cpuCount: 8, memoryBytes: 3 * 2 ** 30 } },
      { options: 'gic-version=3,its=off', smp: 2, memory: 512, change: { its: false } },
      { options: 'gic-version=2', smp: 4, memory: 512, change: { cpuCount: 4, gicVersion: 2, its: false } },
      { options: 'gic-version=3,virtualization=on', smp: 2, memory: 512, change: { psciMethod: 'smc' } },
      { options: 'gic-version=3,dtb-randomness=off', smp: 2, memory: 512, change: {} },
    ];
    test.each(cases)('-M virt,$options -smp $smp -m $memory', ({ options, smp, memory, change }) => {
      const folder = mkdtempSync(join(tmpdir(), 'kdump-lab-dtb-'));
      try {
        const kernel = join(folder, 'kernel');
        const dtb = join(folder, 'qemu.dtb');
        writeFileSync(kernel, 'not a kernel, but enough for a device tree');
        const boot = ['-kernel', kernel, '-initrd', kernel, '-append', 'console=ttyAMA0 crashkernel=128M'];
        const size = ['-smp', String(smp), '-m', String(memory), '-cpu', 'cortex-a57', '-display', 'none'];
        spawnSync(QEMU, ['-M', `virt,${options},dumpdtb=${dtb}`, ...size, ...boot]);
        const start = 0x4000_0000 + Math.min(memory / 2, 128) * 2 ** 20;
        const initrd = { start, end: start + 42 };
        expectSameTree({ ...BASE, ...change, bootargs: 'console=ttyAMA0 crashkernel=128M', initrd }, readFileSync(dtb));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  });
});
