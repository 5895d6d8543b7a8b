/**
 * Debian's package index: from a suite's signed Release file to single packages, every step checked by hash, everything cached.
 *
 * Chain: InRelease (signature) → SHA256 of `main/binary-ARCH/Packages.xz` → SHA256 of each `.deb`.
 * A cached index is used as it is until `refresh` is asked for, or the pool no longer has a file that it names; so that all runs
 * use the same packages, and work without network.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { ImageError, UsageError } from '../../capture/formats/errors.ts';
import { cacheFolder, writeFileAtomically } from '../cache-folder.ts';
import { decompress } from '../decompress.ts';
import { readAptSources, readTransport, type AptSource, type Transport } from './apt-sources.ts';
import { HttpStatusError, downloadSmall, downloadVerified, withoutLogin } from './download.ts';
import { buildPackageTable, findInTable } from './package-table.ts';
import { checkSignature, parseRelease, type ReleaseFile, type SignatureCheck } from './release-file.ts';
import { compareVersions } from './version.ts';

/** Debian's names of the architectures. */
export type DebianArchitecture = 'arm64' | 'amd64';

/** A package of an index. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  /** Alternatives of each dependency, versions dropped: `[['libc6'], ['debconf', 'debconf-2.0']]`. */
  readonly depends: readonly (readonly string[])[];
  readonly url: string;
  readonly sha256: string;
  /** Of the .deb, in bytes. */
  readonly size: number;
}

/** What is told while files are fetched. */
export interface FetchEvent {
  readonly file: string;
  readonly bytes: number;
  readonly size: number;
}

/** Where packages come from. */
export interface ArchiveOptions {
  /** `bookworm`, `trixie`, `sid` or any other that the mirror has. */
  readonly suite: string;
  readonly architecture: DebianArchitecture;
  /** Root of a Debian mirror; without it the one of apt's configuration. */
  readonly mirror?: string | undefined;
  readonly cache?: string | undefined;
  /** Asks the mirror for a newer index. */
  readonly refresh?: boolean | undefined;
  readonly onFetch?: ((event: FetchEvent) => void) | undefined;
  /** Checks the signature of an InRelease file; tests have mirrors without one. */
  readonly checkSignature?: typeof checkSignature | undefined;
}

/** One `dists/` tree: the suite itself or its security updates. */
interface Repository {
  readonly uri: string;
  readonly suite: string;
  readonly keyring: string | undefined;
}

interface LoadedIndex {
  readonly repository: Repository;
  readonly table: Buffer;
  readonly signature: SignatureCheck;
}

/** The packages of one suite and architecture. */
export class PackageArchive {
  readonly options: ArchiveOptions;
  readonly #indexes: readonly LoadedIndex[];
  readonly #transport: Transport;

  private constructor(options: ArchiveOptions, indexes: readonly LoadedIndex[], transport: Transport) {
    this.options = options;
    this.#indexes = indexes;
    this.#transport = transport;
  }

  /** Opens the cached index, or fetches it. @throws UsageError, ImageError */
  static async open(options: ArchiveOptions): Promise<PackageArchive> {
    const transport = readTransport();
    const repositories = findRepositories(options, readAptSources());
    const indexes: LoadedIndex[] = [];
    for (const repository of repositories) indexes.push(await loadIndex(repository, options, transport));
    return new PackageArchive(options, indexes, transport);
  }

  /** How far the signatures of the indexes were checked: the weakest of them. */
  get signature(): SignatureCheck {
    return this.#indexes.map(index => index.signature).find(check => check !== 'verified') ?? 'verified';
  }

  /** The newest version of a package, if the suite has it. */
  find(name: string): PackageRecord | undefined {
    return this.#indexes
      .map(index => findInIndex(index, name))
      .filter(record => record !== undefined)
      .sort((a, b) => compareVersions(b.version, a.version))[0];
  }

  /** @throws UsageError when the suite has no such package */
  get(name: string): PackageRecord {
    const record = this.find(name);
    if (record !== undefined) return record;
    const { suite, architecture } = this.options;
    throw new UsageError(`no package ${name} in ${suite} for ${architecture}`);
  }

  /** Brings a package to the cache, if it is not there. @returns its path @throws ImageError */
  async fetch(record: PackageRecord): Promise<string> {
    const file = basename(new URL(record.url).pathname);
    const path = join(
      this.options.cache ?? cacheFolder(),
      'packages',
      `${record.sha256.slice(0, 12)}-${decodeURIComponent(file)}`,
    );
    try {
      await downloadVerified(record.url, path, record, this.#transport, bytes =>
        this.options.onFetch?.({ file, bytes, size: record.size }),
      );
    } catch (error) {
      if (!(error instanceof HttpStatusError && error.status === 404)) throw error;
      throw new ImageError('the mirror no longer has this version: refresh the index with `images list --refresh`', {
        file: withoutLogin(record.url),
        cause: error,
      });
    }
    return path;
  }
}

function findRepositories(options: ArchiveOptions, sources: readonly AptSource[]): Repository[] {
  if (options.mirror !== undefined) {
    if (!URL.canParse(options.mirror)) throw new UsageError(`--mirror ${options.mirror}: not a URL`);
    return [{ uri: options.mirror.replace(/\/+$/, ''), suite: options.suite, keyring: undefined }];
  }
  const usable = sources.filter(source => /^https?:/.test(source.uri) && source.components.includes('main'));
  const security = usable.find(source => source.suites.some(suite => suite.endsWith('-security')));
  const main =
    usable.find(source => source !== security && source.uri.endsWith('/debian')) ??
    usable.find(source => source !== security);
  if (main === undefined)
    throw new UsageError("apt's configuration names no Debian mirror: give one with --mirror URL");
  const repositories = [{ uri: main.uri, suite: options.suite, keyring: main.signedBy }];
  if (security !== undefined && hasSecuritySuite(options.suite)) {
    repositories.push({ uri: security.uri, suite: `${options.suite}-security`, keyring: security.signedBy });
  }
  return repositories;
}

/** Unstable and experimental get their security updates directly. */
function hasSecuritySuite(suite: string): boolean {
  return !['sid', 'unstable', 'experimental'].includes(suite);
}

async function loadIndex(repository: Repository, options: ArchiveOptions, transport: Transport): Promise<LoadedIndex> {
  const folder = indexFolder(repository, options);
  const tablePath = join(folder, 'packages.tsv');
  const statePath = join(folder, 'signature');
  if (options.refresh === true || !existsSync(tablePath) || !existsSync(statePath)) {
    await fetchIndex(repository, options, transport, folder);
  }
  return {
    repository,
    table: readFileSync(tablePath),
    signature: readFileSync(statePath, 'utf8') as SignatureCheck,
  };
}

function indexFolder(repository: Repository, options: ArchiveOptions): string {
  const place = createHash('sha256').update(withoutLogin(repository.uri)).digest('hex').slice(0, 12);
  return join(options.cache ?? cacheFolder(), 'index', place, repository.suite, options.architecture);
}

async function fetchIndex(
  repository: Repository,
  options: ArchiveOptions,
  transport: Transport,
  folder: string,
): Promise<void> {
  const base = `${repository.uri}/dists/${repository.suite}`;
  const { release, signature } = await fetchRelease(
    repository,
    base,
    transport,
    folder,
    options.checkSignature ?? checkSignature,
  );
  const path = `main/binary-${options.architecture}/Packages.xz`;
  const expected = release.files.get(path);
  if (expected === undefined)
    throw new UsageError(`the suite ${repository.suite} has no packages for ${options.architecture}`);
  const hashed = `${base}/main/binary-${options.architecture}/by-hash/SHA256/${expected.sha256}`;
  const compressed = join(folder, 'Packages.xz');
  const report = (bytes: number) =>
    options.onFetch?.({ file: `${repository.suite} package index`, bytes, size: expected.size });
  rmSync(compressed, { force: true });
  await downloadVerified(release.byHash ? hashed : `${base}/${path}`, compressed, expected, transport, report);
  const text = await decompress(readFileSync(compressed), compressed);
  writeFileAtomically(join(folder, 'packages.tsv'), buildPackageTable(text));
  writeFileAtomically(join(folder, 'signature'), signature);
  rmSync(compressed);
}

async function fetchRelease(
  repository: Repository,
  base: string,
  transport: Transport,
  folder: string,
  check: typeof checkSignature,
): Promise<{ release: ReleaseFile; signature: SignatureCheck }> {
  const url = `${base}/InRelease`;
  try {
    const text = await downloadSmall(url, transport);
    const path = join(folder, 'InRelease');
    writeFileAtomically(path, text);
    const signature = check(path, withoutLogin(url), repository.keyring);
    return { release: parseRelease(text.toString('utf8'), withoutLogin(url)), signature };
  } catch (error) {
    if (!(error instanceof HttpStatusError && error.status === 404)) throw error;
    throw new UsageError(`the mirror has no suite ${repository.suite}`, { cause: error });
  }
}

function findInIndex(index: LoadedIndex, name: string): PackageRecord | undefined {
  const fields = findInTable(index.table, name);
  if (fields === undefined) return undefined;
  const { version, depends, filename, size, sha256 } = fields;
  return { name, version, depends: parseDepends(depends), url: `${index.repository.uri}/${filename}`, sha256, size };
}

/** Reads a Depends field into names, versions and architecture qualifiers dropped. */
export function parseDepends(text: string): string[][] {
  return text
    .split(',')
    .map(group => group.split('|').map(name => name.trim().replace(/[\s:(].*$/s, '')))
    .filter(group => group[0] !== '');
}
