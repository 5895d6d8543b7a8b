/** What tells the host of a crash in host mode, and what it needs. */
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../../capture/formats/errors.ts';
import { KernelConfig } from '../../../../kernel-images/kernel-config.ts';
import { DEFAULT_SCENARIO, type Scenario } from '../../../../scripts/lab/scenario.ts';
import { checkTrigger, checkTriggerDriver, triggerDevices, TRIGGERS } from '../../../../scripts/lab/triggers.ts';

const HOST: Scenario = { ...DEFAULT_SCENARIO, mode: 'host' };

describe('a trigger fits its scenario', () => {
  test.each<[name: string, scenario: Partial<Scenario>]>([
    ['the symbol in guest mode, where nobody waits for it', { mode: 'guest' }],
    ['pvpanic with any panic', { trigger: 'pvpanic', panic: 'oom' }],
    ["sysrq with sysrq's c", { trigger: 'sysrq', panic: 'sysrq' }],
    ['sysrq with a command of its own', { trigger: 'sysrq', panic: 'sleep 1; echo c > /proc/sysrq-trigger' }],
  ])('%s', (_, scenario) => {
    expect(() => checkTrigger({ ...HOST, ...scenario })).not.toThrow();
  });

  test.each<[name: string, scenario: Partial<Scenario>, message: RegExp]>([
    ['pvpanic in guest mode', { trigger: 'pvpanic', mode: 'guest' }, /^--trigger pvpanic: only with --mode host/],
    [
      'sysrq with a panic that comes by itself',
      { trigger: 'sysrq', panic: 'init-exit' },
      /--panic init-exit is no crash by/,
    ],
    ['sysrq with a state that comes behind it', { trigger: 'sysrq', panic: 'bug' }, /--panic bug is no crash by/],
  ])('%s is refused', (_, scenario, message) => {
    const check = () => checkTrigger({ ...HOST, ...scenario });
    expect(check).toThrow(UsageError);
    expect(check).toThrow(message);
  });
});

describe('pvpanic', () => {
  test('is refused where the kernel has no driver for it, as on arm64', () => {
    const config = new KernelConfig('CONFIG_KEXEC=y\n# CONFIG_PVPANIC is not set\n');
    const check = () => checkTriggerDriver({ ...HOST, trigger: 'pvpanic' }, config, '6.1.0-56-arm64');
    expect(check).toThrow('6.1.0-56-arm64 has no driver for it (CONFIG_PVPANIC_PCI is not set');
  });

  test.each<[name: string, config: string]>([
    ['has its module', 'CONFIG_PVPANIC_MMIO=m\n'],
    ['has it built in', 'CONFIG_PVPANIC_MMIO=y\n'],
    ['does not tell its configuration', ''],
  ])('is there where the kernel %s', (_, config) => {
    const scenario: Scenario = { ...HOST, architecture: 'x86_64', trigger: 'pvpanic' };
    expect(() => checkTriggerDriver(scenario, new KernelConfig(config), '6.1.0-56-amd64')).not.toThrow();
  });

  test('is on the board only when it is asked for: the port of PCs, a PCI function of virt', () => {
    const nothing = (): void => undefined;
    expect(triggerDevices('symbol', 'x86_64', nothing)).toEqual([]);
    expect(triggerDevices('pvpanic', 'x86_64', nothing)).toMatchObject([{ type: 'pvpanic-isa' }]);
    expect(triggerDevices('pvpanic', 'aarch64', nothing)).toMatchObject([{ type: 'pvpanic' }]);
  });

  test('tells of a panic, not of a capture kernel that the guest starts itself', () => {
    let told = 0;
    const [device] = triggerDevices('pvpanic', 'x86_64', () => told++);
    if (device?.type !== 'pvpanic-isa') throw new Error('no device');
    device.report('crash-loaded');
    expect(told).toBe(0);
    device.report('panicked');
    expect(told).toBe(1);
  });
});

test('only functions that are called with the registers of an exception are asked for them', () => {
  // kernel/kexec_core.c: `void __crash_kexec(struct pt_regs *regs)`; kernel/panic.c: `void panic(const char *fmt, ...)`
  const takers = Object.values(TRIGGERS).flatMap(({ functions }) => functions.filter(each => each.takesRegisters));
  expect(takers.map(({ name }) => name)).toEqual(['__crash_kexec', 'crash_kexec']);
});
