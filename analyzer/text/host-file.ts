/** Files of the host that commands write. */
import { appendFileSync, writeFileSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';

/** Writes or extends a file. @throws UsageError when the host refuses: a command fails by it, not the session */
export function writeHostFile(path: string, contents: string | Uint8Array, append = false): void {
  try {
    if (append) appendFileSync(path, contents);
    else writeFileSync(path, contents);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/, .*$/s, '') : String(error);
    throw new UsageError(`cannot write ${path}: ${reason}`, { cause: error });
  }
}
