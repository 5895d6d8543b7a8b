/** An engine with A64 CPUs, RAM and nothing else, for tests of the system architecture. */
import { A64Cpu, createA64Guest, cpuModel, type CpuModelName } from '../../../../../emulator/cpu/a64/index.ts';
import type {
  GenericTimerRegisters,
  PsciHost,
  TimerRegisters,
} from '../../../../../emulator/cpu/a64/system/interfaces.ts';
import { Engine, engineReservedBytes } from '../../../../../emulator/cpu/execute/engine.ts';
import { Bus } from '../../../../../emulator/memory/bus.ts';
import { GuestMemory } from '../../../../../emulator/memory/guest-memory.ts';

export const RAM_BASE = 0x4000_0000;
const RAM_SIZE = 32 << 20;

export interface TestMachineOptions {
  readonly model?: CpuModelName;
  readonly cpuCount?: number;
  readonly hasEl2?: boolean;
  readonly psciConduit?: 'hvc' | 'smc' | 'none';
  readonly psci?: Partial<PsciHost>;
  readonly compileThreshold?: number;
}

export interface TestMachine {
  readonly engine: Engine;
  readonly memory: GuestMemory;
  readonly cpus: readonly A64Cpu[];
}

/** A timer whose registers keep what is written, and whose counters stand still. */
export class StoppedTimer implements GenericTimerRegisters {
  readonly cntp = channel();
  readonly cntv = channel();
  readonly cnthp = channel();
  readonly cnthv = channel();
  #cntkctl = 0n;
  readCNTFRQ = (): bigint => 62_500_000n;
  readCNTPCT = (): bigint => 1000n;
  readCNTVCT = (): bigint => 900n;
  readCNTVOFF = (): bigint => 100n;
  writeCNTVOFF(): void {}
  readCNTKCTL(): bigint {
    return this.#cntkctl;
  }
  nextEvent(): undefined {
    return undefined;
  }
  writeCNTKCTL(value: bigint): void {
    this.#cntkctl = value;
  }
}

function channel(): TimerRegisters {
  const state = { ctl: 0n, cval: 0n };
  return {
    readCTL: () => state.ctl,
    writeCTL: value => void (state.ctl = value),
    readCVAL: () => state.cval,
    writeCVAL: value => void (state.cval = value),
    readTVAL: () => 0n,
    writeTVAL: () => {},
  };
}

const NO_PSCI: PsciHost = {
  cpuOn: () => 'invalid-parameters',
  cpuIsOn: () => undefined,
  systemOff: () => {},
  systemReset: () => {},
};

/** CPUs out of reset; the first is on. */
export function createTestMachine(options: TestMachineOptions = {}): TestMachine {
  const {
    model = 'cortex-a57',
    cpuCount = 1,
    hasEl2 = false,
    psciConduit = 'hvc',
    compileThreshold = Infinity,
  } = options;
  const memory = new GuestMemory(engineReservedBytes(cpuCount), [{ start: RAM_BASE, size: RAM_SIZE }]);
  const cpus: A64Cpu[] = [];
  const guest = createA64Guest(cpuModel(model), () => cpus[engine.current.index]!);
  const engine: Engine = new Engine(
    guest,
    memory,
    new Bus('memory'),
    cpuCount,
    cpu => {
      const created = guest.createCpu(cpu, {
        affinity: cpu.index,
        hasEl2,
        psciConduit,
        gic: undefined,
        timer: new StoppedTimer(),
        psci: { ...NO_PSCI, ...options.psci },
        cluster: { forEachCpu: action => cpus.forEach(action) },
      });
      cpus.push(created);
      return created;
    },
    { compileThreshold },
  );
  cpus.forEach((cpu, index) => cpu.reset(index === 0));
  return { engine, memory, cpus };
}

/** Writes instruction words (or any 32-bit words) to RAM. */
export function writeWords({ memory }: TestMachine, paddr: number, words: readonly number[]): void {
  const address = memory.ramAddress(paddr);
  words.forEach((word, i) => memory.view.setUint32(address + 4 * i, word, true));
}
