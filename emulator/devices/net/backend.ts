/** What a network card is plugged into. */
import type { HostEvents } from '../../memory/device.ts';

/** A network as a card sees it. Frames are Ethernet frames without preamble and check sequence. */
export interface NetworkBackend {
  /** For the monitor: `n0: index=0,type=user,net=10.0.2.0,restrict=off`. */
  readonly description: string;
  /**
   * Connects the card; once, when the machine is made.
   * @param mac the card's address, six bytes
   * @param deliver takes a frame for the guest
   * @param events where the network puts what comes from the host
   */
  attach(mac: Uint8Array, deliver: (frame: Uint8Array) => void, events: HostEvents): void;
  /** A frame of the guest; one that the card would still have to cut (TCP segmentation offload) may be of up to 64 KiB. */
  send(frame: Uint8Array): void;
  /** Ends all connections without a word: the guest knows nothing of them any more. */
  hangUp(): void;
}
