/** debuginfod's client against a server of ours; the protocol is debuginfod(8) "Webapi". */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

import { cachePath } from '../../../../analyzer/debug-info/debuginfod-cache.ts';
import { fetchMissing } from '../../../../analyzer/debug-info/debuginfod.ts';

const FOLDER = join(import.meta.dirname, '../../../fixtures/dwarf');
const STRIPPED = join(FOLDER, 'sample-v5-stripped');
// readelf -n
const BUILD_ID = '41023f95628f57ecf99b5c10a3231473b335aa20';

let server: Server;
let served = 'sample-v5';
const asked: string[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (served === '') response.writeHead(404).end();
    else response.end(readFileSync(join(FOLDER, served)));
  });
  await new Promise<void>(done => void server.listen(0, '127.0.0.1', done));
});
afterAll(() => void server.close());

let cache = '';
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'debuginfod-'));
  asked.length = 0;
});
afterEach(() => rmSync(cache, { recursive: true }));

function environment(): Record<string, string> {
  const { port } = server.address() as AddressInfo;
  return { DEBUGINFOD_URLS: `http://127.0.0.1:${port}/`, DEBUGINFOD_CACHE_PATH: cache };
}

test('asks nobody when no server is named', async () => {
  expect(await fetchMissing(STRIPPED, { DEBUGINFOD_CACHE_PATH: cache })).toEqual([]);
  expect(asked).toEqual([]);
});

test('fetches by build id and keeps what came', async () => {
  served = 'sample-v5';
  expect(await fetchMissing(STRIPPED, environment())).toEqual([]);
  expect(asked).toEqual([`/buildid/${BUILD_ID}/debuginfo`]);
  expect(readFileSync(cachePath(BUILD_ID, environment()))).toEqual(readFileSync(join(FOLDER, 'sample-v5')));
  await fetchMissing(STRIPPED, environment());
  expect(asked.length).toBe(1);
});

test('keeps nothing of another build', async () => {
  served = 'sample-v4';
  const [problem] = await fetchMissing(STRIPPED, environment());
  expect(problem).toContain('another build');
  expect(existsSync(cachePath(BUILD_ID, environment()))).toBe(false);
});

test('says what the server answered', async () => {
  served = '';
  const [problem] = await fetchMissing(STRIPPED, environment());
  expect(problem).toContain('404');
});

test('asks nobody for a file that has its debug information', async () => {
  expect(await fetchMissing(join(FOLDER, 'sample-v5'), environment())).toEqual([]);
  expect(asked).toEqual([]);
});
