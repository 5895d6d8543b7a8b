/** The part of @alexaltea/capstone-js that `disassembler.ts` uses. */
declare module '@alexaltea/capstone-js' {
  interface Instruction {
    readonly address: number | bigint;
    readonly size: number;
    readonly mnemonic: string;
    readonly op_str: string;
  }

  interface Capstone {
    option(option: number, value: number): void;
    disasm(
      code: Uint8Array | readonly number[],
      address: number | bigint,
      options?: { readonly count?: number; readonly detail?: boolean },
    ): Instruction[];
    close(): void;
  }

  interface Module {
    readonly ARCH_ARM64: number;
    readonly ARCH_X86: number;
    readonly MODE_64: number;
    readonly MODE_LITTLE_ENDIAN: number;
    readonly MODE_ARM: number;
    readonly OPT_SYNTAX: number;
    readonly OPT_SYNTAX_ATT: number;
    readonly Capstone: new (arch: number, mode: number) => Capstone;
  }

  /** The package's script defines a factory. */
  const factory: (options?: object) => Promise<Module>;
  export default factory;
}
