import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { FormatError, ImageError } from '../../../../capture/formats/errors.ts';
import { checkSignature, parseRelease } from '../../../../kernel-images/debian/release-file.ts';

const HASH = 'a'.repeat(64);
const BODY = `Origin: Debian
Codename: bookworm
Acquire-By-Hash: yes
MD5Sum:
 0123 12 main/binary-arm64/Packages.xz
SHA256:
 ${HASH}  8690000 main/binary-arm64/Packages.xz
 ${'b'.repeat(64)}       42 main/binary-amd64/Release`;

describe('parseRelease', () => {
  test('takes sizes and SHA256 hashes, not the MD5 ones', () => {
    const release = parseRelease(BODY, 'Release');
    expect(release.codename).toBe('bookworm');
    expect(release.byHash).toBe(true);
    expect(release.files.get('main/binary-arm64/Packages.xz')).toEqual({ sha256: HASH, size: 8690000 });
  });

  test('reads only what the signature covers', () => {
    const signed = `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${BODY}\n-----BEGIN PGP SIGNATURE-----\nxx\n-----END PGP SIGNATURE-----\nSHA256:\n ${'c'.repeat(64)} 1 evil\n`;
    expect([...parseRelease(signed, 'InRelease').files.keys()]).not.toContain('evil');
    expect(parseRelease(signed, 'InRelease').files.size).toBe(2);
  });

  test('refuses a page that is no Release file', () => {
    expect(() => parseRelease('<html>Login</html>', 'InRelease')).toThrow(FormatError);
  });
});

describe('checkSignature', () => {
  test('does not accept an unsigned file when gpgv and a keyring are there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'release-'));
    try {
      const path = join(folder, 'InRelease');
      writeFileSync(path, BODY);
      // On a host without them the result says that nothing was checked; it never says "verified".
      let result = '';
      try {
        result = checkSignature(path, 'http://mirror.example', undefined);
      } catch (error) {
        expect(error).toBeInstanceOf(ImageError);
      }
      expect(result).not.toBe('verified');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
