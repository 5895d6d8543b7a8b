/** From `-device` to the devices of a `virt` board. */
import { UsageError } from '../../capture/formats/errors.ts';
import type { PvpanicEvent } from '../../emulator/devices/pvpanic.ts';
import type { VirtExtraDevice, VirtioBus } from '../../emulator/machine/virt-aarch64/board.ts';
import type { BootOptions, CharacterBackend, TypeWithProperties } from '../commands/boot-options.ts';
import { openSink, type CharacterSink } from './character-sink.ts';

/** The devices of a command line, and the files that their consoles write. */
export class VirtDevices implements Disposable {
  readonly devices: readonly VirtExtraDevice[];
  /** The first console is on the terminal: what is typed goes there when no serial port is. */
  readonly consoleOnTerminal: boolean;
  readonly #sinks: readonly CharacterSink[];

  /** @param panicked is told what pvpanic hears @throws UsageError */
  constructor(options: BootOptions, panicked: (event: PvpanicEvent) => void) {
    const { devices } = options;
    const ports = devices.filter(({ type }) => type === 'virtconsole').map(device => backendOf(device, options));
    const hubs = devices.filter(({ type }) => type.startsWith('virtio-serial-')).length;
    if (ports.length > hubs)
      throw new UsageError('-device virtconsole: each needs a -device virtio-serial-* of its own');
    this.consoleOnTerminal = ports[0]?.kind === 'terminal';
    const sinks = ports.map(backend => openSink(backend, '-chardev'));
    this.#sinks = sinks;
    let console = 0;
    this.devices = devices.flatMap((device): VirtExtraDevice[] => {
      const bus = busOf(device.type);
      if (device.type.startsWith('virtio-rng-')) return [{ type: 'rng', bus }];
      if (device.type === 'pvpanic-pci') return [{ type: 'pvpanic', report: panicked }];
      if (!device.type.startsWith('virtio-serial-')) return [];
      // Without a port what the guest writes is lost.
      const sink = sinks[console++];
      return [{ type: 'console', bus, output: bytes => sink?.write(bytes) }];
    });
  }

  [Symbol.dispose](): void {
    for (const sink of this.#sinks) sink[Symbol.dispose]();
  }
}

function busOf(type: string): VirtioBus {
  return type.endsWith('-pci') ? 'pci' : 'mmio';
}

function backendOf({ properties }: TypeWithProperties, { characterDevices }: BootOptions): CharacterBackend {
  const id = properties['chardev'];
  if (id === undefined) return { kind: 'terminal', withMonitor: false };
  const backend = characterDevices[id];
  if (backend === undefined) throw new UsageError(`-device virtconsole: there is no -chardev with id=${id}`);
  return backend;
}
