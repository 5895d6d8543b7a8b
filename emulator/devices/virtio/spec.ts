/**
 * Numbers of the virtio standard that several files use.
 *
 * Source: Virtual I/O Device (VIRTIO) Version 1.2, and for legacy devices its "Legacy Interface" sections.
 */

/** virtio 1.2 §5 "Device Types". */
export const DEVICE_ID = { NET: 1, BLOCK: 2, CONSOLE: 3, ENTROPY: 4, NINEP: 9 } as const;

/** virtio 1.2 §2.1 "Device Status Field". */
export const STATUS = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  DEVICE_NEEDS_RESET: 64,
  FAILED: 128,
} as const;

/** virtio 1.2 §6 "Reserved Feature Bits", and the one here that only legacy devices have. */
export const FEATURE = {
  /** Legacy: interrupt when the available ring runs empty. */
  NOTIFY_ON_EMPTY: 1n << 24n,
  INDIRECT_DESC: 1n << 28n,
  EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
} as const;

/** What every device here offers beside its own features. */
export const RING_FEATURES: bigint = FEATURE.INDIRECT_DESC | FEATURE.EVENT_IDX;

/** Bits of the interrupt status. virtio 1.2 §4.1.4.5 "ISR status capability", §4.2.2 "InterruptStatus". */
export const ISR = { QUEUE: 1, CONFIG: 2 } as const;

/** Largest queue that QEMU's mmio transport allows. */
export const MAX_QUEUE_SIZE = 1024;
