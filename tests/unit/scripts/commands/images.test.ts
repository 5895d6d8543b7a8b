/** `images` against a mirror of our own: listing, fetching, interruptions, and life without network. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { SmallMirror } from '../../../support/small-mirror.ts';

const PROGRAM = fileURLToPath(new URL('../../../../scripts/kdump-lab.ts', import.meta.url));
const RELEASE = '6.1.0-1-cloud-arm64';
const KERNEL = Buffer.alloc(200_000, 'kernel');

let folder = '';
let mirror: SmallMirror;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'images-'));
  mirror = new SmallMirror(folder);
  mirror.publish([
    {
      control: {
        Package: 'linux-image-cloud-arm64',
        Version: '6.1.1-1',
        Depends: `linux-image-${RELEASE} (= 6.1.1-1)`,
      },
      files: {},
    },
    {
      control: { Package: `linux-image-${RELEASE}`, Version: '6.1.1-1' },
      files: { [`boot/vmlinuz-${RELEASE}`]: KERNEL, [`boot/config-${RELEASE}`]: 'CONFIG_ARM64_VA_BITS=48\n' },
    },
  ]);
  await mirror.listen();
});

afterEach(() => {
  mirror[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

/** Without a PATH nothing checks signatures: the mirror has none. */
function environment(): NodeJS.ProcessEnv {
  return { HOME: folder, PATH: join(folder, 'empty'), KDUMP_LAB_CACHE: join(folder, 'cache') };
}

/** Arguments that choose our mirror's one kernel. */
const choice = (): string[] => ['--mirror', mirror.url, '--suite', 'test', '--arch', 'aarch64', '--flavour', 'cloud'];

function start(...args: string[]) {
  const child = spawn(process.execPath, [PROGRAM, 'images', ...args], { cwd: folder, env: environment() });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (bytes: Buffer) => (output.stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (output.stderr += bytes.toString()));
  const ended = new Promise<{ status: number | null; stdout: string; stderr: string }>(resolve => {
    child.on('close', status => resolve({ status, ...output }));
  });
  return { child, ended };
}

const run = (...args: string[]) => start(...args).ended;

/** Files of a folder of the cache. */
function cached(name: string): string[] {
  const path = join(folder, 'cache', name);
  return existsSync(path) ? readdirSync(path) : [];
}

test('lists what the mirror has, and what of it is in the cache', async () => {
  const before = await run('list', ...choice());
  expect(before.stdout).toMatch(/^test {6}aarch64 {2}cloud {4}linux-image-6\.1\.0-1-cloud-arm64 +6\.1\.1-1 +0\.2 MB\n/);
  // The guest's programs are not there; the kernel is fetched before them.
  expect((await run('fetch', ...choice())).stderr).toMatch(/no package busybox/);
  mirror[Symbol.dispose]();
  const offline = await run('list', '--json', ...choice());
  expect(JSON.parse(offline.stdout)).toMatchObject([{ package: `linux-image-${RELEASE}`, cached: true }]);
  expect(offline.status).toBe(0);
});

test('lists what there is when some suites cannot be reached', async () => {
  await run('list', ...choice());
  const all = await run('list', '--mirror', mirror.url, '--arch', 'aarch64');
  expect(all).toMatchObject({ status: 1, stdout: '' });
  expect(all.stderr).toBe('kdump-lab: the mirror has no suite bookworm\n');
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  'a fetch that is ended by %s leaves no package, and goes on where it was',
  async signal => {
    const half = KERNEL.length / 2;
    mirror.intercept = (request, response) => {
      if (!request.url!.startsWith(`/pool/linux-image-${RELEASE}`)) return false;
      response.writeHead(200).write(Buffer.alloc(half, 0x2a));
      return true;
    };
    const { child, ended } = start('fetch', ...choice());
    while (!cached('packages').some(name => name.endsWith('.partial'))) {
      await new Promise(resolve => {
        setTimeout(resolve, 20);
      });
    }
    child.kill(signal);
    expect(await ended).toEqual({ status: 130, stdout: '', stderr: '\nkdump-lab: interrupted\n' });
    expect(cached('packages').filter(name => name.endsWith('.deb'))).toEqual([]);
    expect(cached('unpacked')).toEqual([]);
    mirror.intercept = () => false;
    mirror.requests.length = 0;
    expect((await run('fetch', ...choice())).stdout).toContain(`${RELEASE}: `);
    // What was there was not the file's beginning: its hash is wrong, and it is fetched again as a whole.
    expect(mirror.requests[0]).toMatch(/ bytes=\d+-$/);
    expect(cached('packages').filter(name => name.endsWith('.partial'))).toEqual([]);
  },
);

test('a connection that breaks each time ends with one line, and leaves the beginning for the next time', async () => {
  mirror.intercept = (request, response) => {
    if (!request.url!.startsWith('/pool/')) return false;
    response.writeHead(200, { 'content-length': '300000' }).write(Buffer.alloc(1000), () => response.destroy());
    return true;
  };
  const fetch = await run('fetch', ...choice());
  expect(fetch).toMatchObject({ status: 1, stdout: '' });
  expect(fetch.stderr).toMatch(/^kdump-lab: http:.*cannot download .*check the network or give another --mirror\n$/);
  expect(cached('unpacked')).toEqual([]);
});

test('a package that was tampered with is refused', async () => {
  mirror.intercept = (request, response) => {
    if (!request.url!.startsWith(`/pool/linux-image-${RELEASE}`)) return false;
    response.end(Buffer.alloc(KERNEL.length));
    return true;
  };
  const fetch = await run('fetch', ...choice());
  expect(fetch.status).toBe(1);
  expect(fetch.stderr).toMatch(/wrong SHA256 or size: check the mirror\n$/);
  expect(cached('packages')).toEqual([]);
});

const hasMount = process.getuid?.() === 0;

test.skipIf(!hasMount)('a full disk ends with one line (needs root for a small tmpfs)', async () => {
  const cache = join(folder, 'cache');
  spawnSync('mkdir', [cache]);
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', cache]);
  try {
    const fetch = await run('fetch', ...choice());
    expect(fetch).toMatchObject({ status: 1, stdout: '' });
    expect(fetch.stderr).toMatch(/cannot write the download: ENOSPC.*\n$/);
    expect(fetch.stderr.trim().split('\n')).toHaveLength(1);
    expect(cached('packages').filter(name => name.endsWith('.deb'))).toEqual([]);
  } finally {
    spawnSync('umount', [cache]);
  }
});
