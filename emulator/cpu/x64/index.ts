/** The x86_64 instruction set as the engine takes it. */
import type { EngineCpu, Guest } from '../execute/guest.ts';
import { X64Cpu } from './cpu.ts';
import { MAX_LENGTH } from './decode.ts';
import { modeOfKey } from './mode.ts';
import type { X64Model } from './models.ts';
import { X64_LAYOUT } from './state.ts';
import { systemHelpers } from './system/helper-implementations.ts';
import type { X64Surroundings } from './system/interfaces.ts';
import { translateBlock } from './translate-block.ts';

export { HOST_CALL_BYTES } from './system/host-call.ts';
export type { X64CpuState, X64Entry } from './cpu.ts';
export { X64Cpu };
export { type X64Model, X64_MODEL_NAMES, x64Model } from './models.ts';
export type * from './system/interfaces.ts';

/** The instruction set with a CPU model. */
export interface X64Guest extends Guest {
  /** Makes the architecture's side of a CPU; it is off until `start` or a start-up IPI. */
  createCpu(engine: EngineCpu, surroundings: X64Surroundings): X64Cpu;
}

/**
 * Makes the guest of a machine whose CPUs are all of one model.
 * @param current the CPU that the engine runs now
 */
export function createX64Guest(model: X64Model, cpuCount: number, current: () => X64Cpu): X64Guest {
  return {
    name: 'x86_64',
    variant: [cpuCount > 1 ? 'smp' : 'up', ...model.features].join(),
    layout: X64_LAYOUT,
    translateBlock: (code, start, key, nextPage, limit, debuggerSteps) =>
      translateBlock(code, start, modeOfKey(key), model.features, nextPage, cpuCount > 1, limit, debuggerSteps),
    lookahead: MAX_LENGTH,
    storesChangeRunningCode: true,
    helpers: systemHelpers(current),
    createCpu: (engine, surroundings) => new X64Cpu(engine, model, cpuCount, surroundings),
  };
}
