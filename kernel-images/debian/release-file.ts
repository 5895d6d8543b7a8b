/**
 * A suite's InRelease file: the hashes of its indexes, and the signature over them.
 *
 * Sources: `apt-secure(8)`; Debian wiki "DebianRepository/Format", titles "Release files" and "Acquire-By-Hash"; `gpgv(1)`.
 * The OpenPGP signature is checked with gpgv when gpgv and a Debian keyring are on this host; otherwise the result says that it was
 * not, and the chain of SHA256 hashes begins at a file that only the transport vouches for.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { FormatError, ImageError } from '../../capture/formats/errors.ts';
import { parseStanza } from './apt-sources.ts';
import type { Expectation } from './download.ts';

/** Where Debian's package debian-archive-keyring puts its keys (bookworm's name, and the newer one). */
const DEBIAN_KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

/** How far the signature could be checked. */
export type SignatureCheck = 'verified' | 'not checked: no gpgv' | 'not checked: no Debian keyring';

/** What an InRelease file says. */
export interface ReleaseFile {
  readonly codename: string;
  readonly byHash: boolean;
  /** Index files by path below `dists/SUITE/`. */
  readonly files: ReadonlyMap<string, Expectation>;
}

/** Reads an InRelease (clear-signed) or Release file. @throws FormatError */
export function parseRelease(text: string, name: string): ReleaseFile {
  const body =
    /-----BEGIN PGP SIGNED MESSAGE-----\n[^]*?\n\n([^]*?)\n-----BEGIN PGP SIGNATURE-----/.exec(text)?.[1] ?? text;
  const fields = parseStanza(body);
  const files = new Map<string, Expectation>();
  for (const match of (fields.get('sha256') ?? '').matchAll(/([0-9a-f]{64})\s+(\d+)\s+(\S+)/g)) {
    files.set(match[3]!, { sha256: match[1]!, size: Number(match[2]) });
  }
  if (files.size === 0) throw new FormatError('not a Debian Release file: it lists no SHA256 hashes', { file: name });
  return { codename: fields.get('codename') ?? '', byHash: fields.get('acquire-by-hash') === 'yes', files };
}

/**
 * Checks the signature of an InRelease file as apt does: at least one good signature of a known key, and no bad one.
 * @param keyring of the archive, when apt's configuration names one
 * @throws ImageError when gpgv finds the signature wrong
 */
export function checkSignature(path: string, url: string, keyring: string | undefined): SignatureCheck {
  const keyrings = [keyring, ...DEBIAN_KEYRINGS].filter(file => file !== undefined && existsSync(file)) as string[];
  if (keyrings.length === 0) return 'not checked: no Debian keyring';
  const run = spawnSync('gpgv', ['--status-fd', '1', ...keyrings.flatMap(file => ['--keyring', file]), path], {
    encoding: 'utf8',
  });
  if (run.error !== undefined) return 'not checked: no gpgv';
  const good = /^\[GNUPG:\] VALIDSIG /m.test(run.stdout);
  const bad = /^\[GNUPG:\] BADSIG /m.test(run.stdout);
  if (!good || bad)
    throw new ImageError('the signature of the package index is wrong: check the mirror', { file: url });
  return 'verified';
}
