/** What the command line says, and with which exit status it ends, for each kind of error. */
import { FaultError, FormatError, ImageError, UnimplementedError, UsageError } from '../../capture/formats/errors.ts';

/** Bad input, wrong options, or a flow that failed. */
export const EXIT_FAILURE = 1;
/** 128 + SIGINT, as shells have it. */
export const EXIT_INTERRUPTED = 130;

/** Writes one line for what the user can do something about; anything else is a bug of ours and shows its stack. */
export function reportError(error: unknown): void {
  const expected = [UsageError, FormatError, ImageError, FaultError, UnimplementedError].some(
    kind => error instanceof kind,
  );
  if (expected) console.error(`kdump-lab: ${(error as Error).message}`);
  else if (isHostError(error)) console.error(`kdump-lab: ${error.message}`);
  else console.error(error);
}

/** Errors of the host's file system: they name the file and the reason. */
function isHostError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

/** A reader that goes away (`| head`) is no error of ours. */
export function endQuietlyWhenOutputCloses(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}
