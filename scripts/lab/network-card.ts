/** The network card of a lab machine, with the network that it is plugged into. */
import { type ExtraDevice, UserNetwork } from '../../emulator/index.ts';
import { parseNic, plugCards } from '../commands/boot/networks.ts';
import type { LabMachineConfig } from './lab-machine.ts';

/** Nothing, when there is no card. */
export class NetworkCard implements Disposable {
  readonly devices: readonly ExtraDevice[];
  readonly #network: UserNetwork | undefined;

  private constructor(devices: readonly ExtraDevice[], network: UserNetwork | undefined) {
    this.devices = devices;
    this.#network = network;
  }

  /** That the guest has sent. */
  get frames(): number | undefined {
    return this.#network?.frames;
  }

  /** @throws UsageError when a port of the host is taken */
  static async open({ nic, diskBus }: Pick<LabMachineConfig, 'nic' | 'diskBus'>): Promise<NetworkCard> {
    if (nic === undefined) return new NetworkCard([], undefined);
    const { network: option, card } = parseNic(nic, 0);
    const network = new UserNetwork(option.user, option.id);
    await network.listen();
    const bus = diskBus === 'mmio' ? 'mmio' : 'pci';
    return new NetworkCard(
      plugCards([card], [option]).map(({ mac }) => ({ type: 'net', bus, mac, network })),
      network,
    );
  }

  [Symbol.dispose](): void {
    this.#network?.[Symbol.dispose]();
  }
}
