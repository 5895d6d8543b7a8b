/**
 * Writes WebAssembly modules.
 *
 * Source: WebAssembly Core Specification 3.0 "Binary Format: Modules".
 * Modelled: types, function, memory and table imports, functions, exports, code.
 */
import { type ByteWriter, releaseWriter, takeWriter } from './byte-writer.ts';
import type { CodeWriter } from './code-writer.ts';
import { VALUE_TYPE, type WasmType } from './opcodes.ts';

const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const KIND = { function: 0, table: 1, memory: 2 } as const;
const FUNCTION_TYPE = 0x60;
const FUNCTION_REFERENCE = 0x70;
const HEADER = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

/** A module under construction. Import functions before defining any: both share one index space. */
export class ModuleWriter {
  readonly #types: string[] = [];
  readonly #typeBytes = takeWriter();
  readonly #imports = takeWriter();
  #importCount = 0;
  #importedFunctions = 0;
  readonly #functionTypes: number[] = [];
  readonly #exports = takeWriter();
  #exportCount = 0;
  readonly #code = takeWriter();

  /** Index of a function type. */
  type(params: readonly WasmType[], results: readonly WasmType[]): number {
    const key = `${params.join()}:${results.join()}`;
    const known = this.#types.indexOf(key);
    if (known >= 0) return known;
    this.#typeBytes.byte(FUNCTION_TYPE);
    for (const list of [params, results]) {
      this.#typeBytes.unsigned(list.length);
      for (const type of list) this.#typeBytes.byte(VALUE_TYPE[type]);
    }
    this.#types.push(key);
    return this.#types.length - 1;
  }

  /** @returns the function's index */
  importFunction(module: string, name: string, type: number): number {
    this.#import(module, name, KIND.function);
    this.#imports.unsigned(type);
    return this.#importedFunctions++;
  }

  /** @param maximum pages of 64 KiB */
  importMemory(module: string, name: string, minimum: number, maximum: number): void {
    this.#import(module, name, KIND.memory);
    this.#imports.byte(1);
    this.#imports.unsigned(minimum);
    this.#imports.unsigned(maximum);
  }

  importFunctionTable(module: string, name: string, minimum: number): void {
    this.#import(module, name, KIND.table);
    this.#imports.byte(FUNCTION_REFERENCE);
    this.#imports.byte(0);
    this.#imports.unsigned(minimum);
  }

  /** Adds a function, exported when it has a name. @returns its index */
  defineFunction(type: number, body: CodeWriter, exportName?: string): number {
    const index = this.#importedFunctions + this.#functionTypes.length;
    this.#functionTypes.push(type);
    body.finish(this.#code);
    if (exportName !== undefined) {
      this.#exports.name(exportName);
      this.#exports.byte(KIND.function);
      this.#exports.unsigned(index);
      this.#exportCount++;
    }
    return index;
  }

  /** The module's bytes; the writer is used up. */
  finish(): Uint8Array<ArrayBuffer> {
    const out = takeWriter();
    out.append(HEADER);
    section(out, SECTION.type, this.#types.length, this.#typeBytes.bytes);
    section(out, SECTION.import, this.#importCount, this.#imports.bytes);
    const functions = takeWriter();
    for (const type of this.#functionTypes) functions.unsigned(type);
    section(out, SECTION.function, this.#functionTypes.length, functions.bytes);
    section(out, SECTION.export, this.#exportCount, this.#exports.bytes);
    section(out, SECTION.code, this.#functionTypes.length, this.#code.bytes);
    const module = new Uint8Array(out.bytes);
    [functions, out, this.#typeBytes, this.#imports, this.#exports, this.#code].forEach(releaseWriter);
    return module;
  }

  #import(module: string, name: string, kind: number): void {
    this.#imports.name(module);
    this.#imports.name(name);
    this.#imports.byte(kind);
    this.#importCount++;
  }
}

function section(out: ByteWriter, id: number, count: number, content: Uint8Array): void {
  const head = takeWriter();
  head.unsigned(count);
  out.byte(id);
  out.unsigned(head.length + content.length);
  out.append(head.bytes);
  out.append(content);
  releaseWriter(head);
}
