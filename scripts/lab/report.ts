/** `report.json`: what a run did, with times, counts, versions and hashes. */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';

import type { PhaseName } from './console-watch.ts';
import type { LabStop } from './lab-machine.ts';
import type { Scenario } from './scenario.ts';

/** The beginning of a stage of the run. */
export interface Phase {
  readonly name: PhaseName;
  /** Since power-on; null when the backend has no guest clock. */
  readonly guestSeconds: number | null;
  /** Since power-on. */
  readonly wallSeconds: number;
  /** Retired by all CPUs since power-on; null when the backend does not count. */
  readonly instructions: number | null;
}

/** Something that was worked around, on the host or in the guest. */
export interface Note {
  readonly code: string;
  readonly text: string;
}

/** A file with its hash. */
export interface HashedFile {
  /** In bytes. */
  readonly size: number;
  readonly sha256: string;
}

/** How the crash kernel region was used. */
export interface CrashMemory {
  /** Bytes; null when the production kernel did not say. */
  readonly reserved: number | null;
  /** The capture kernel's memory and the least that it had available, in bytes; null when it did not come so far. */
  readonly total: number | null;
  readonly leastAvailable: number | null;
  /** Its image in memory, its modules' files and its initramfs, in bytes. */
  readonly kernel: number;
  readonly modules: number;
  readonly initramfs: number;
}

/** Everything about one run. */
export interface RunReport {
  readonly format: 1;
  readonly outcome: 'dumped' | 'failed' | 'interrupted';
  /** One line; null when the dump was saved. */
  readonly failure: string | null;
  readonly machine: string;
  readonly scenario: Scenario;
  readonly kernel: {
    readonly release: string;
    readonly format: string;
    readonly sha256: string;
    /** Debian package and version; null for a kernel from a file. */
    readonly package: string | null;
    readonly version: string | null;
  };
  readonly commandLines: { readonly production: string; readonly capture: string };
  /** Debian versions of the guest's programs and libraries. */
  readonly programs: Readonly<Record<string, string>>;
  readonly initramfs: { readonly production: HashedFile; readonly capture: HashedFile };
  readonly crashMemory: CrashMemory;
  readonly notes: readonly Note[];
  readonly phases: readonly Phase[];
  readonly stop: LabStop | null;
  readonly console: HashedFile;
  /** In the output folder. */
  readonly vmcore: (HashedFile & { readonly collector: string }) | null;
  /** Where the dump is that went over the network: `ssh user@server:/path`, `nfs server:/export/path`. */
  readonly remote: { readonly place: string; readonly collector: string } | null;
}

/** Hashes bytes. */
export function hashBytes(bytes: Uint8Array): HashedFile {
  return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** Hashes a file. */
export async function hashFile(path: string): Promise<HashedFile> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return { size: statSync(path).size, sha256: hash.digest('hex') };
}
