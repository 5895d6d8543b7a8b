/**
 * Commands in the ITS's queue: 32 bytes, four little-endian doublewords.
 *
 * Source: GICv3 IHI 0069 "ITS commands".
 */
import type { DmaMemory } from '../../memory/device.ts';

export const COMMAND_BYTES = 32;

/** Command numbers in bits 7:0 of the first doubleword. */
export const COMMAND = {
  MOVI: 0x01,
  INT: 0x03,
  CLEAR: 0x04,
  SYNC: 0x05,
  MAPD: 0x08,
  MAPC: 0x09,
  MAPTI: 0x0a,
  MAPI: 0x0b,
  INV: 0x0c,
  INVALL: 0x0d,
  MOVALL: 0x0e,
  DISCARD: 0x0f,
} as const;

/** All fields that any command has; each command uses its own. */
export interface ItsCommand {
  readonly opcode: number;
  readonly deviceId: number;
  readonly eventId: number;
  /** pINTID of MAPTI. */
  readonly physicalId: number;
  /** ICID. */
  readonly collection: number;
  /** V of MAPD and MAPC. */
  readonly valid: boolean;
  /** Size of MAPD: EventID bits minus one. */
  readonly size: number;
  /** ITT_addr of MAPD. */
  readonly ittAddress: number;
  /** RDbase of MAPC and MOVALL: a processor number, as GITS_TYPER.PTA is 0. */
  readonly target: number;
  /** RDbase2 of MOVALL. */
  readonly secondTarget: number;
}

/** Reads the command at `paddr`. */
export function decodeCommand(memory: DmaMemory, paddr: number): ItsCommand {
  const dw0 = memory.readU64(paddr);
  const dw1 = memory.readU64(paddr + 8);
  const dw2 = memory.readU64(paddr + 16);
  const dw3 = memory.readU64(paddr + 24);
  return {
    opcode: Number(dw0 & 0xffn),
    deviceId: Number(dw0 >> 32n),
    eventId: Number(dw1 & 0xffff_ffffn),
    physicalId: Number(dw1 >> 32n),
    collection: Number(dw2 & 0xffffn),
    valid: dw2 >> 63n === 1n,
    size: Number(dw1 & 0x1fn),
    ittAddress: Number(dw2 & 0xf_ffff_ffff_ff00n),
    target: Number((dw2 >> 16n) & 0xf_ffff_ffffn),
    secondTarget: Number((dw3 >> 16n) & 0xf_ffff_ffffn),
  };
}
