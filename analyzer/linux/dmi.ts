/** What the firmware says about the machine; `drivers/firmware/dmi_scan.c`, `include/linux/mod_devicetable.h`. */
import type { Program } from '../program.ts';

/** One string of SMBIOS. */
export interface DmiField {
  /** The enumerator's name: `DMI_SYS_VENDOR`. */
  readonly name: string;
  readonly value: string;
}

/** `dmi_ident[]`: the strings that the kernel kept, by `enum dmi_field`; undefined when the kernel has none. */
export function dmiFields(program: Program): DmiField[] | undefined {
  const table = program.symbols.find('dmi_ident');
  const type = program.types.findEnum('dmi_field');
  if (table === undefined || type === undefined) return undefined;
  return type.enumerators
    .filter(({ name }) => name !== 'DMI_NONE' && name !== 'DMI_STRING_MAX' && name !== 'DMI_OEM_STRING')
    .flatMap(({ name, value }) => {
      const text = program.memory.readU64(table + 8n * value);
      return text === 0n ? [] : [{ name, value: program.memory.readString(text, 256) }];
    });
}
