/**
 * The device tree that `virt` hands to the kernel.
 *
 * Source: QEMU 7.2 hw/arm/virt.c (`create_fdt`, `fdt_add_*`, `create_*`) and hw/arm/boot.c (`arm_load_dtb`), node by node and in the
 * order of its blob; bindings in Linux `Documentation/devicetree/bindings/`. The test compares with QEMU's own.
 *
 * Differences from QEMU, on purpose:
 * - the blob has the size it needs instead of 1 MiB: kexec copies and hashes all of it;
 * - a GICv2 has no virtual interface (GICH, GICV), so with EL2 the tree does not name one and KVM does not start;
 * - seeds are given values or absent, never random: the same input must give the same run.
 */
import { cells, cells64, EMPTY, type FdtNode, fdtNode, strings, writeFdt } from '../../../capture/formats/fdt.ts';
import { affinityOf, LAYOUT, POWER_KEY_PIN, PPI, type Region, SPI, VIRTIO_MMIO_COUNT } from './layout.ts';

/** What of the machine the kernel learns from its device tree. */
export interface VirtDeviceTreeConfig {
  readonly cpuCount: number;
  /** `compatible` of the CPUs: `arm,cortex-a57`. QEMU's `max` calls itself that, too. */
  readonly cpuCompatible: string;
  /** Whether the CPUs have a PMU. */
  readonly pmu: boolean;
  readonly memoryBytes: number;
  readonly gicVersion: 2 | 3;
  /** ITS beside a GICv3; a GICv2 always has its v2m frame. */
  readonly its: boolean;
  /** Instruction that reaches PSCI: `hvc` when the kernel starts at EL1, `smc` when it starts at EL2. */
  readonly psciMethod: 'hvc' | 'smc';
  /** Kernel command line; without it there is no property. */
  readonly bootargs?: string;
  /** Half-open range of physical addresses. */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Entropy for the kernel; without it the kernel's addresses are not randomised. */
  readonly seeds?: Seeds;
}

/** `rng-seed` (32 bytes) and `kaslr-seed` (64 bits) of /chosen. */
export interface Seeds {
  readonly rng: Uint8Array;
  readonly kaslr: bigint;
}

type Property = readonly [string, Uint8Array];

/** Interrupt specifiers: type, number, flags. */
const GIC_SPI = 0;
const GIC_PPI = 1;
const EDGE_RISING = 1;
const LEVEL_HIGH = 4;
/** GICv2 PPIs name their CPUs in bits 15:8 of the flags. */
const CPU_MASK_SHIFT = 8;

/** PSCI 0.2 function numbers: Arm DEN 0022 "Function IDs and parameters". */
const PSCI = { CPU_SUSPEND: 0xc400_0001, CPU_OFF: 0x8400_0002, CPU_ON: 0xc400_0003, MIGRATE: 0xc400_0005 } as const;
const CLOCK_HZ = 24_000_000;
const KEY_POWER = 116;
const PCI_SLOTS_IN_MAP = 4;
const PCI_PINS = 4;
/** Address types of PCI `ranges`. */
const PCI_SPACE = { IO: 0x0100_0000, MEM32: 0x0200_0000, MEM64: 0x0300_0000 } as const;

/** Numbers that nodes use to name each other; QEMU hands them out from 0x8000 in the order in which it makes the nodes. */
interface Phandles {
  readonly clock: number;
  readonly cpus: readonly number[];
  readonly gic: number;
  readonly msi: number;
  readonly gpio: number;
}

/** Builds the blob. */
export function buildDeviceTree(config: VirtDeviceTreeConfig): Uint8Array {
  return writeFdt({ root: buildTree(config), reservations: [], bootCpu: 0 });
}

/** Builds the tree, for callers that add to it. */
export function buildTree(config: VirtDeviceTreeConfig): FdtNode {
  const phandles = assignPhandles(config);
  const properties: Property[] = [
    ['interrupt-parent', cells(phandles.gic)],
    ['model', strings('linux,dummy-virt')],
    ['#size-cells', cells(2)],
    ['#address-cells', cells(2)],
    ['compatible', strings('linux,dummy-virt')],
  ];
  return fdtNode('', properties, [
    psciNode(config),
    memoryNode(config),
    platformBusNode(phandles),
    fwCfgNode(),
    ...virtioNodes(),
    gpioKeysNode(phandles),
    gpioNode(phandles),
    pcieNode(config, phandles),
    rtcNode(phandles),
    uartNode(phandles),
    ...(config.pmu ? [pmuNode(config)] : []),
    gicNode(config, phandles),
    flashNode(),
    cpusNode(config, phandles),
    timerNode(config),
    clockNode(phandles),
    chosenNode(config),
  ]);
}

function hasMsi(config: VirtDeviceTreeConfig): boolean {
  return config.gicVersion === 2 || config.its;
}

function assignPhandles(config: VirtDeviceTreeConfig): Phandles {
  let next = 0x8000;
  const clock = next++;
  const cpus = Array.from({ length: config.cpuCount }, () => next++).reverse();
  const gic = next++;
  const msi = hasMsi(config) ? next++ : 0;
  const gpio = next++;
  return { clock, cpus, gic, msi, gpio };
}

function psciNode({ psciMethod }: VirtDeviceTreeConfig): FdtNode {
  return fdtNode('psci', [
    ['migrate', cells(PSCI.MIGRATE)],
    ['cpu_on', cells(PSCI.CPU_ON)],
    ['cpu_off', cells(PSCI.CPU_OFF)],
    ['cpu_suspend', cells(PSCI.CPU_SUSPEND)],
    ['method', strings(psciMethod)],
    ['compatible', strings('arm,psci-1.0', 'arm,psci-0.2', 'arm,psci')],
  ]);
}

/** The node that tells where RAM is. */
export function memoryNode({ memoryBytes }: Pick<VirtDeviceTreeConfig, 'memoryBytes'>): FdtNode {
  return fdtNode(at('memory', LAYOUT.RAM), [
    ['reg', cells64(LAYOUT.RAM.base, memoryBytes)],
    ['device_type', strings('memory')],
  ]);
}

function platformBusNode({ gic }: Phandles): FdtNode {
  const { base, size } = LAYOUT.PLATFORM_BUS;
  return fdtNode(at('platform-bus', LAYOUT.PLATFORM_BUS), [
    ['interrupt-parent', cells(gic)],
    ['ranges', cells(0, 0, base, size)],
    ['#address-cells', cells(1)],
    ['#size-cells', cells(1)],
    ['compatible', strings('qemu,platform', 'simple-bus')],
  ]);
}

function fwCfgNode(): FdtNode {
  return fdtNode(at('fw-cfg', LAYOUT.FW_CFG), [
    ['dma-coherent', EMPTY],
    ['reg', reg(LAYOUT.FW_CFG)],
    ['compatible', strings('qemu,fw-cfg-mmio')],
  ]);
}

function virtioNodes(): FdtNode[] {
  const { base, size } = LAYOUT.VIRTIO_MMIO;
  return Array.from({ length: VIRTIO_MMIO_COUNT }, (_, i) => {
    const region = { base: base + i * size, size };
    return fdtNode(at('virtio_mmio', region), [
      ['dma-coherent', EMPTY],
      ['interrupts', cells(GIC_SPI, SPI.VIRTIO_MMIO + i, EDGE_RISING)],
      ['reg', reg(region)],
      ['compatible', strings('virtio,mmio')],
    ]);
  });
}

function gpioKeysNode({ gpio }: Phandles): FdtNode {
  const powerOff = fdtNode('poweroff', [
    ['gpios', cells(gpio, POWER_KEY_PIN, 0)],
    ['linux,code', cells(KEY_POWER)],
    ['label', strings('GPIO Key Poweroff')],
  ]);
  return fdtNode('gpio-keys', [['compatible', strings('gpio-keys')]], [powerOff]);
}

function gpioNode({ clock, gpio }: Phandles): FdtNode {
  return fdtNode(at('pl061', LAYOUT.GPIO), [
    ['phandle', cells(gpio)],
    ['clock-names', strings('apb_pclk')],
    ['clocks', cells(clock)],
    ['interrupts', cells(GIC_SPI, SPI.GPIO, LEVEL_HIGH)],
    ['gpio-controller', EMPTY],
    ['#gpio-cells', cells(2)],
    ['compatible', strings('arm,pl061', 'arm,primecell')],
    ['reg', reg(LAYOUT.GPIO)],
  ]);
}

function pcieNode(config: VirtDeviceTreeConfig, { gic, msi }: Phandles): FdtNode {
  const io = LAYOUT.PCIE_PIO;
  const low = LAYOUT.PCIE_MMIO;
  const high = LAYOUT.PCIE_MMIO_HIGH;
  const ranges = [
    cells(PCI_SPACE.IO),
    cells64(0, io.base, io.size),
    cells(PCI_SPACE.MEM32),
    cells64(low.base, low.base, low.size),
    cells(PCI_SPACE.MEM64),
    cells64(high.base, high.base, high.size),
  ];
  return fdtNode(at('pcie', low), [
    ['interrupt-map-mask', cells(0x1800, 0, 0, 7)],
    ['interrupt-map', interruptMap(gic)],
    ['#interrupt-cells', cells(1)],
    ['ranges', Buffer.concat(ranges)],
    ['reg', reg(LAYOUT.PCIE_ECAM)],
    ...(hasMsi(config) ? [['msi-map', cells(0, msi, 0, 0x10000)] as const] : []),
    ['dma-coherent', EMPTY],
    ['bus-range', cells(0, 0xff)],
    ['linux,pci-domain', cells(0)],
    ['#size-cells', cells(2)],
    ['#address-cells', cells(3)],
    ['device_type', strings('pci')],
    ['compatible', strings('pci-host-ecam-generic')],
  ]);
}

/** INTx of slot s, pin p goes to SPI PCIE + (s + p) mod 4. The map repeats after four slots. */
function interruptMap(gic: number): Uint8Array {
  const map: number[] = [];
  for (let slot = 0; slot < PCI_SLOTS_IN_MAP; slot++)
    for (let pin = 0; pin < PCI_PINS; pin++)
      map.push(slot << 11, 0, 0, pin + 1, gic, 0, 0, GIC_SPI, SPI.PCIE + ((slot + pin) % PCI_PINS), LEVEL_HIGH);
  return cells(...map);
}

function rtcNode({ clock }: Phandles): FdtNode {
  return fdtNode(at('pl031', LAYOUT.RTC), [
    ['clock-names', strings('apb_pclk')],
    ['clocks', cells(clock)],
    ['interrupts', cells(GIC_SPI, SPI.RTC, LEVEL_HIGH)],
    ['reg', reg(LAYOUT.RTC)],
    ['compatible', strings('arm,pl031', 'arm,primecell')],
  ]);
}

function uartNode({ clock }: Phandles): FdtNode {
  return fdtNode(at('pl011', LAYOUT.UART), [
    ['clock-names', strings('uartclk', 'apb_pclk')],
    ['clocks', cells(clock, clock)],
    ['interrupts', cells(GIC_SPI, SPI.UART, LEVEL_HIGH)],
    ['reg', reg(LAYOUT.UART)],
    ['compatible', strings('arm,pl011', 'arm,primecell')],
  ]);
}

function pmuNode(config: VirtDeviceTreeConfig): FdtNode {
  return fdtNode('pmu', [
    ['interrupts', cells(GIC_PPI, PPI.PMU, ppiFlags(config))],
    ['compatible', strings('arm,armv8-pmuv3')],
  ]);
}

function gicNode(config: VirtDeviceTreeConfig, phandles: Phandles): FdtNode {
  const { gicVersion, psciMethod } = config;
  const atEl2 = psciMethod === 'smc';
  const registers = Buffer.concat([reg(LAYOUT.GIC_DIST), reg(gicVersion === 3 ? LAYOUT.GIC_REDIST : LAYOUT.GIC_CPU)]);
  const properties: Property[] = [
    ['phandle', cells(phandles.gic)],
    ...(atEl2 ? [['interrupts', cells(GIC_PPI, PPI.VIRTUAL_GIC, LEVEL_HIGH)] as const] : []),
    ['reg', registers],
    ...(gicVersion === 3 ? [['#redistributor-regions', cells(1)] as const] : []),
    ['compatible', strings(gicVersion === 3 ? 'arm,gic-v3' : 'arm,cortex-a15-gic')],
    ['ranges', EMPTY],
    ['#size-cells', cells(2)],
    ['#address-cells', cells(2)],
    ['interrupt-controller', EMPTY],
    ['#interrupt-cells', cells(3)],
  ];
  return fdtNode(at('intc', LAYOUT.GIC_DIST), properties, hasMsi(config) ? [msiNode(config, phandles)] : []);
}

function msiNode({ gicVersion }: VirtDeviceTreeConfig, { msi }: Phandles): FdtNode {
  if (gicVersion === 2)
    return fdtNode(at('v2m', LAYOUT.GIC_V2M), [
      ['phandle', cells(msi)],
      ['reg', reg(LAYOUT.GIC_V2M)],
      ['msi-controller', EMPTY],
      ['compatible', strings('arm,gic-v2m-frame')],
    ]);
  return fdtNode(at('its', LAYOUT.GIC_ITS), [
    ['phandle', cells(msi)],
    ['reg', reg(LAYOUT.GIC_ITS)],
    ['#msi-cells', cells(1)],
    ['msi-controller', EMPTY],
    ['compatible', strings('arm,gic-v3-its')],
  ]);
}

function flashNode(): FdtNode {
  const bank = LAYOUT.FLASH.size / 2;
  return fdtNode(at('flash', LAYOUT.FLASH), [
    ['bank-width', cells(4)],
    ['reg', cells64(LAYOUT.FLASH.base, bank, LAYOUT.FLASH.base + bank, bank)],
    ['compatible', strings('cfi-flash')],
  ]);
}

function cpusNode(config: VirtDeviceTreeConfig, { cpus }: Phandles): FdtNode {
  const nodes = cpus.map((phandle, cpu) => {
    const affinity = affinityOf(cpu, config.gicVersion);
    return fdtNode(`cpu@${affinity.toString(16)}`, [
      ['phandle', cells(phandle)],
      ['reg', cells(affinity)],
      ...(cpus.length > 1 ? [['enable-method', strings('psci')] as const] : []),
      ['compatible', strings(config.cpuCompatible)],
      ['device_type', strings('cpu')],
    ]);
  });
  const cores = cpus.map((phandle, cpu) => fdtNode(`core${cpu}`, [['cpu', cells(phandle)]]));
  const map = fdtNode('cpu-map', [], [fdtNode('socket0', [], [fdtNode('cluster0', [], cores)])]);
  const properties: Property[] = [
    ['#size-cells', cells(0)],
    ['#address-cells', cells(1)],
  ];
  return fdtNode('cpus', properties, [map, ...nodes]);
}

function timerNode(config: VirtDeviceTreeConfig): FdtNode {
  const flags = ppiFlags(config);
  const timers = [PPI.CNTPS, PPI.CNTP, PPI.CNTV, PPI.CNTHP];
  return fdtNode('timer', [
    ['interrupts', cells(...timers.flatMap(ppi => [GIC_PPI, ppi, flags]))],
    ['always-on', EMPTY],
    ['compatible', strings('arm,armv8-timer', 'arm,armv7-timer')],
  ]);
}

function clockNode({ clock }: Phandles): FdtNode {
  return fdtNode('apb-pclk', [
    ['phandle', cells(clock)],
    ['clock-output-names', strings('clk24mhz')],
    ['clock-frequency', cells(CLOCK_HZ)],
    ['#clock-cells', cells(0)],
    ['compatible', strings('fixed-clock')],
  ]);
}

function chosenNode({ bootargs, initrd, seeds }: VirtDeviceTreeConfig): FdtNode {
  const properties: Property[] = [];
  if (initrd !== undefined) {
    properties.push(['linux,initrd-end', cells(initrd.end)], ['linux,initrd-start', cells(initrd.start)]);
  }
  if (bootargs !== undefined) properties.push(['bootargs', strings(bootargs)]);
  properties.push(['stdout-path', strings(`/${at('pl011', LAYOUT.UART)}`)]);
  if (seeds !== undefined) properties.push(['rng-seed', seeds.rng], ['kaslr-seed', cells64(seeds.kaslr)]);
  return fdtNode('chosen', properties);
}

function ppiFlags({ gicVersion, cpuCount }: VirtDeviceTreeConfig): number {
  return gicVersion === 2 ? LEVEL_HIGH | ((2 ** cpuCount - 1) << CPU_MASK_SHIFT) : LEVEL_HIGH;
}

function reg({ base, size }: Region): Uint8Array {
  return cells64(base, size);
}

function at(name: string, { base }: Region): string {
  return `${name}@${base.toString(16)}`;
}
