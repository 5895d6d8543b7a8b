/**
 * A file of all that goes over a network, as QEMU's `-object filter-dump`.
 *
 * Source: pcap-savefile(5). Frames have guest time on the machine's calendar.
 */
import type { HostEvents, NetworkBackend } from '../../emulator/index.ts';
import type { CaptureOption } from '../commands/boot/networks.ts';
import { type CharacterSink, openSink } from './character-sink.ts';

const MAGIC = 0xa1b2_c3d4;
const VERSION = [2, 4] as const;
const LINKTYPE_ETHERNET = 1;
const FILE_HEADER_BYTES = 24;
const FRAME_HEADER_BYTES = 16;
const US_PER_SECOND = 1e6;

/** Stands between a card and its network, and writes down what goes by. */
export class PacketCapture implements NetworkBackend, Disposable {
  readonly #network: NetworkBackend;
  readonly #maxLength: number;
  readonly #now: () => number;
  readonly #sink: CharacterSink;

  /**
   * @param now seconds since 1970-01-01 in the guest
   * @throws UsageError when the file cannot be written
   */
  constructor(network: NetworkBackend, { file, maxLength }: CaptureOption, now: () => number) {
    this.#network = network;
    this.#maxLength = maxLength;
    this.#now = now;
    this.#sink = openSink({ kind: 'file', path: file, append: false }, '-object filter-dump');
    this.#sink.write(fileHeader(maxLength));
  }

  get description(): string {
    return this.#network.description;
  }

  attach(mac: Uint8Array, deliver: (frame: Uint8Array) => void, events: HostEvents): void {
    const seen = (frame: Uint8Array): void => {
      this.#write(frame);
      deliver(frame);
    };
    this.#network.attach(mac, seen, events);
  }

  send(frame: Uint8Array): void {
    this.#write(frame);
    this.#network.send(frame);
  }

  hangUp(): void {
    this.#network.hangUp();
  }

  [Symbol.dispose](): void {
    this.#sink[Symbol.dispose]();
  }

  #write(frame: Uint8Array): void {
    const kept = frame.subarray(0, this.#maxLength);
    const now = this.#now();
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header.writeUInt32LE(Math.floor(now), 0);
    header.writeUInt32LE(Math.floor((now % 1) * US_PER_SECOND), 4);
    header.writeUInt32LE(kept.length, 8);
    header.writeUInt32LE(frame.length, 12);
    this.#sink.write(Buffer.concat([header, kept]));
  }
}

function fileHeader(maxLength: number): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(VERSION[0], 4);
  header.writeUInt16LE(VERSION[1], 6);
  header.writeUInt32LE(maxLength, 16);
  header.writeUInt32LE(LINKTYPE_ETHERNET, 20);
  return header;
}
