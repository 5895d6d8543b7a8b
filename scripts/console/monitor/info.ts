/** `info TOPIC`. Source: QEMU documentation, title "QEMU Monitor"; layouts are those of QEMU's monitor where it has the topic. */
import packageJson from '../../../package.json' with { type: 'json' };
import { describeInterruptControllers, describeLocalApic, formatMac } from '../../../emulator/index.ts';
import { describeProgress } from '../guest-dump.ts';
import { addressSpaces, deviceTree, pciBus } from './info-devices.ts';
import { mappingRanges, mappings } from './info-pages.ts';
import { checkKexec } from './kexec.ts';
import { hex, type MonitorAnswer, type MonitorState, type MonitorTarget } from './target.ts';

interface Topic {
  readonly help: string;
  show(target: MonitorTarget, state: MonitorState, args: readonly string[]): MonitorAnswer;
}

/** Topics in the order of `info` without one. */
export const TOPICS: Readonly<Record<string, Topic>> = {
  block: { help: 'disks', show: showDisks },
  chardev: { help: 'where serial port, consoles and monitor are connected', show: showCharacterDevices },
  cpus: { help: 'CPUs, the chosen one marked', show: showCpus },
  dump: { help: 'the latest dump-guest-memory', show: ({ dumper }) => describeProgress(dumper.progress) },
  irq: { help: 'interrupts that are enabled, pending or active', show: showInterrupts },
  kexec: { help: 'the capture kernel that the guest has loaded, and whether it will work', show: checkKexec },
  lapic: { help: 'the local APIC of the chosen CPU, or of the one given', show: showLocalApic },
  mem: { help: 'ranges of virtual memory with their rights', show: showRanges },
  mtree: { help: 'address spaces', show: ({ machine }) => addressSpaces(machine) },
  name: { help: "the machine's name", show: ({ machine }) => [machine.config.board.type] },
  network: { help: 'network cards, and what they are plugged into', show: showNetwork },
  pci: { help: 'functions on the PCI bus', show: ({ machine }) => pciBus(machine) },
  pic: { help: 'interrupt controllers', show: showInterrupts },
  qtree: { help: 'devices', show: ({ machine }) => deviceTree(machine) },
  registers: { help: "the chosen CPU's registers; -a: of all CPUs", show: showRegisters },
  roms: { help: 'what was loaded before the first instruction', show: showLoaded },
  snapshots: { help: 'the snapshot', show: showSnapshots },
  status: { help: 'whether the machine runs, and how far it is', show: showStatus },
  tlb: { help: 'pages of virtual memory', show: showMappings },
  version: { help: 'version of this program', show: () => [packageJson.version] },
};

/** Runs `info`. */
export function info(
  target: MonitorTarget,
  state: MonitorState,
  [topic = '', ...args]: readonly string[],
): MonitorAnswer {
  if (topic === '') return Object.entries(TOPICS).map(([name, { help }]) => `info ${name.padEnd(11)} -- ${help}`);
  if (!Object.hasOwn(TOPICS, topic)) return [`unknown command: 'info ${topic}'`];
  return TOPICS[topic]!.show(target, state, args);
}

function showStatus({ state, machine, guestSeconds }: MonitorTarget): string[] {
  const isPlain = state === 'running' || state === 'paused';
  return [
    `VM status: ${isPlain ? state : `paused (${state})`}`,
    `guest time ${guestSeconds.toFixed(6)} s, ${machine.instructions} instructions`,
  ];
}

function showRegisters({ machine }: MonitorTarget, { cpu }: MonitorState, args: readonly string[]): string[] {
  const cpus = args.includes('-a') ? Array.from({ length: machine.cpuCount }, (_, index) => index) : [cpu];
  return cpus.flatMap(index => [`CPU#${index}`, ...machine.debug.dumpRegisters(index)]);
}

function showCpus({ machine: { cpuCount, debug } }: MonitorTarget, { cpu }: MonitorState): string[] {
  return Array.from({ length: cpuCount }, (_, index) => {
    const what = debug.describe(index).replace(/^CPU#\d+ /, '');
    return `${index === cpu ? '*' : ' '} CPU #${index}: pc=0x${hex(debug.register(index, 'pc') ?? 0n, 16)} ${what}`;
  });
}

function showDisks({ disks }: MonitorTarget): string[] {
  if (disks.length === 0) return ['there are no disks'];
  return disks.flatMap(({ option: { id, file, readOnly, snapshot } }) => [
    `${id}: ${file} (raw${readOnly ? ', read-only' : ''})`,
    `    ${snapshot ? 'Snapshot: what is written stays in memory' : 'Cache mode: what is written is in the file at once'}`,
  ]);
}

function showCharacterDevices({ characterDevices }: MonitorTarget): string[] {
  return characterDevices.map(({ name, place }) => `${name}: filename=${place}`);
}

function showNetwork({ machine: { config } }: MonitorTarget): string[] {
  const cards = (config.devices ?? []).filter(device => device.type === 'net');
  return cards.flatMap(({ bus, mac, network }, index) => {
    const model = `virtio-net-${bus === 'pci' ? 'pci' : 'device'}`;
    return [
      `${model}.${index}: index=0,type=nic,model=${model},macaddr=${formatMac(mac)}`,
      ` \\ ${network.description}`,
    ];
  });
}

function showInterrupts({ machine }: MonitorTarget): string[] {
  return describeInterruptControllers(machine.regions);
}

function showLocalApic({ machine }: MonitorTarget, { cpu }: MonitorState, [id]: readonly string[]): string[] {
  const index = id === undefined ? cpu : Number(id);
  const lines = describeLocalApic(machine.regions, index);
  return lines.length > 0 ? lines : [id === undefined ? 'there are no local APICs' : `there is no local APIC ${id}`];
}

function showMappings({ machine: { debug } }: MonitorTarget, { cpu }: MonitorState): string[] {
  return mappings(debug, cpu);
}

function showRanges({ machine: { debug } }: MonitorTarget, { cpu }: MonitorState): string[] {
  return mappingRanges(debug, cpu);
}

function showLoaded({ machine }: MonitorTarget): string[] {
  return machine.loaded.map(
    ({ name, paddr, bytes }) => `addr=${hex(paddr, 16)} size=0x${hex(bytes.length, 6)} mem=ram name="${name}"`,
  );
}

function showSnapshots({ snapshot }: MonitorTarget): string[] {
  if (snapshot === undefined) return ['There is no snapshot available.'];
  const { name, taken, guestSeconds } = snapshot;
  const date = taken.toISOString().slice(0, 19).replace('T', ' ');
  return [
    `${'TAG'.padEnd(20)} ${'DATE'.padEnd(19)} VM CLOCK`,
    `${name.padEnd(20)} ${date} ${guestSeconds.toFixed(6)} s`,
  ];
}
