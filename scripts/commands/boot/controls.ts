/** Sockets from which a machine is controlled: `-qmp`, `-monitor unix:…`, `-chardev socket` with `-mon`. */
import { UsageError } from '../../../capture/formats/errors.ts';
import { requireKnown, splitProperties } from './properties.ts';

/** Where a socket is. */
export type SocketAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** A socket, and what is spoken on it. */
export interface ControlOption {
  /** QEMU's names: `readline` is the monitor for people, `control` is QMP. */
  readonly mode: 'readline' | 'control';
  readonly address: SocketAddress;
  /** The machine does not start before somebody has connected. */
  readonly wait: boolean;
}

const PROPERTIES = new Set(['server', 'wait', 'nowait', 'nodelay', 'reconnect', 'pretty', 'telnet', 'ipv4', 'ipv6']);

/** Tells whether a value of `-monitor` or `-qmp` names a socket. */
export function isSocket(value: string): boolean {
  return /^(unix|tcp|telnet):/.test(value);
}

/**
 * Reads `unix:PATH,server=on,wait=off` or `tcp:HOST:PORT,server,nowait`.
 * @throws UsageError
 */
export function parseControlSocket(value: string, mode: ControlOption['mode'], option: string): ControlOption {
  const { type, properties } = splitProperties(value, 'address');
  requireKnown(option, properties, PROPERTIES);
  return { mode, address: parseAddress(type, option), wait: parseServer(properties, value, option) };
}

function parseAddress(text: string, option: string): SocketAddress {
  if (text.startsWith('unix:') && text.length > 5) return { kind: 'unix', path: text.slice(5) };
  const match = /^tcp:([^:]*):(\d+)$/.exec(text);
  if (match === null || Number(match[2]) > 65_535)
    throw new UsageError(`${option} ${text}: unix:PATH and tcp:HOST:PORT are possible`);
  return { kind: 'tcp', host: match[1] === '' ? '127.0.0.1' : match[1]!, port: Number(match[2]) };
}

/** @returns whether to wait for somebody */
function parseServer(properties: Readonly<Record<string, string>>, value: string, option: string): boolean {
  if (!isOn(properties['server'], false))
    throw new UsageError(`${option} ${value}: only a server is possible: add server=on,wait=off`);
  if (isOn(properties['telnet'], false)) throw new UsageError(`${option} ${value}: telnet is not supported`);
  return !isOn(properties['nowait'], false) && isOn(properties['wait'], true);
}

function isOn(value: string | undefined, otherwise: boolean): boolean {
  return value === undefined ? otherwise : value === 'on' || value === 'yes' || value === 'true';
}

/** `-chardev socket,id=ID,…`; undefined for other kinds. @throws UsageError */
export function parseSocketDevice(value: string): { readonly id: string; readonly value: string } | undefined {
  const { type, properties } = splitProperties(value, 'backend');
  if (type !== 'socket') return undefined;
  requireKnown('-chardev socket', properties, new Set([...PROPERTIES, 'id', 'path', 'host', 'port', 'mux']));
  const { id, path, host = '', port, ...others } = properties;
  if (id === undefined) throw new UsageError(`-chardev ${value}: id= is missing`);
  if (path === undefined && port === undefined) throw new UsageError(`-chardev ${value}: path= or port= is missing`);
  const address = path === undefined ? `tcp:${host}:${port}` : `unix:${path.replaceAll(',', ',,')}`;
  const rest = Object.entries(others).filter(([name]) => name !== 'mux');
  return { id, value: [address, ...rest.map(([name, setting]) => `${name}=${setting}`)].join(',') };
}

/** `-mon chardev=ID,mode=control` for a socket; undefined when the character device is none. @throws UsageError */
export function parseMonSocket(mon: string, sockets: ReadonlyMap<string, string>): ControlOption | undefined {
  const { type: id, properties } = splitProperties(mon, 'chardev');
  const socket = sockets.get(properties['chardev'] ?? id);
  if (socket === undefined) return undefined;
  const mode = properties['mode'] ?? 'readline';
  if (mode !== 'readline' && mode !== 'control')
    throw new UsageError(`-mon mode=${mode}: readline and control are possible`);
  return parseControlSocket(socket, mode, '-mon');
}
