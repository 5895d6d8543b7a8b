/**
 * The emulator, as everybody else uses it: `createMachine` makes a machine, and the machine does the rest.
 *
 * The second part is for those who look inside a machine on purpose: the analyzer's live sources, kexec's probes, tables of what is
 * supported.
 */
export { createMachine, type BoardMachine } from './machine/create-machine.ts';
export type {
  BoardChoice,
  DeviceRegion,
  InputPort,
  LinuxKernel,
  Machine,
  MachineConfig,
  MachineSnapshot,
  PciFunctionInfo,
  PhysicalMemory,
  SerialPort,
} from './machine/machine-interface.ts';
export type { StopReason } from './machine/machine.ts';
export type { ExtraDevice, IsaDevice, VirtioBus, VirtioDrive } from './machine/board-devices.ts';
export type { BootState, EntryRegisters, LoadSegment } from './machine/boot-state.ts';

export type { BlockBackend } from './devices/block/backend.ts';
export { FileBackend } from './devices/block/file-backend.ts';
export type { NetworkBackend } from './devices/net/backend.ts';
export { formatIpv4, formatMac, parseIpv4, parseMac, parseSubnet } from './devices/net/user/addresses.ts';
export {
  type Forwarding,
  UserNetwork,
  userNetworkDefaults,
  type UserNetworkOptions,
} from './devices/net/user/user-network.ts';
export { OverlayBackend } from './devices/block/overlay-backend.ts';
export type { FwCfgFile, VmcoreinfoLocation } from './devices/fw-cfg.ts';
export type { PvpanicEvent } from './devices/pvpanic.ts';

export type { DebugView, PageMapping } from './debug/debug-view.ts';
export { GdbServer } from './debug/gdb-server.ts';
export { GDB_SIGNAL, type GdbTarget } from './debug/gdb-stub.ts';
export { describeInterruptControllers, describeLocalApic } from './debug/interrupt-controllers.ts';
export {
  type Disassemble,
  formatTraceRecord,
  TRACE_CHANNELS,
  type Trace,
  type TraceChannel,
  type TraceRecord,
} from './debug/trace.ts';

// Inside a machine

export { type A64Cpu, CPU_MODEL_NAMES, cpuModel, HOST_CALL_WORD } from './cpu/a64/index.ts';
export { HOST_CALL_BYTES, type X64Cpu, X64_MODEL_NAMES, x64Model } from './cpu/x64/index.ts';
export { GPR, SEGMENT } from './cpu/x64/state.ts';
export type { PcParts } from './machine/pc-x86_64/board-config.ts';
export { PcBoard } from './machine/pc-x86_64/board.ts';
export { VirtBoard } from './machine/virt-aarch64/board.ts';
export { chooseLoadAddresses } from './machine/virt-aarch64/layout.ts';
export type { Machine as MachineCore } from './machine/machine.ts';
export type { HostEvents } from './memory/device.ts';
export type { GuestMemory } from './memory/guest-memory.ts';
export { PhysicalDma } from './memory/physical-dma.ts';

// Tables of what is supported

export { A64_FEATURE_NAMES } from './cpu/a64/features.ts';
export { A64_INSTRUCTIONS } from './cpu/a64/instruction-set.ts';
export { X64_INSTRUCTIONS } from './cpu/x64/instruction-set.ts';
