/** What a string instruction is, packed into the argument of its helper. */

export type StringOperation = 'MOVS' | 'CMPS' | 'STOS' | 'LODS' | 'SCAS' | 'INS' | 'OUTS';

const OPERATIONS: readonly StringOperation[] = ['MOVS', 'CMPS', 'STOS', 'LODS', 'SCAS', 'INS', 'OUTS'];

export interface StringForm {
  readonly operation: StringOperation;
  /** Bytes of an element. */
  readonly size: 1 | 2 | 4 | 8;
  readonly addressSize: 2 | 4 | 8;
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** Segment of the source. */
  readonly segment: number;
  /** One element at a time, because a debug exception follows each. */
  readonly single: boolean;
}

export function packStringForm(form: StringForm): number {
  return (
    OPERATIONS.indexOf(form.operation) |
    (Math.log2(form.size) << 3) |
    (Math.log2(form.addressSize) << 5) |
    ((form.repeat === 0 ? 0 : form.repeat - 0xf1) << 7) |
    (form.segment << 9) |
    (Number(form.single) << 12)
  );
}

const unpacked = new Map<number, StringForm>();

export function unpackStringForm(packed: number): StringForm {
  let form = unpacked.get(packed);
  if (!form) {
    form = {
      operation: OPERATIONS[packed & 7]!,
      size: (1 << ((packed >> 3) & 3)) as StringForm['size'],
      addressSize: (1 << ((packed >> 5) & 3)) as StringForm['addressSize'],
      repeat: ([0, 0xf2, 0xf3] as const)[(packed >> 7) & 3]!,
      segment: (packed >> 9) & 7,
      single: ((packed >> 12) & 1) === 1,
    };
    unpacked.set(packed, form);
  }
  return form;
}
