/** Where debuginfod's clients keep what they fetched; debuginfod_find_debuginfo(3) "Cache". */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a file of that build is, or would be, in the cache. */
export function cachePath(buildId: string, environment: Environment = process.env): string {
  const own = environment['DEBUGINFOD_CACHE_PATH'];
  const base = environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(own ?? join(base, 'debuginfod_client'), buildId, 'debuginfo');
}
