import { describe, expect, test } from 'vitest';

import {
  findLogin,
  parseAptProxies,
  parseDeb822Sources,
  parseLogins,
  parseOneLineSources,
} from '../../../../kernel-images/debian/apt-sources.ts';

describe('one-line sources', () => {
  test('reads deb lines with and without options, and skips the rest', () => {
    const text = [
      '# deb http://old.example/debian wheezy main',
      'deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian/ bookworm main contrib # comment',
      'deb-src http://mirror.example/debian bookworm main',
      'deb https://user:secret@mirror.example/security bookworm-security main',
    ].join('\n');
    expect(parseOneLineSources(text)).toEqual([
      {
        uri: 'http://mirror.example/debian',
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        signedBy: '/usr/share/keyrings/k.gpg',
      },
      {
        uri: 'https://user:secret@mirror.example/security',
        suites: ['bookworm-security'],
        components: ['main'],
        signedBy: undefined,
      },
    ]);
  });
});

describe('deb822 sources', () => {
  test('reads stanzas with comments inside, several suites and several URIs', () => {
    const text = `Types: deb deb-src
# a comment between fields
URIs: http://a.example/debian http://b.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;
    const sources = parseDeb822Sources(text);
    expect(sources.map(source => source.uri)).toEqual(['http://a.example/debian', 'http://b.example/debian']);
    expect(sources[0]?.suites).toEqual(['bookworm', 'bookworm-updates']);
    expect(sources[0]?.signedBy).toBe('/usr/share/keyrings/debian-archive-keyring.gpg');
  });

  test('leaves out disabled stanzas and those for sources only', () => {
    const text = `Types: deb
URIs: http://a.example/debian
Suites: sid
Enabled: no

Types: deb-src
URIs: http://a.example/debian
Suites: sid
`;
    expect(parseDeb822Sources(text)).toEqual([]);
  });

  test('does not take a key in the file for the path of a keyring', () => {
    const text =
      'Types: deb\nURIs: http://a.example/d\nSuites: sid\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n';
    expect(parseDeb822Sources(text)[0]?.signedBy).toBeUndefined();
  });
});

describe('proxies of apt-config dump', () => {
  test('uses the http proxy for https too, and keeps DIRECT hosts out of it', () => {
    const dump =
      'Acquire::http "";\nAcquire::http::Proxy "http://proxy.example:3128";\nAcquire::http::Proxy::local.example "DIRECT";\n';
    expect(parseAptProxies(dump)).toEqual({
      http_proxy: 'http://proxy.example:3128',
      https_proxy: 'http://proxy.example:3128',
      no_proxy: 'local.example',
    });
  });

  test('finds none in a dump without proxies', () => {
    expect(parseAptProxies('APT "";\nAcquire::http::Pipeline-Depth "0";\n')).toEqual({});
  });
});

describe('logins of auth.conf', () => {
  const logins = parseLogins('machine a.example login u password p\nmachine a.example/deep login v\n  password q\n');

  test('prefers the longest matching machine', () => {
    expect(findLogin(logins, new URL('http://a.example/deep/x'))?.login).toBe('v');
    expect(findLogin(logins, new URL('http://a.example/other'))?.login).toBe('u');
  });

  test('gives no login to other hosts', () => {
    expect(findLogin(logins, new URL('http://b.example/deep'))).toBeUndefined();
  });
});
