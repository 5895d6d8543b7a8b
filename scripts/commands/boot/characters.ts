/** Where serial ports, consoles and the monitor are connected: `-serial`, `-monitor`, `-chardev`, `-mon`. */
import { UsageError } from '../../../capture/formats/errors.ts';
import { isOn, requireKnown, splitProperties } from './properties.ts';

/** Where a serial port or console is connected. */
export type CharacterBackend =
  | {
      readonly kind: 'terminal';
      /** Ctrl-a begins a command of the console; without, Ctrl-c ends the machine and all other keys are the guest's. */
      readonly mux: boolean;
      /** Ctrl-a c leads to the monitor. */
      readonly withMonitor: boolean;
    }
  | { readonly kind: 'file'; readonly path: string; readonly append: boolean }
  | { readonly kind: 'none' };

/** What the keyboard is for at first. */
export type MonitorPlace = 'none' | 'beside-serial' | 'terminal';

const FORMS = 'stdio, mon:stdio, file:PATH, chardev:ID, null and none';

/** Reads the value of `-serial` or `-monitor`. @throws UsageError */
export function parseCharacterBackend(
  value: string,
  option: string,
  byId: Readonly<Record<string, CharacterBackend>>,
): CharacterBackend {
  if (value === 'stdio') return { kind: 'terminal', mux: false, withMonitor: false };
  if (value === 'mon:stdio') return { kind: 'terminal', mux: true, withMonitor: true };
  if (value === 'none' || value === 'null') return { kind: 'none' };
  if (value.startsWith('file:')) return { kind: 'file', path: value.slice('file:'.length), append: false };
  if (value.startsWith('chardev:')) {
    const id = value.slice('chardev:'.length);
    const backend = byId[id];
    if (backend === undefined) throw new UsageError(`${option} ${value}: there is no -chardev with id=${id}`);
    return backend;
  }
  throw new UsageError(`${option} ${value}: not possible; there are ${FORMS}`);
}

const CHARDEV_PROPERTIES = new Set(['id', 'path', 'mux', 'signal', 'append', 'logfile']);
const CHARDEV_TYPES = 'stdio, file, null';

/** Reads `-chardev`. @throws UsageError */
export function parseCharacterDevice(value: string): { readonly id: string; readonly backend: CharacterBackend } {
  const { type, properties } = splitProperties(value, 'backend');
  const { id, path } = properties;
  if (!['stdio', 'file', 'null'].includes(type))
    throw new UsageError(`-chardev ${type}: not possible; there are ${CHARDEV_TYPES}`);
  requireKnown(`-chardev ${type}`, properties, CHARDEV_PROPERTIES);
  if (properties['logfile'] !== undefined) throw new UsageError('-chardev logfile=: use a chardev of type file');
  if (id === undefined) throw new UsageError(`-chardev ${value}: id= is missing`);
  if (type === 'null') return { id, backend: { kind: 'none' } };
  if (type === 'stdio') {
    const mux = isOn(properties['mux'], '-chardev mux') || !isOn(properties['signal'] ?? 'on', '-chardev signal');
    return { id, backend: { kind: 'terminal', mux, withMonitor: false } };
  }
  if (path === undefined) throw new UsageError(`-chardev ${value}: path= is missing`);
  return { id, backend: { kind: 'file', path, append: isOn(properties['append'], '-chardev append') } };
}

/** What the command line says about terminal, serial port and monitor. */
export interface ConsoleOptions {
  /** Values of `-serial`. */
  readonly serial: readonly string[];
  readonly monitor: string | undefined;
  /** Value of `-mon`. */
  readonly mon: string | undefined;
  readonly characterDevices: Readonly<Record<string, CharacterBackend>>;
}

/**
 * Decides who has the terminal. There are no graphics, so the first serial port has it unless something else is said, and the monitor is
 * beside it.
 * @throws UsageError
 */
export function placeConsoles({ serial: ports, monitor, mon, characterDevices }: ConsoleOptions): {
  readonly serial: CharacterBackend;
  readonly monitor: MonitorPlace;
} {
  const second = ports.slice(1).find(port => port !== 'none' && port !== 'null');
  if (second !== undefined) throw new UsageError(`-serial ${second}: there is one serial port`);
  const serial = ports[0] === undefined ? undefined : parseCharacterBackend(ports[0], '-serial', characterDevices);
  const wanted = monitorBackend(monitor, mon, characterDevices);
  return wanted === undefined ? monitorWith(serial ?? BOTH) : placeMonitor(wanted, serial);
}

type Places = ReturnType<typeof placeConsoles>;

/** The monitor goes where it is wanted. */
function placeMonitor(wanted: CharacterBackend, serial: CharacterBackend | undefined): Places {
  if (wanted.kind === 'file') throw new UsageError('-monitor: stdio and none are possible');
  if (wanted.kind === 'none') return { serial: withoutMonitor(serial ?? BOTH), monitor: 'none' };
  if (serial?.kind !== 'terminal') return { serial: serial ?? BOTH, monitor: 'terminal' };
  if (!serial.mux && !wanted.mux)
    throw new UsageError('-monitor stdio: the serial port has the terminal; -serial mon:stdio gives it to both');
  return monitorWith(BOTH);
}

/** Serial port and monitor share the terminal. */
const BOTH: CharacterBackend = { kind: 'terminal', mux: true, withMonitor: true };

function monitorWith(serial: CharacterBackend): Places {
  return { serial, monitor: serial.kind === 'terminal' && serial.withMonitor ? 'beside-serial' : 'none' };
}

function withoutMonitor(serial: CharacterBackend): CharacterBackend {
  return serial.kind === 'terminal' ? { ...serial, withMonitor: false } : serial;
}

function monitorBackend(
  monitor: string | undefined,
  mon: string | undefined,
  byId: Readonly<Record<string, CharacterBackend>>,
): CharacterBackend | undefined {
  if (monitor !== undefined) return parseCharacterBackend(monitor, '-monitor', byId);
  if (mon === undefined) return undefined;
  const { type, properties } = splitProperties(mon, 'chardev');
  requireKnown('-mon', properties, new Set(['mode', 'pretty']));
  const { mode = 'readline' } = properties;
  if (mode !== 'readline') throw new UsageError(`-mon mode=${mode}: only readline is possible`);
  return parseCharacterBackend(`chardev:${type}`, '-mon', byId);
}
