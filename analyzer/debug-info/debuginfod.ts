/**
 * Fetches debug information that is not on this machine, only when `DEBUGINFOD_URLS` asks for it.
 *
 * Source: debuginfod(8) "Webapi" (`/buildid/BUILDID/debuginfo`), debuginfod_find_debuginfo(3) "Cache" and environment.
 * What was fetched is kept where elfutils and gdb keep it, after its build id was checked.
 */
import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { FileSource } from '../../capture/formats/byte-source.ts';
import { buildIdOf, parseElf } from '../../capture/formats/elf.ts';
import { FormatError, UnimplementedError } from '../../capture/formats/errors.ts';
import { cachePath } from './debuginfod-cache.ts';
import type { Environment } from './debuginfod-cache.ts';
import { findDebugFile, hasDebugInfo } from './find-debug-file.ts';

/** Seconds to wait for a server's answer when `DEBUGINFOD_TIMEOUT` says nothing. */
const DEFAULT_TIMEOUT = 90;

/**
 * Makes sure that the debug information of a stripped file is on this machine, if a server has it.
 * @returns what went wrong, one line each; empty when there was nothing to do or all went well
 */
export async function fetchMissing(
  path: string | undefined,
  environment: Environment = process.env,
): Promise<string[]> {
  const urls = (environment['DEBUGINFOD_URLS'] ?? '').split(/\s+/).filter(url => url !== '');
  const buildId = path === undefined || urls.length === 0 ? undefined : strippedBuildId(path);
  if (buildId === undefined || existsSync(cachePath(buildId, environment))) return [];
  const problems: string[] = [];
  for (const url of urls) {
    const problem = await fetchFrom(url, buildId, environment);
    if (problem === undefined) return [];
    problems.push(`debuginfod: ${url}: ${problem}`);
  }
  return problems;
}

/** The build id of a file that has no debug information, here or beside it. */
function strippedBuildId(path: string): string | undefined {
  const source = new FileSource(path);
  try {
    const elf = parseElf(source);
    if (hasDebugInfo(elf)) return undefined;
    const beside = findDebugFile(elf);
    beside?.source[Symbol.dispose]();
    return beside === undefined ? buildIdOf(elf) : undefined;
  } catch (error) {
    // Whoever opens the file says what is wrong with it.
    if (error instanceof FormatError || error instanceof UnimplementedError) return undefined;
    throw error;
  } finally {
    source[Symbol.dispose]();
  }
}

/** Returns what went wrong, or nothing. */
async function fetchFrom(url: string, buildId: string, environment: Environment): Promise<string | undefined> {
  const seconds = Number(environment['DEBUGINFOD_TIMEOUT'] ?? DEFAULT_TIMEOUT);
  const target = cachePath(buildId, environment);
  const partial = `${target}.${process.pid}.part`;
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/buildid/${buildId}/debuginfo`, {
      signal: AbortSignal.timeout(1000 * seconds),
    });
    if (!response.ok || response.body === null) return `answers ${response.status}`;
    mkdirSync(dirname(target), { recursive: true });
    await pipeline(Readable.fromWeb(response.body), createWriteStream(partial));
    if (!isBuild(partial, buildId)) return 'sent a file of another build';
    renameSync(partial, target);
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error.message;
  } finally {
    rmSync(partial, { force: true });
  }
}

function isBuild(path: string, buildId: string): boolean {
  using source = new FileSource(path);
  try {
    return buildIdOf(parseElf(source)) === buildId;
  } catch (error) {
    if (error instanceof FormatError || error instanceof UnimplementedError) return false;
    throw error;
  }
}
