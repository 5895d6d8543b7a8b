/** `kdump-lab images`: Debian's kernels in the package index, and fetching them ahead of time. */
import { Command, Option } from 'commander';

import { cacheFolder } from '../../kernel-images/cache-folder.ts';
import { PackageArchive } from '../../kernel-images/debian/package-index.ts';
import { fetchGuestPrograms } from '../../kernel-images/initramfs/build.ts';
import type { Architecture } from '../../kernel-images/kernel-image.ts';
import {
  DEBIAN_ARCHITECTURES,
  fetchKernel,
  listKernelParts,
  resolveKernelPackage,
  type Flavour,
} from '../../kernel-images/kernel-package.ts';
import { ProgressLine } from './progress-line.ts';

interface ImagesOptions {
  readonly arch?: Architecture;
  readonly suite?: string;
  readonly flavour?: Flavour;
  readonly mirror?: string;
  readonly refresh?: boolean;
  readonly json?: boolean;
}

const SUITES = ['bookworm', 'trixie', 'sid'];
const FLAVOURS: readonly Flavour[] = ['cloud', 'generic'];

/** The `images` command with its subcommands. */
export function imagesCommand(): Command {
  const images = new Command('images').description("list and fetch Debian's kernels");
  images.addCommand(
    withOptions(new Command('list'))
      .description('list the kernels of the suites')
      .option('--json', 'print JSON')
      .action(async (options: ImagesOptions) => listImages(options)),
  );
  images.addCommand(
    withOptions(new Command('fetch'))
      .description('fetch kernels and the programs of the guest into the cache, for use without network')
      .action(async (options: ImagesOptions) =>
        fetchImages({ arch: 'aarch64', suite: 'bookworm', flavour: 'cloud', ...options }),
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

async function* openArchives(
  options: ImagesOptions,
): AsyncGenerator<{ archive: PackageArchive; architecture: Architecture; suite: string }> {
  using progress = new ProgressLine();
  const architectures: readonly Architecture[] = options.arch === undefined ? ['aarch64', 'x86_64'] : [options.arch];
  for (const suite of options.suite === undefined ? SUITES : [options.suite]) {
    for (const architecture of architectures) {
      const archive = await PackageArchive.open({
        suite,
        architecture: DEBIAN_ARCHITECTURES[architecture],
        mirror: options.mirror,
        refresh: options.refresh,
        onFetch: event => progress.show(event),
      });
      yield { archive, architecture, suite };
    }
  }
}

async function listImages(options: ImagesOptions): Promise<void> {
  const rows = [];
  for await (const { archive, architecture, suite } of openArchives(options)) {
    for (const flavour of options.flavour === undefined ? FLAVOURS : [options.flavour]) {
      const record = resolveKernelPackage(archive, flavour);
      const size = listKernelParts(archive, record).reduce((sum, part) => sum + part.size, 0);
      rows.push({
        suite,
        architecture,
        flavour,
        package: record.name,
        version: record.version,
        size,
        signature: archive.signature,
      });
    }
  }
  if (options.json === true) {
    console.log(JSON.stringify(rows, undefined, 2));
    return;
  }
  for (const row of rows) {
    const megabytes = `${(row.size / 1e6).toFixed(1)} MB`;
    console.log(
      [
        row.suite.padEnd(9),
        row.architecture.padEnd(8),
        row.flavour.padEnd(8),
        row.package.padEnd(42),
        row.version.padEnd(12),
        megabytes.padStart(8),
      ].join(' '),
    );
  }
  for (const check of new Set(rows.map(row => row.signature))) console.log(`Signature of the package index: ${check}.`);
}

async function fetchImages(options: ImagesOptions): Promise<void> {
  for await (const { archive, architecture } of openArchives(options)) {
    const kernel = await fetchKernel(archive, resolveKernelPackage(archive, options.flavour ?? 'cloud'));
    await fetchGuestPrograms(archive, architecture);
    console.log(`${kernel.release}: ${kernel.imagePath}`);
  }
  console.log(`Cache: ${cacheFolder()}`);
}
