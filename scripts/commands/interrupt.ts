/** Ctrl-C: while a machine runs it asks for an orderly end; a second time, and at any other time, it ends the program at once. */
import { EXIT_INTERRUPTED } from './errors.ts';

let running: AbortController | undefined;

/** Makes SIGINT, SIGTERM and SIGHUP end the program with one line. Temporary files go in its exit handlers. */
export function installInterruptHandler(): void {
  process.on('SIGINT', handleInterrupt);
  process.on('SIGTERM', handleInterrupt);
  process.on('SIGHUP', handleInterrupt);
}

function handleInterrupt(): void {
  if (running !== undefined && !running.signal.aborted) {
    running.abort();
    return;
  }
  process.stderr.write('\nkdump-lab: interrupted\n');
  process.exit(EXIT_INTERRUPTED);
}

/** Until it is disposed, the first interrupt aborts the signal instead of ending the program. */
export function interruptSignal(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  running = controller;
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      if (running === controller) running = undefined;
    },
  };
}
