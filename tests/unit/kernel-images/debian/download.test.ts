import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ImageError } from '../../../../capture/formats/errors.ts';
import {
  HttpStatusError,
  downloadSmall,
  downloadVerified,
  withoutLogin,
} from '../../../../kernel-images/debian/download.ts';

const CONTENTS = Buffer.alloc(100_000, 'kernel bytes ');
const EXPECTED = { size: CONTENTS.length, sha256: createHash('sha256').update(CONTENTS).digest('hex') };
const DIRECT = { proxyEnv: {}, logins: [] };

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let folder = '';
let url = '';
let requests: IncomingMessage[] = [];
let answer: Answer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'download-'));
  requests = [];
  answer = sendRange;
  server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file.deb`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

/** RFC 9110 "Range Requests", as mirrors do it. */
function sendRange(request: IncomingMessage, response: ServerResponse): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(start > 0 ? 206 : 200);
  response.end(CONTENTS.subarray(start));
}

describe('downloadVerified', () => {
  test('brings a file and asks for it only once', async () => {
    const path = join(folder, 'deep/file.deb');
    await downloadVerified(url, path, EXPECTED, DIRECT);
    await downloadVerified(url, path, EXPECTED, DIRECT);
    expect(readFileSync(path).equals(CONTENTS)).toBe(true);
    expect(requests).toHaveLength(1);
  });

  test('continues what an earlier run left', async () => {
    const path = join(folder, 'file.deb');
    writeFileSync(`${path}.partial`, CONTENTS.subarray(0, 40_000));
    await downloadVerified(url, path, EXPECTED, DIRECT);
    expect(requests[0]?.headers.range).toBe('bytes=40000-');
    expect(readFileSync(path).equals(CONTENTS)).toBe(true);
    expect(readdirSync(folder)).toEqual(['file.deb']);
  });

  test('starts over when what was left belongs to another file', async () => {
    const path = join(folder, 'file.deb');
    writeFileSync(`${path}.partial`, Buffer.alloc(40_000, 'other'));
    await downloadVerified(url, path, EXPECTED, DIRECT);
    expect(readFileSync(path).equals(CONTENTS)).toBe(true);
  });

  test('takes the whole file from a server that ignores ranges', async () => {
    const path = join(folder, 'file.deb');
    writeFileSync(`${path}.partial`, CONTENTS.subarray(0, 40_000));
    answer = (_, response) => response.end(CONTENTS);
    await downloadVerified(url, path, EXPECTED, DIRECT);
    expect(readFileSync(path).equals(CONTENTS)).toBe(true);
  });

  test('continues in the same run when the connection breaks', async () => {
    const path = join(folder, 'file.deb');
    answer = (request, response) => {
      if (requests.length > 1) return sendRange(request, response);
      response.writeHead(200, { 'content-length': CONTENTS.length });
      response.write(CONTENTS.subarray(0, 30_000), () => setTimeout(() => response.destroy(), 50));
    };
    await downloadVerified(url, path, EXPECTED, DIRECT);
    expect(requests).toHaveLength(2);
    expect(readFileSync(path).equals(CONTENTS)).toBe(true);
  });

  test('leaves nothing under the final name when the hash is wrong', async () => {
    const path = join(folder, 'file.deb');
    answer = (_, response) => response.end(Buffer.alloc(CONTENTS.length, 'evil'));
    await expect(downloadVerified(url, path, EXPECTED, DIRECT)).rejects.toThrow(/wrong SHA256/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('keeps the beginning, under another name, when the network stays down', async () => {
    const path = join(folder, 'file.deb');
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': CONTENTS.length });
      if (requests.length > 1) response.destroy();
      else response.write(CONTENTS.subarray(0, 30_000), () => setTimeout(() => response.destroy(), 50));
    };
    await expect(downloadVerified(url, path, EXPECTED, DIRECT)).rejects.toThrow(/check the network/);
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(folder)).toEqual(['file.deb.partial']);
  });

  test('names the status when the server refuses', async () => {
    answer = (_, response) => {
      response.writeHead(404);
      response.end();
    };
    await expect(downloadVerified(url, join(folder, 'x'), EXPECTED, DIRECT)).rejects.toThrow(HttpStatusError);
    expect(requests).toHaveLength(1);
  });
});

describe('downloadSmall', () => {
  test('follows redirects and sends the login of auth.conf', async () => {
    answer = (request, response) => {
      if (request.url === '/file.deb') response.writeHead(302, { location: '/other' });
      response.end('moved here');
    };
    const { host } = new URL(url);
    const bytes = await downloadSmall(url, { proxyEnv: {}, logins: [{ machine: host, login: 'u', password: 'p' }] });
    expect(bytes.toString()).toBe('moved here');
    expect(requests[1]?.headers.authorization).toBe(`Basic ${Buffer.from('u:p').toString('base64')}`);
  });

  test('goes through a proxy', async () => {
    const proxy = url.replace('/file.deb', '');
    answer = (request, response) => response.end(request.url);
    const bytes = await downloadSmall('http://mirror.invalid/debian/x', {
      proxyEnv: { http_proxy: proxy },
      logins: [],
    });
    expect(bytes.toString()).toBe('http://mirror.invalid/debian/x');
  });

  test('says so when nobody answers', async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
    await expect(downloadSmall(url, DIRECT)).rejects.toThrow(ImageError);
  });
});

test('withoutLogin hides user and password', () => {
  expect(withoutLogin('https://user:secret@mirror.example/debian')).toBe('https://mirror.example/debian');
});
