/** Ctrl-C ends a command and not the program. */
import { Script } from 'node:vm';

/** Says that the user has ended a command. */
export class InterruptedError extends Error {
  constructor() {
    super('interrupted');
    this.name = 'InterruptedError';
  }
}

/** Where the script below finds what it is to run. */
const ACTION = 'kdumpLabInterruptibleAction';
/** V8 can be stopped in the middle of what computes and does not return to the event loop, but in a script only. */
const SCRIPT = new Script(`globalThis.${ACTION}()`);

/** Runs something that SIGINT ends. @throws InterruptedError */
export function interruptible<T>(action: () => T): T {
  const results: T[] = [];
  const holder = globalThis as { [ACTION]?: (() => void) | undefined };
  const outer = holder[ACTION];
  holder[ACTION] = () => void results.push(action());
  try {
    SCRIPT.runInThisContext({ breakOnSigint: true, displayErrors: false });
  } catch (error) {
    const isInterrupt = (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED';
    throw isInterrupt ? new InterruptedError() : error;
  } finally {
    holder[ACTION] = outer;
  }
  return results[0]!;
}

/** Until it is disposed of, SIGINT is for the handler, and for nobody who listened before. */
export function takeInterrupts(handler: () => void): Disposable {
  const others = process.listeners('SIGINT');
  for (const other of others) process.off('SIGINT', other);
  process.on('SIGINT', handler);
  return {
    [Symbol.dispose]() {
      process.off('SIGINT', handler);
      for (const other of others) process.on('SIGINT', other);
    },
  };
}
