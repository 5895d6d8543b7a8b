/** `kdump-lab images`: Debian's kernels in the package index, and fetching them ahead of time. */
import { Command, Option } from 'commander';

import { ImageError, UsageError } from '../../capture/formats/errors.ts';
import { cacheFolder } from '../../kernel-images/cache-folder.ts';
import { PackageArchive } from '../../kernel-images/debian/package-index.ts';
import { fetchGuestPrograms } from '../../kernel-images/initramfs/build.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import {
  DEBIAN_ARCHITECTURES,
  fetchKernel,
  isKernelCached,
  listKernelParts,
  resolveKernelPackage,
  type Flavour,
  FLAVOURS,
  flavoursOf,
} from '../../kernel-images/kernel-package.ts';
import { ProgressLine } from './progress-line.ts';

interface ImagesOptions {
  readonly arch?: Architecture;
  readonly suite?: string;
  readonly flavour?: Flavour;
  readonly mirror?: string;
  readonly refresh?: boolean;
  readonly json?: boolean;
  readonly all?: boolean;
}

const SUITES = ['bookworm', 'trixie', 'sid'];

/** A kernel of a suite, as `list` shows it. */
interface KernelRow {
  readonly suite: string;
  readonly architecture: Architecture;
  readonly flavour: Flavour;
  readonly package: string;
  readonly version: string;
  /** Of its packages, in bytes. */
  readonly size: number;
  /** In the cache, for use without network. */
  readonly cached: boolean;
  readonly signature: string;
}

const HELP = `
Everything goes into the cache: KDUMP_LAB_CACHE, else XDG_CACHE_HOME/kdump-lab, else ~/.cache/kdump-lab. An interrupted download is
continued the next time. What has been fetched is used without asking the network.

Examples:
  kdump-lab images list
  kdump-lab images fetch --suite trixie --arch x86_64
  kdump-lab images fetch --all --mirror https://mirror.example.org/debian`;

/** The `images` command with its subcommands. */
export function imagesCommand(): Command {
  const images = new Command('images').description("list and fetch Debian's kernels").addHelpText('after', HELP);
  images.addCommand(
    withOptions(new Command('list'))
      .description('list the kernels of the suites')
      .option('--json', 'print JSON')
      .action(async (options: ImagesOptions) => listImages(options)),
  );
  images.addCommand(
    withOptions(new Command('fetch'))
      .description(
        "fetch a kernel and the programs of the guest into the cache, for use without network (default: bookworm's cloud kernel for aarch64)",
      )
      .option('--all', 'all kernels of all suites, or of those that the other options choose')
      .action(async (options: ImagesOptions) =>
        fetchImages(
          options.all === true ? options : { arch: 'aarch64', suite: 'bookworm', flavour: 'cloud', ...options },
        ),
      ),
  );
  return images;
}

function withOptions(command: Command): Command {
  return command
    .addOption(new Option('--arch <arch>', 'only this architecture').choices(['aarch64', 'x86_64']))
    .option('--suite <suite>', 'only this suite (bookworm, trixie, sid, or another one of the mirror)')
    .addOption(new Option('--flavour <flavour>', 'only this flavour').choices(FLAVOURS))
    .option('--mirror <url>', "Debian mirror (default: the one of apt's configuration)")
    .option('--refresh', 'ask the mirror for a newer package index');
}

/** One suite for one architecture. */
interface Place {
  readonly suite: string;
  readonly architecture: Architecture;
}

function placesOf({ suite, arch }: ImagesOptions): Place[] {
  const architectures: readonly Architecture[] = arch === undefined ? ['aarch64', 'x86_64'] : [arch];
  const suites = suite === undefined ? SUITES : [suite];
  return suites.flatMap(one => architectures.map(architecture => ({ suite: one, architecture })));
}

function openArchive(
  { suite, architecture }: Place,
  options: ImagesOptions,
  progress: ProgressLine,
): Promise<PackageArchive> {
  return PackageArchive.open({
    suite,
    architecture: DEBIAN_ARCHITECTURES[architecture],
    mirror: options.mirror,
    refresh: options.refresh,
    onFetch: event => progress.show(event),
  });
}

/** What cannot be reached is said, and the others are listed: without network those that are in the cache. */
async function listImages(options: ImagesOptions): Promise<void> {
  const rows: KernelRow[] = [];
  const failures: Error[] = [];
  for (const place of placesOf(options)) {
    using progress = new ProgressLine();
    try {
      rows.push(...kernelsOf(await openArchive(place, options, progress), place, options));
    } catch (error) {
      if (!(error instanceof ImageError || error instanceof UsageError)) throw error;
      failures.push(error);
    }
  }
  if (rows.length === 0 && failures[0] !== undefined) throw failures[0];
  for (const message of new Set(failures.map(({ message: text }) => text))) console.error(`kdump-lab: ${message}`);
  if (options.json === true) console.log(JSON.stringify(rows, undefined, 2));
  else printKernels(rows);
}

function kernelsOf(archive: PackageArchive, place: Place, options: ImagesOptions): KernelRow[] {
  return chosenFlavours(archive, options).map(flavour => {
    const record = resolveKernelPackage(archive, flavour);
    return {
      ...place,
      flavour,
      package: record.name,
      version: record.version,
      size: listKernelParts(archive, record).reduce((sum, part) => sum + part.size, 0),
      cached: isKernelCached(archive, record),
      signature: archive.signature,
    };
  });
}

function chosenFlavours(archive: PackageArchive, { flavour }: ImagesOptions): readonly Flavour[] {
  return flavour === undefined ? flavoursOf(archive) : [flavour];
}

function printKernels(rows: readonly KernelRow[]): void {
  for (const row of rows) {
    const columns = [
      row.suite.padEnd(9),
      row.architecture.padEnd(8),
      row.flavour.padEnd(8),
      row.package.padEnd(42),
      row.version.padEnd(12),
      `${(row.size / 1e6).toFixed(1)} MB`.padStart(8),
      row.cached ? 'cached' : '',
    ];
    console.log(columns.join(' ').trimEnd());
  }
  for (const check of new Set(rows.map(row => row.signature))) console.log(`Signature of the package index: ${check}.`);
}

async function fetchImages(options: ImagesOptions): Promise<void> {
  for (const place of placesOf(options)) {
    using progress = new ProgressLine();
    const archive = await openArchive(place, options, progress);
    for (const flavour of chosenFlavours(archive, options)) {
      const kernel = await fetchKernel(archive, resolveKernelPackage(archive, flavour));
      console.log(`${kernel.release}: ${kernel.imagePath}`);
    }
    await fetchGuestPrograms(archive, place.architecture);
  }
  console.log(`Cache: ${cacheFolder()}`);
}
