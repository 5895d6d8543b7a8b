/**
 * virtio-net: a network card with one pair of queues.
 *
 * Source: virtio 1.2 §5.1 "Network Device". Offered: the card's address, link state, checksum and TCP segmentation offload of what the
 * guest sends. Not modelled: the control queue, several pairs of queues, merged receive buffers, UDP segmentation.
 */
import type { HostEvents } from '../../memory/device.ts';
import type { NetworkBackend } from '../net/backend.ts';
import type { VirtioDevice, VirtioHost } from './device-core.ts';
import { DEVICE_ID, FEATURE } from './spec.ts';
import { type Chain, gather, scatter, type SplitQueue, totalLength } from './split-queue.ts';

/** virtio 1.2 §5.1.3 "Feature bits". */
const NET_FEATURE = {
  CSUM: 1n << 0n,
  GUEST_CSUM: 1n << 1n,
  MAC: 1n << 5n,
  HOST_TSO4: 1n << 11n,
  STATUS: 1n << 16n,
} as const;

const RECEIVE = 0;
const QUEUE_SIZE = 256;
/** Ethernet controller. */
const PCI_CLASS = 0x02_0000;
/** mac[6], status u16. */
const CONFIG_BYTES = 8;
const STATUS_OFFSET = 6;
const LINK_UP = 1;

/** virtio 1.2 §5.1.6 "Device Operation": flags u8, gso_type u8, hdr_len, gso_size, csum_start, csum_offset u16; then num_buffers u16, which old drivers leave out. */
const HEADER_BYTES = 12;
const OLD_HEADER_BYTES = 10;
const HDR_F_DATA_VALID = 2;
const NUM_BUFFERS = 10;
/** Frames that wait for buffers of the guest at most; those behind are lost, as with any card. */
const GREATEST_BACKLOG = 4096;
/** The largest that segmentation offload gives: 64 KiB of IP, the Ethernet header, and ours. */
const GREATEST_FRAME = 65_536 + 14 + HEADER_BYTES;

/** What a snapshot holds: frames that wait for buffers. */
export interface VirtioNetState {
  readonly waiting: readonly Uint8Array[];
}

/** A network card. */
export class VirtioNet implements VirtioDevice<VirtioNetState> {
  readonly name = 'virtio-net';
  readonly deviceId = DEVICE_ID.NET;
  readonly pciClass = PCI_CLASS;
  readonly features =
    NET_FEATURE.CSUM | NET_FEATURE.GUEST_CSUM | NET_FEATURE.MAC | NET_FEATURE.HOST_TSO4 | NET_FEATURE.STATUS;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly configSize = CONFIG_BYTES;
  readonly #mac: Uint8Array;
  readonly #network: NetworkBackend;
  #host: VirtioHost | undefined;
  #waiting: Uint8Array[] = [];

  /** @param mac six bytes */
  constructor(mac: Uint8Array, network: NetworkBackend, events: HostEvents) {
    this.#mac = mac;
    this.#network = network;
    network.attach(mac, frame => this.#receive(frame), events);
  }

  attach(host: VirtioHost): void {
    this.#host = host;
  }

  readConfig(offset: number): number {
    if (offset < STATUS_OFFSET) return this.#mac[offset]!;
    return offset === STATUS_OFFSET ? LINK_UP : 0;
  }

  /** Old drivers may give the card another address. */
  writeConfig(offset: number, value: number): void {
    if (this.#isOld && offset < STATUS_OFFSET) this.#mac[offset] = value;
  }

  process(index: number, queue: SplitQueue): void {
    if (index === RECEIVE) this.#fill(queue);
    else this.#transmit(queue);
  }

  /** A new driver knows nothing of the connections of the one before: a capture kernel of the crashed kernel's. */
  reset(): void {
    this.#waiting = [];
    this.#network.hangUp();
  }

  save(): VirtioNetState {
    return { waiting: [...this.#waiting] };
  }

  restore(state: VirtioNetState): void {
    this.#waiting = [...state.waiting];
    this.#network.hangUp();
  }

  /** A driver from before version 1.0. */
  get #isOld(): boolean {
    return (this.#host!.accepted & FEATURE.VERSION_1) === 0n;
  }

  get #headerBytes(): number {
    return this.#isOld ? OLD_HEADER_BYTES : HEADER_BYTES;
  }

  #receive(frame: Uint8Array): void {
    if (this.#waiting.length >= GREATEST_BACKLOG) return;
    this.#waiting.push(frame);
    this.#host?.run(RECEIVE);
  }

  #fill(queue: SplitQueue): void {
    while (this.#waiting.length > 0) {
      const chain = queue.pop();
      if (chain === undefined) return;
      this.#deliver(queue, chain, this.#waiting.shift()!);
    }
  }

  /** One buffer holds one frame: drivers give buffers of 1,526 bytes and more. A frame that is too long for one is lost. */
  #deliver(queue: SplitQueue, chain: Chain, frame: Uint8Array): void {
    const header = this.#headerBytes;
    const bytes = new Uint8Array(header + frame.length);
    // Nothing damages frames on this network.
    bytes[0] = (this.#host!.accepted & NET_FEATURE.GUEST_CSUM) === 0n ? 0 : HDR_F_DATA_VALID;
    if (!this.#isOld) bytes[NUM_BUFFERS] = 1;
    bytes.set(frame, header);
    const fits = totalLength(chain.writable) >= bytes.length;
    queue.push(chain, fits ? scatter(this.#host!.memory, chain.writable, bytes) : 0);
  }

  #transmit(queue: SplitQueue): void {
    for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
      const bytes = gather(this.#host!.memory, chain.readable, GREATEST_FRAME);
      queue.push(chain, 0);
      if (bytes.length > this.#headerBytes) this.#network.send(bytes.subarray(this.#headerBytes));
    }
  }
}
