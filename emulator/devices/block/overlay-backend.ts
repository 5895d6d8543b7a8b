/**
 * Disks in memory: an empty one, and a copy-on-write layer over any other.
 *
 * A layer over an empty disk is a sparse in-memory disk; a layer over a file lets a guest write without changing the file.
 */
import { assert } from '../../../capture/formats/errors.ts';
import type { BlockBackend } from './backend.ts';

const CLUSTER = 1 << 16;

/** A read-only disk of zeros. */
export class ZeroBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly = true;
  readonly error = undefined;

  constructor(sizeBytes: number) {
    assert(sizeBytes > 0 && sizeBytes % 512 === 0, 'a disk is a multiple of 512 bytes');
    this.sizeBytes = sizeBytes;
  }

  read(_offset: number, target: Uint8Array): boolean {
    target.fill(0);
    return true;
  }

  write(): boolean {
    return false;
  }

  flush(): boolean {
    return true;
  }

  writeZeroes(): boolean {
    return false;
  }

  save(): null {
    return null;
  }

  restore(): void {
    // There is no state.
  }
}

/** What a snapshot holds: clusters that differ from the base. They are never changed in place afterwards. */
type OverlayState = ReadonlyMap<number, Uint8Array>;

/** Keeps what is written in clusters of 64 KiB. */
export class OverlayBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly = false;
  private readonly base: BlockBackend;
  private clusters = new Map<number, Uint8Array>();
  /** Clusters that no snapshot shares. */
  private owned = new Set<number>();

  constructor(base: BlockBackend) {
    this.base = base;
    this.sizeBytes = base.sizeBytes;
  }

  get error(): Error | undefined {
    return this.base.error;
  }

  /** Bytes of memory that the layer holds. */
  get allocatedBytes(): number {
    return this.clusters.size * CLUSTER;
  }

  read(offset: number, target: Uint8Array): boolean {
    return this.eachCluster(offset, target.length, (cluster, within, at, count) => {
      const held = this.clusters.get(cluster);
      const part = target.subarray(at, at + count);
      if (held === undefined) return this.base.read(offset + at, part);
      part.set(held.subarray(within, within + count));
      return true;
    });
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return this.eachCluster(offset, bytes.length, (cluster, within, at, count) => {
      const own = this.own(cluster);
      own?.set(bytes.subarray(at, at + count), within);
      return own !== undefined;
    });
  }

  flush(): boolean {
    return true;
  }

  writeZeroes(offset: number, length: number): boolean {
    return this.eachCluster(offset, length, (cluster, within, _at, count) => {
      if (this.base instanceof ZeroBackend && count === CLUSTER) {
        this.clusters.delete(cluster);
        this.owned.delete(cluster);
        return true;
      }
      const own = this.own(cluster);
      own?.fill(0, within, within + count);
      return own !== undefined;
    });
  }

  save(): OverlayState {
    this.owned = new Set();
    return new Map(this.clusters);
  }

  restore(state: unknown): void {
    assert(state instanceof Map, 'an overlay restores what it saved');
    this.clusters = new Map(state as OverlayState);
    this.owned = new Set();
  }

  /** The cluster's bytes, to be written to: copied from the base or from a snapshot first. */
  private own(cluster: number): Uint8Array | undefined {
    const held = this.clusters.get(cluster);
    if (held !== undefined && this.owned.has(cluster)) return held;
    const fresh = held?.slice() ?? new Uint8Array(CLUSTER);
    if (held === undefined) {
      const start = cluster * CLUSTER;
      const count = Math.min(CLUSTER, this.sizeBytes - start);
      if (!this.base.read(start, fresh.subarray(0, count))) return undefined;
    }
    this.clusters.set(cluster, fresh);
    this.owned.add(cluster);
    return fresh;
  }

  private eachCluster(
    offset: number,
    length: number,
    visit: (cluster: number, within: number, at: number, count: number) => boolean,
  ): boolean {
    for (let at = 0; at < length;) {
      const position = offset + at;
      const within = position % CLUSTER;
      const count = Math.min(CLUSTER - within, length - at);
      if (!visit(Math.floor(position / CLUSTER), within, at, count)) return false;
      at += count;
    }
    return true;
  }
}

/** A sparse disk in memory. */
export function createMemoryDisk(sizeBytes: number): OverlayBackend {
  return new OverlayBackend(new ZeroBackend(sizeBytes));
}
