/** Where the characters go that a guest writes to a serial port or console. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import type { CharacterBackend } from '../commands/boot-options.ts';

/** Takes characters until it is disposed. */
export interface CharacterSink extends Disposable {
  write(bytes: Uint8Array): void;
}

/** @param option names the option in the error @throws UsageError when a file cannot be written */
export function openSink(backend: CharacterBackend, option: string): CharacterSink {
  if (backend.kind === 'terminal')
    return { write: bytes => process.stdout.write(bytes), [Symbol.dispose]: () => undefined };
  if (backend.kind === 'none') return { write: () => undefined, [Symbol.dispose]: () => undefined };
  const fd = openForWriting(backend.path, option);
  return { write: bytes => writeSync(fd, bytes), [Symbol.dispose]: () => closeSync(fd) };
}

function openForWriting(path: string, option: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw new UsageError(`${option} file:${path}: cannot be written`, { cause: error });
  }
}
