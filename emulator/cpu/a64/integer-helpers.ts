/** Bodies of the helpers of integer instructions that compute from their arguments alone. */
import type { HelperImplementation } from '../execute/guest.ts';
import { updateCrc32, updateCrc32c } from './crc32.ts';

/** The helpers by name. */
export const INTEGER_HELPERS: Readonly<Record<string, HelperImplementation>> = {
  'a64.crc32': updateCrc32,
  'a64.crc32c': updateCrc32c,
};
