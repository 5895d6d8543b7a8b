/** From `-device` and `-fw_cfg` to what a machine is made of. */
import { readFileSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import type { ExtraDevice, FwCfgFile, IsaDevice, PvpanicEvent, VirtioBus } from '../../emulator/index.ts';
import type {
  BootOptions,
  CharacterBackend,
  FirmwareFileOption,
  TypeWithProperties,
} from '../commands/boot-options.ts';
import { openSink, type CharacterSink } from './character-sink.ts';

/** The devices of a command line, and the files that their consoles write. */
export class MachineDevices implements Disposable {
  readonly devices: readonly (ExtraDevice | IsaDevice)[];
  /** Where the virtio consoles are connected. */
  readonly backends: readonly CharacterBackend[];
  readonly #sinks: readonly CharacterSink[];

  /**
   * @param usualBus of virtio devices whose name leaves it open
   * @param panicked is told what pvpanic hears
   * @throws UsageError
   */
  constructor(options: BootOptions, usualBus: VirtioBus, panicked: (event: PvpanicEvent) => void) {
    const { devices } = options;
    const ports = devices.filter(({ type }) => type === 'virtconsole').map(device => backendOf(device, options));
    const hubs = devices.filter(({ type }) => type.startsWith('virtio-serial')).length;
    if (ports.length > hubs)
      throw new UsageError('-device virtconsole: each needs a -device virtio-serial-* of its own');
    this.backends = ports;
    this.#sinks = ports.map(backend => openSink(backend, '-chardev'));
    // A console without a port writes to nobody.
    const sinks = this.#sinks.values();
    this.devices = devices.flatMap((device): (ExtraDevice | IsaDevice)[] => {
      const bus = busOf(device.type) ?? usualBus;
      if (device.type.startsWith('virtio-rng')) return [{ type: 'rng', bus }];
      if (device.type.startsWith('virtio-serial')) {
        const sink = sinks.next().value;
        return [{ type: 'console', bus, output: bytes => sink?.write(bytes) }];
      }
      return platformDevice(device, panicked);
    });
  }

  /** The first console is on the terminal: what is typed goes there when no serial port is. */
  get consoleOnTerminal(): boolean {
    return this.backends[0]?.kind === 'terminal';
  }

  [Symbol.dispose](): void {
    for (const sink of this.#sinks) sink[Symbol.dispose]();
  }
}

/** The bus that a device's name says. */
export function busOf(type: string): VirtioBus | undefined {
  if (type.endsWith('-pci')) return 'pci';
  return type.endsWith('-device') ? 'mmio' : undefined;
}

function platformDevice(
  { type, properties }: TypeWithProperties,
  report: (event: PvpanicEvent) => void,
): (ExtraDevice | IsaDevice)[] {
  switch (type) {
    case 'pvpanic-pci':
      return [{ type: 'pvpanic', report }];
    case 'pvpanic':
      return [{ type: 'pvpanic-isa', report, ...portOf('pvpanic', 'ioport', properties) }];
    case 'isa-debug-exit':
      return [{ type, ...portOf(type, 'iobase', properties) }];
    default:
      // vmcoreinfo is always there.
      return [];
  }
}

function portOf(
  device: string,
  name: string,
  properties: TypeWithProperties['properties'],
): { readonly port?: number } {
  const text = properties[name];
  if (text === undefined) return {};
  const port = Number(text);
  if (text === '' || !Number.isInteger(port) || port < 0 || port > 0xffff)
    throw new UsageError(`-device ${device},${name}=${text}: not an I/O port`);
  return { port };
}

function backendOf({ properties }: TypeWithProperties, { characterDevices }: BootOptions): CharacterBackend {
  const id = properties['chardev'];
  if (id === undefined) return { kind: 'terminal', mux: true, withMonitor: false };
  const backend = characterDevices[id];
  if (backend === undefined) throw new UsageError(`-device virtconsole: there is no -chardev with id=${id}`);
  return backend;
}

/** @throws UsageError when a file cannot be read */
export function readFirmwareFiles(options: readonly FirmwareFileOption[]): FwCfgFile[] {
  return options.map(({ name, source }) => ({
    name,
    bytes: 'text' in source ? Buffer.from(source.text, 'utf8') : readOptionFile(`-fw_cfg ${name}`, source.file),
  }));
}

function readOptionFile(option: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`${option}: cannot read ${path}`, { cause });
  }
}
