/** The networks of a command line, the cards that are plugged into them, and the files of what goes over them. */
import { type ExtraDevice, type NetworkBackend, UserNetwork, type VirtioBus } from '../../emulator/index.ts';
import type { BootOptions } from '../commands/boot-options.ts';
import { busOf } from './machine-devices.ts';
import { PacketCapture } from './packet-capture.ts';

/** What a card without a network is plugged into. */
const UNPLUGGED: NetworkBackend = {
  description: 'no peer',
  attach: () => undefined,
  send: () => undefined,
  hangUp: () => undefined,
};

/** Networks of a session. */
export class SessionNetworks implements Disposable {
  readonly cards: readonly ExtraDevice[];
  readonly #networks: ReadonlyMap<string, UserNetwork>;
  readonly #captures: PacketCapture[] = [];

  /**
   * @param usualBus of cards whose name leaves it open
   * @param now seconds since 1970-01-01 in the guest
   * @throws UsageError when a file cannot be written
   */
  constructor(options: Pick<BootOptions, 'networks' | 'cards' | 'captures'>, usualBus: VirtioBus, now: () => number) {
    this.#networks = new Map(options.networks.map(({ id, user }) => [id, new UserNetwork(user, id)]));
    const ends = new Map<string, NetworkBackend>(this.#networks);
    for (const option of options.captures) {
      const capture = new PacketCapture(ends.get(option.network)!, option, now);
      this.#captures.push(capture);
      ends.set(option.network, capture);
    }
    this.cards = options.cards.map(({ type, network, mac }) => ({
      type: 'net',
      bus: busOf(type) ?? usualBus,
      mac,
      network: network === undefined ? UNPLUGGED : ends.get(network)!,
    }));
  }

  get areThere(): boolean {
    return this.#networks.size > 0;
  }

  /** Listens where the host's ports lead into the guest. @throws UsageError when a port is taken */
  async listen(): Promise<void> {
    for (const network of this.#networks.values()) await network.listen();
  }

  [Symbol.dispose](): void {
    for (const network of this.#networks.values()) network[Symbol.dispose]();
    for (const capture of this.#captures) capture[Symbol.dispose]();
  }
}
