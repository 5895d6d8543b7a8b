/** IPv4 and Ethernet addresses. An IPv4 address is an unsigned 32-bit number; an Ethernet address is six bytes. */
import { UsageError } from '../../../../capture/formats/errors.ts';

/** Reads `10.0.2.2`. @throws UsageError */
export function parseIpv4(text: string): number {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some(part => part > 255)) throw new UsageError(`${text}: not an IPv4 address`);
  return parts.reduce((address, part) => address * 256 + part, 0);
}

/** `10.0.2.2` */
export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map(shift => (address >>> shift) & 0xff).join('.');
}

/** The network mask of so many bits. */
export function maskOf(bits: number): number {
  return bits === 0 ? 0 : (0xffff_ffff << (32 - bits)) >>> 0;
}

/** An IPv4 network. */
export interface Subnet {
  readonly base: number;
  readonly mask: number;
}

/** Reads `10.0.2.0/24`, `10.0.2.0/255.255.255.0` or `10.0.2.0`, whose mask follows from its class. @throws UsageError */
export function parseSubnet(text: string): Subnet {
  const [address = '', length] = text.split('/');
  const base = parseIpv4(address);
  const mask =
    length === undefined ? classMask(base) : /^\d+$/.test(length) ? prefixMask(text, length) : parseIpv4(length);
  return { base: (base & mask) >>> 0, mask };
}

function prefixMask(text: string, length: string): number {
  const bits = Number(length);
  if (bits < 1 || bits > 30) throw new UsageError(`${text}: a network has 1 to 30 bits`);
  return maskOf(bits);
}

function classMask(base: number): number {
  if (base >>> 31 === 0) return maskOf(8);
  return base >>> 30 === 2 ? maskOf(16) : maskOf(24);
}

export function isInside(address: number, { base, mask }: Subnet): boolean {
  return (address & mask) >>> 0 === base;
}

/** Reads `52:54:00:12:34:56`. @throws UsageError */
export function parseMac(text: string): Uint8Array {
  if (!/^[\da-f]{1,2}([:-][\da-f]{1,2}){5}$/i.test(text)) throw new UsageError(`${text}: not an Ethernet address`);
  const bytes = Uint8Array.from(text.split(/[:-]/), part => Number.parseInt(part, 16));
  if ((bytes[0]! & 1) !== 0) throw new UsageError(`${text}: a group address cannot be a card's own`);
  return bytes;
}

/** `52:54:00:12:34:56` */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':');
}
