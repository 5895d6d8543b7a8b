/**
 * The DSDTs: what is on the board that cannot be discovered.
 *
 * Source: ACPI specification 6.4 "ACPI-Defined Devices and Device-Specific Objects"; devices, ids and resources as QEMU 7.2's q35 and
 * microvm have them. Left out of q35: hot plug of PCI devices, CPUs and memory, the interrupt links of the 8259 days (interrupts are
 * routed to I/O APIC pins directly), the mouse.
 */
import {
  type Aml,
  and,
  ARG,
  createDwordField,
  device,
  dwordMemory,
  eisaId,
  equal,
  FIELD_DWORD_ZEROS,
  fieldOf,
  ifBitsSet,
  ifElse,
  integer,
  interrupt,
  ioPorts,
  irq,
  LOCAL0,
  memory32Fixed,
  method,
  name,
  notEqual,
  notify,
  operationRegion,
  or,
  packageOf,
  path,
  qwordMemory,
  REGION_SPACE,
  resources,
  returnValue,
  scope,
  store,
  string,
  uuid,
  wordBusNumbers,
  wordIo,
} from './aml.ts';
import type { AcpiConfig } from './acpi-tables.ts';
import { ALL_PARTS } from './board-config.ts';
import { GSI, IRQ, LAYOUT, MICROVM_VIRTIO, pciMemory, PORT } from './layout.ts';

/** Present, enabled, shown, working. */
const STA_ALL = 0x0f;
/** The same, not shown. */
const STA_HIDDEN = 0x0b;
const PCI_SLOTS = 32;
const PCI_PINS = 4;
const NOTIFY_STATUS_CHANGE = 0x80;
const GED_POWER_DOWN = 2;

/** q35's definition block, without the table header. */
export function q35Dsdt({
  memoryBytes,
  pvpanicPort,
  parts = ALL_PARTS,
}: Pick<AcpiConfig, 'memoryBytes' | 'pvpanicPort' | 'parts'>): Aml {
  const isa = [keyboard(), com1(), rtc(), ...pvpanic(pvpanicPort)];
  const pci = device(
    'PCI0',
    name('_HID', eisaId('PNP0A08')),
    name('_CID', eisaId('PNP0A03')),
    name('_ADR', integer(0)),
    name('_UID', integer(0)),
    name('_CRS', pciResources(memoryBytes)),
    name('_PRT', pciRouting()),
    pciCapabilities(),
    fwCfg(),
    device('SF8', name('_ADR', integer(0x1f_0000)), ...isa),
  );
  return [...scope('_SB', pci, configurationSpace(), ...(parts.hpet ? [hpet()] : [])), ...sleepState(0)];
}

/** microvm's definition block. @param virtioSlots transports that have a device */
export function microvmDsdt(
  virtioSlots: readonly number[],
  { pvpanicPort, parts = ALL_PARTS }: Pick<AcpiConfig, 'pvpanicPort' | 'parts'> = {},
): Aml {
  const transports = virtioSlots.map(slot => virtioTransport(slot));
  const optional = [...(parts.isaSerial ? [com1()] : []), ...(parts.rtc ? [rtc()] : []), ...pvpanic(pvpanicPort)];
  return [...scope('_SB', fwCfg(), ...optional, genericEvents(), powerButton(), ...transports), ...sleepState(5)];
}

function pciResources(memoryBytes: number): Aml {
  const memory = pciMemory(memoryBytes);
  const { base: vga, size: vgaSize } = LAYOUT.VGA;
  const config = PORT.PCI_CONFIG_ADDRESS;
  return resources(
    wordBusNumbers(0, 0xff),
    ioPorts(config.base, config.size),
    wordIo(0, config.base - 1),
    wordIo(config.base + config.size, 0xffff),
    dwordMemory(vga, vga + vgaSize - 1),
    ...memory.map(({ base, size }) =>
      base < LAYOUT.FOUR_GIB ? dwordMemory(base, base + size - 1) : qwordMemory(base, base + size - 1),
    ),
  );
}

/** Every pin of every slot, all functions: { address, pin, no link device, GSI }. */
function pciRouting(): Aml {
  const entries: Aml[] = [];
  for (let slot = 0; slot < PCI_SLOTS; slot++)
    for (let pin = 0; pin < PCI_PINS; pin++) {
      const gsi = GSI.PCI + ((slot + pin) % PCI_PINS);
      entries.push(packageOf(integer(slot * 65536 + 0xffff), integer(pin), integer(0), integer(gsi)));
    }
  return packageOf(...entries);
}

/** `_OSC`: the kernel may control PCIe features other than hot plug (bit 0) and latency tolerance (bit 5). */
function pciCapabilities(): Aml {
  const PCI_HOST_BRIDGE = '33DB4D5B-1FF7-401C-9657-7441C03DD766';
  const GRANTED = 0x1e;
  const STATUS = { UNKNOWN_UUID: 4, UNKNOWN_REVISION: 8, MASKED: 16 } as const;
  const [status, control] = [path('CDW1'), path('CDW3')];
  const known = [
    ...createDwordField(ARG[3], 8, 'CDW3'),
    ...store(control, LOCAL0),
    ...and(LOCAL0, integer(GRANTED), LOCAL0),
    ...ifElse(notEqual(ARG[1], integer(1)), or(status, integer(STATUS.UNKNOWN_REVISION), status)),
    ...ifElse(notEqual(control, LOCAL0), or(status, integer(STATUS.MASKED), status)),
    ...store(LOCAL0, control),
  ];
  return method(
    '_OSC',
    4,
    createDwordField(ARG[3], 0, 'CDW1'),
    ifElse(equal(ARG[0], uuid(PCI_HOST_BRIDGE)), known, or(status, integer(STATUS.UNKNOWN_UUID), status)),
    returnValue(ARG[3]),
  );
}

/** Keeps what the MCFG table tells of from other devices. */
function configurationSpace(): Aml {
  const { base, size } = LAYOUT.PCIE_ECAM;
  return device('DRAC', name('_HID', eisaId('PNP0C01')), name('_CRS', resources(dwordMemory(base, base + size - 1))));
}

function fwCfg(): Aml {
  const { base, size } = PORT.FW_CFG;
  return device(
    'FWCF',
    name('_HID', string('QEMU0002')),
    name('_STA', integer(STA_HIDDEN)),
    name('_CRS', resources(ioPorts(base, size))),
  );
}

function keyboard(): Aml {
  return device(
    'KBD',
    name('_HID', eisaId('PNP0303')),
    name('_STA', integer(STA_ALL)),
    name('_CRS', resources(ioPorts(PORT.KBD_DATA.base, 1), ioPorts(PORT.KBD_COMMAND.base, 1), irq(IRQ.KEYBOARD))),
  );
}

function com1(): Aml {
  return device(
    'COM1',
    name('_HID', eisaId('PNP0501')),
    name('_UID', integer(1)),
    name('_STA', integer(STA_ALL)),
    name('_CRS', resources(ioPorts(PORT.COM1.base, PORT.COM1.size, 0), irq(IRQ.COM1))),
  );
}

function rtc(): Aml {
  const ports = ioPorts(PORT.RTC.base, 8);
  return device('RTC', name('_HID', eisaId('PNP0B00')), name('_CRS', resources(ports, irq(IRQ.RTC))));
}

/** Nothing where there is none. */
function pvpanic(port: number | undefined): readonly Aml[] {
  if (port === undefined) return [];
  const ports = resources(ioPorts(port, PORT.PVPANIC.size));
  return [device('PEVT', name('_HID', string('QEMU0001')), name('_STA', integer(STA_ALL)), name('_CRS', ports))];
}

function hpet(): Aml {
  const { base, size } = LAYOUT.HPET;
  return device(
    'HPET',
    name('_HID', eisaId('PNP0103')),
    name('_UID', integer(0)),
    name('_STA', integer(STA_ALL)),
    name('_CRS', resources(memory32Fixed(base, size, false))),
  );
}

/** Reads and so clears the event selector; a power-down is the power button's. */
function genericEvents(): Aml {
  const { base, size } = LAYOUT.GED_EVENTS;
  return device(
    'GED',
    name('_HID', string('ACPI0013')),
    name('_UID', string('GED')),
    name('_CRS', resources(interrupt(IRQ.SCI, true))),
    operationRegion('EREG', REGION_SPACE.SYSTEM_MEMORY, base, size),
    fieldOf('EREG', FIELD_DWORD_ZEROS, { ESEL: 32 }),
    method(
      '_EVT',
      1,
      store(path('ESEL'), LOCAL0),
      ifBitsSet(LOCAL0, GED_POWER_DOWN, notify('PWRB', NOTIFY_STATUS_CHANGE)),
    ),
  );
}

function powerButton(): Aml {
  return device('PWRB', name('_HID', string('PNP0C0C')), name('_UID', integer(0)));
}

function virtioTransport(slot: number): Aml {
  const { base, size } = LAYOUT.VIRTIO_MMIO;
  const label = slot.toString(10).padStart(2, '0');
  return device(
    `VR${label}`,
    name('_HID', string('LNRO0005')),
    name('_UID', integer(slot)),
    name('_CCA', integer(1)),
    name(
      '_CRS',
      resources(memory32Fixed(base + slot * size, size, true), interrupt(MICROVM_VIRTIO.acpi.irq + slot, false)),
    ),
  );
}

/** Soft off. */
function sleepState(type: number): Aml {
  return scope('\\', name('_S5', packageOf(integer(type), integer(0), integer(0), integer(0))));
}

/** Slots of microvm's transports, from the last one down as QEMU fills them. */
export function microvmSlots(deviceCount: number): readonly number[] {
  return Array.from({ length: deviceCount }, (_, i) => MICROVM_VIRTIO.acpi.count - 1 - i).reverse();
}
