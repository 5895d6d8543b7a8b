/**
 * Unicorn (https://www.unicorn-engine.org), the CPU emulator that judges our instruction semantics, called through koffi.
 *
 * It is Debian's package `libunicorn2`. Where it is missing, `loadUnicorn` says so, and tests skip with that reason.
 */
import koffi from 'koffi';

const LIBRARY = 'libunicorn.so.2';

/** Values of `uc_arch` and `uc_mode`. */
export const UC_ARCH = { ARM64: 2, X86: 4 } as const;
export const UC_MODE = { ARM: 0, MODE_64: 8 } as const;

/** Values of `uc_err` that a test sees. */
export const UC_ERR = {
  OK: 0,
  READ_UNMAPPED: 6,
  WRITE_UNMAPPED: 7,
  FETCH_UNMAPPED: 8,
  INSN_INVALID: 10,
  WRITE_PROT: 12,
  READ_PROT: 13,
  FETCH_PROT: 14,
  READ_UNALIGNED: 18,
  WRITE_UNALIGNED: 19,
  FETCH_UNALIGNED: 20,
  EXCEPTION: 21,
} as const;

const UC_PROT_ALL = 7;
const UC_CTL_CPU_MODEL = 7;
const UC_CTL_TB_REMOVE_CACHE = 9;
/** `uc_ctl` control word: type, number of arguments, direction (1 writes). */
const ctlWrite = (type: number, args: number): number => type | (args << 26) | (1 << 30);

type Handle = object;

interface Api {
  open(arch: number, mode: number, out: (Handle | null)[]): number;
  close(uc: Handle): number;
  mapMemory(uc: Handle, address: number, size: number, permissions: number): number;
  writeMemory(uc: Handle, address: number, bytes: Uint8Array, size: number): number;
  readMemory(uc: Handle, address: number, bytes: Uint8Array, size: number): number;
  writeRegisters(uc: Handle, ids: Int32Array, pointers: BigUint64Array, count: number): number;
  readRegisters(uc: Handle, ids: Int32Array, pointers: BigUint64Array, count: number): number;
  writeRegister(uc: Handle, id: number, value: Uint8Array): number;
  start(uc: Handle, begin: bigint, until: bigint, timeout: number, count: number): number;
  control(uc: Handle, control: number, ...typesAndValues: (string | number)[]): number;
}

/** Loads the library. @returns the reason, when it is not there */
export function loadUnicorn(): Api | string {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(LIBRARY);
  } catch (error) {
    return `${LIBRARY} does not load (apt-get install libunicorn2): ${String(error)}`;
  }
  return {
    open: library.func('int uc_open(int arch, int mode, _Out_ void **uc)'),
    close: library.func('int uc_close(void *uc)'),
    mapMemory: library.func('int uc_mem_map(void *uc, uint64_t address, size_t size, uint32_t perms)'),
    writeMemory: library.func('int uc_mem_write(void *uc, uint64_t address, const uint8_t *bytes, size_t size)'),
    readMemory: library.func('int uc_mem_read(void *uc, uint64_t address, _Out_ uint8_t *bytes, size_t size)'),
    writeRegisters: library.func(
      'int uc_reg_write_batch(void *uc, const int *ids, const uint64_t *pointers, int count)',
    ),
    readRegisters: library.func('int uc_reg_read_batch(void *uc, const int *ids, const uint64_t *pointers, int count)'),
    writeRegister: library.func('int uc_reg_write(void *uc, int id, const uint8_t *value)'),
    start: library.func('int uc_emu_start(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count)'),
    control: library.func('int uc_ctl(void *uc, int control, ...)'),
  };
}

/** Which registers a test reads and writes: Unicorn's numbers, each with a size in 64-bit words. */
export interface RegisterList {
  readonly ids: readonly number[];
  readonly words: readonly number[];
}

/** One Unicorn CPU. Registers are exchanged as a whole, through `registers`. */
export class Unicorn {
  /** Values of the register list, register after register. */
  readonly registers: BigUint64Array;
  readonly #api: Api;
  readonly #uc: Handle;
  readonly #ids: Int32Array;
  readonly #pointers: BigUint64Array;
  readonly #block: Handle;

  constructor(api: Api, arch: number, mode: number, list: RegisterList, cpuModel?: number) {
    this.#api = api;
    const out: (Handle | null)[] = [null];
    check('uc_open', api.open(arch, mode, out));
    this.#uc = out[0]!;
    if (cpuModel !== undefined) {
      check('uc_ctl', api.control(this.#uc, ctlWrite(UC_CTL_CPU_MODEL, 1), 'int', cpuModel));
    }
    const total = list.words.reduce((sum, words) => sum + words, 0);
    this.#block = koffi.alloc('uint64_t', total) as Handle;
    this.registers = new BigUint64Array(koffi.view(this.#block, total * 8));
    this.#ids = Int32Array.from(list.ids);
    const address = koffi.address(this.#block);
    let at = 0;
    this.#pointers = BigUint64Array.from(list.words, words => {
      const pointer = address + BigInt(8 * at);
      at += words;
      return pointer;
    });
  }

  map(address: number, size: number): void {
    check('uc_mem_map', this.#api.mapMemory(this.#uc, address, size, UC_PROT_ALL));
  }
  write(address: number, bytes: Uint8Array): void {
    check('uc_mem_write', this.#api.writeMemory(this.#uc, address, bytes, bytes.length));
  }
  read(address: number, bytes: Uint8Array): void {
    check('uc_mem_read', this.#api.readMemory(this.#uc, address, bytes, bytes.length));
  }

  /** Writes one register, of any size and structure. */
  writeRegister(id: number, value: Uint8Array): void {
    check('uc_reg_write', this.#api.writeRegister(this.#uc, id, value));
  }

  /** Forgets translated code in a range of addresses: `write` does not. */
  forgetCode(start: number, end: number): void {
    check(
      'uc_ctl',
      this.#api.control(this.#uc, ctlWrite(UC_CTL_TB_REMOVE_CACHE, 2), 'uint64_t', start, 'uint64_t', end),
    );
  }

  /** Runs `count` instructions from `begin` with the values in `registers`, and leaves the results there. @returns an `UC_ERR` */
  run(begin: bigint, count: number): number {
    return this.runUntil(begin, 0n, count);
  }

  /** As `run`, but stops in front of the instruction at `until` too. */
  runUntil(begin: bigint, until: bigint, count: number): number {
    const { ids, pointers } = { ids: this.#ids, pointers: this.#pointers };
    check('uc_reg_write_batch', this.#api.writeRegisters(this.#uc, ids, pointers, ids.length));
    const error = this.#api.start(this.#uc, begin, until, 0, count);
    check('uc_reg_read_batch', this.#api.readRegisters(this.#uc, ids, pointers, ids.length));
    return error;
  }

  [Symbol.dispose](): void {
    this.#api.close(this.#uc);
    koffi.free(this.#block);
  }
}

function check(call: string, error: number): void {
  if (error !== UC_ERR.OK) throw new Error(`${call}: error ${error}`);
}
