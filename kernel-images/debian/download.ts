/**
 * Resumable downloads: a file appears under its name only when its hash is right.
 *
 * An interrupted download leaves `NAME.partial`, which the next one continues with a Range request
 * (RFC 9110 "Range Requests"). A failed check deletes the partial file and the download starts over once.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import * as http from 'node:http';
import * as https from 'node:https';
import { dirname } from 'node:path';

import { ImageError } from '../../capture/formats/errors.ts';
import { findLogin, type Transport } from './apt-sources.ts';

/** What the file must be. */
export interface Expectation {
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
}

/** Called as bytes arrive: how many of the file are there now. */
export type OnProgress = (bytes: number) => void;

const ATTEMPTS = 3;
const REDIRECTS = 5;
/** A server that says nothing for this long is taken for dead. */
const SILENCE_MS = 60_000;

/** Says that a server answered with an error status. */
export class HttpStatusError extends ImageError {
  readonly status: number;

  constructor(url: string, status: number) {
    super(`the server answered ${status}`, { file: withoutLogin(url) });
    this.name = 'HttpStatusError';
    this.status = status;
  }
}

/**
 * Brings a file of known hash to `path`; does nothing when it is already there with the right size.
 * @throws ImageError when the server cannot be reached or sends other bytes
 */
export async function downloadVerified(
  url: string,
  path: string,
  expected: Expectation,
  transport: Transport,
  onProgress: OnProgress = () => {},
): Promise<void> {
  if (existsSync(path) && statSync(path).size === expected.size) return;
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.partial`;
  await downloadPartial(url, partial, expected, transport, onProgress);
  if (!(await matches(partial, expected))) {
    // Perhaps the beginning came from an earlier version of the file.
    rmSync(partial, { force: true });
    await downloadPartial(url, partial, expected, transport, onProgress);
    if (!(await matches(partial, expected))) {
      rmSync(partial, { force: true });
      throw new ImageError('the server sent a file with a wrong SHA256 or size: check the mirror', {
        file: withoutLogin(url),
      });
    }
  }
  renameSync(partial, path);
}

/** Fetches a small file whole. @throws ImageError */
export async function downloadSmall(url: string, transport: Transport): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await attempt(url, async () => {
    chunks.length = 0;
    for await (const chunk of await request(url, {}, transport)) chunks.push(chunk as Buffer);
  });
  return Buffer.concat(chunks);
}

/** Hashes a file and compares. */
export async function matches(path: string, expected: Expectation): Promise<boolean> {
  if (!existsSync(path) || statSync(path).size !== expected.size) return false;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex') === expected.sha256;
}

async function downloadPartial(
  url: string,
  partial: string,
  expected: Expectation,
  transport: Transport,
  onProgress: OnProgress,
): Promise<void> {
  await attempt(url, async () => {
    const present = existsSync(partial) ? statSync(partial).size : 0;
    if (present === expected.size) return;
    if (present > expected.size) rmSync(partial);
    const start = present < expected.size ? present : 0;
    const response = await request(url, start > 0 ? { range: `bytes=${start}-` } : {}, transport);
    await save(response, partial, response.statusCode === 206 ? start : 0, expected.size, onProgress);
  });
}

async function save(
  response: http.IncomingMessage,
  partial: string,
  start: number,
  limit: number,
  onProgress: OnProgress,
): Promise<void> {
  await using file = await open(partial, start > 0 ? 'r+' : 'w');
  let position = start;
  for await (const chunk of response) {
    const bytes = chunk as Buffer;
    // A server that sends more than the index promises is not worth filling the disk for.
    if (position + bytes.length > limit + (1 << 20))
      throw new ImageError('the server sends more than the index promises');
    await file.write(bytes, 0, bytes.length, position);
    position += bytes.length;
    onProgress(position);
  }
  await file.truncate(position);
}

/** Repeats what failed on the way (not what the server refused). */
async function attempt(url: string, action: () => Promise<void>): Promise<void> {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await action();
    } catch (error) {
      if (error instanceof ImageError) throw error;
      if (isHostDiskError(error))
        throw new ImageError(`cannot write the download: ${describe(error)}`, { cause: error });
      if (left === 0) {
        throw new ImageError(`cannot download (${describe(error)}): check the network or give another --mirror`, {
          file: withoutLogin(url),
          cause: error,
        });
      }
    }
  }
}

function isHostDiskError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EACCES' || code === 'EROFS' || code === 'EIO';
}

function describe(error: unknown): string {
  return error instanceof Error && error.message !== ''
    ? error.message
    : String((error as { code?: string }).code ?? error);
}

async function request(
  url: string,
  headers: Record<string, string>,
  transport: Transport,
  redirects = REDIRECTS,
): Promise<http.IncomingMessage> {
  const target = new URL(url);
  const response = await send(target, headers, transport);
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400 && response.headers.location !== undefined && redirects > 0) {
    response.resume();
    return request(new URL(response.headers.location, target).href, headers, transport, redirects - 1);
  }
  if (status !== 200 && status !== 206) {
    response.resume();
    throw new HttpStatusError(url, status);
  }
  return response;
}

function send(target: URL, headers: Record<string, string>, transport: Transport): Promise<http.IncomingMessage> {
  const secure = target.protocol === 'https:';
  if (!secure && target.protocol !== 'http:')
    throw new ImageError('only http and https mirrors work', { file: withoutLogin(target.href) });
  const login = findLogin(transport.logins, target);
  const Agent = secure ? https.Agent : http.Agent;
  return new Promise((resolve, reject) => {
    const call = (secure ? https : http).get(
      target,
      {
        headers: { 'user-agent': 'kdump-lab', ...headers },
        agent: new Agent({ proxyEnv: { ...transport.proxyEnv } }),
        ...(login === undefined ? {} : { auth: `${login.login}:${login.password}` }),
      },
      resolve,
    );
    call.setTimeout(SILENCE_MS, () => call.destroy(new Error('the server is silent')));
    call.on('error', reject);
  });
}

/** A URL that may be shown and stored. */
export function withoutLogin(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//');
}
