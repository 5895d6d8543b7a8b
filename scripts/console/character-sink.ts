/** Where the characters go that a guest writes to a serial port or console. */
import { closeSync, openSync, writeSync } from 'node:fs';

import { UsageError } from '../../capture/formats/errors.ts';
import type { CharacterBackend } from '../commands/boot-options.ts';

/** Takes characters until it is disposed. */
export interface CharacterSink extends Disposable {
  /** @throws UsageError when the host cannot write */
  write(bytes: Uint8Array): void;
}

/** @param option names the option in errors @throws UsageError when a file cannot be written */
export function openSink(backend: CharacterBackend, option: string): CharacterSink {
  if (backend.kind === 'terminal')
    return { write: bytes => process.stdout.write(bytes), [Symbol.dispose]: () => undefined };
  if (backend.kind === 'none') return { write: () => undefined, [Symbol.dispose]: () => undefined };
  const { path, append } = backend;
  const attempt = <Result>(action: () => Result): Result => {
    try {
      return action();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new UsageError(`${option} file:${path}: cannot be written: ${reason}`, { cause });
    }
  };
  const fd = attempt(() => openSync(path, append ? 'a' : 'w'));
  return {
    write: bytes => {
      for (let done = 0; done < bytes.length;) done += attempt(() => writeSync(fd, bytes, done));
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}
