/** The A64 instruction set as the engine takes it. */
import type { EngineCpu, Guest } from '../execute/guest.ts';
import { A64Cpu } from './cpu.ts';
import { INTEGER_HELPERS } from './integer-helpers.ts';
import { modeOfKey } from './mode.ts';
import type { A64Configuration, CpuModel } from './models.ts';
import { pointerAuthenticationHelpers } from './pauth-helpers.ts';
import { createSimdHelpers } from './simd-helpers.ts';
import { A64_LAYOUT } from './state.ts';
import { sharesUpperHalf } from './system/context-key.ts';
import { systemHelpers } from './system/helper-implementations.ts';
import type { CpuSurroundings } from './system/interfaces.ts';
import { translateBlock } from './translate-block.ts';

export type { A64CpuState } from './cpu.ts';
export { A64Cpu };
export { type A64Configuration, CPU_MODEL_NAMES, cpuModel, type CpuModel, type CpuModelName } from './models.ts';
export { HOST_CALL_WORD } from './system/host-call.ts';
export type * from './system/interfaces.ts';

/** What a board decides about one CPU, and what surrounds it. */
export type A64CpuOptions = Omit<A64Configuration, 'model' | 'hasGicv3'> & CpuSurroundings<A64Cpu>;

/** The instruction set with a CPU model. */
export interface A64Guest extends Guest {
  /** Makes the architecture's side of a CPU; it is off until `start`. */
  createCpu(engine: EngineCpu, options: A64CpuOptions): A64Cpu;
}

/**
 * Makes the guest of a machine whose CPUs are all of one model.
 * @param current the CPU that the engine runs now
 */
export function createA64Guest(model: CpuModel, current: () => A64Cpu): A64Guest {
  return {
    name: 'aarch64',
    variant: [...model.features].join(),
    layout: A64_LAYOUT,
    instructionAlignment: 4,
    lookahead: 0,
    translateBlock: (code, start, key, _, limit) => translateBlock(code, start, modeOfKey(key), model.features, limit),
    sharesUpperHalf,
    helpers: {
      ...systemHelpers(current),
      ...createSimdHelpers(() => current().engine),
      ...INTEGER_HELPERS,
      ...pointerAuthenticationHelpers(current),
    },
    createCpu: (engine, options) => {
      const { affinity, hasEl2, psciConduit, gic } = options;
      return new A64Cpu(engine, { model, affinity, hasEl2, psciConduit, hasGicv3: gic !== undefined }, options);
    },
  };
}
