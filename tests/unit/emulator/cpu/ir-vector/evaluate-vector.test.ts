/** The vector evaluators against the host's own WebAssembly SIMD, op by op. */
import * as fc from 'fast-check';
import wabt from 'wabt';
import { describe, expect, test } from 'vitest';

import { type JsValue, VECTOR_EVALUATORS } from '../../../../../emulator/cpu/ir/evaluate-vector.ts';
import { VECTOR_OPS, type VectorOpName } from '../../../../../emulator/cpu/ir/ops.ts';
import type { ValueType } from '../../../../../emulator/cpu/ir/types.ts';

type ComputedName = Exclude<VectorOpName, 'v128.const'>;
const NAMES = Object.keys(VECTOR_OPS).filter((name): name is ComputedName => name !== 'v128.const');

const toolkit = await wabt();
const RESULT_OFFSET = 64;

/** WAT of the op on operands at 0, 16, 32, … with the result at 64. */
function watOf(name: ComputedName, immediate: string): string {
  const { params, result } = VECTOR_OPS[name];
  const operands = (params as readonly ValueType[]).map((type, i) => `(${type}.load (i32.const ${i * 16}))`);
  const call =
    name === 'v128.select'
      ? `(select ${operands[1]} ${operands[2]} ${operands[0]})`
      : `(${name} ${immediate} ${operands.join(' ')})`;
  return `(module (memory (export "memory") 1)
    (func (export "run") (${result}.store (i32.const ${RESULT_OFFSET}) ${call})))`;
}

interface WasmInstance {
  readonly exports: { readonly memory: { readonly buffer: ArrayBuffer }; readonly run: () => void };
}
interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => WasmInstance;
}

function instantiate(wat: string): WasmInstance['exports'] {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
  const binary = toolkit.parseWat('op.wat', wat, { simd: true }).toBinary({}).buffer;
  return new Instance(new Module(binary)).exports;
}

/** The host's WebAssembly as a function of the op's arguments. */
function hostOp(name: ComputedName, immediate: string): (args: readonly JsValue[]) => JsValue {
  const { memory, run } = instantiate(watOf(name, immediate));
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  return args => {
    args.forEach((arg, i) => {
      if (typeof arg === 'number') view.setInt32(i * 16, arg, true);
      else if (typeof arg === 'bigint') view.setBigUint64(i * 16, arg, true);
      else bytes.set(arg, i * 16);
    });
    run();
    if (VECTOR_OPS[name].result === 'i32') return view.getInt32(RESULT_OFFSET, true);
    if (VECTOR_OPS[name].result === 'i64') return view.getBigUint64(RESULT_OFFSET, true);
    return bytes.slice(RESULT_OFFSET, RESULT_OFFSET + 16);
  };
}

const lanes8 = fc.uint8Array({ minLength: 16, maxLength: 16 });
/** Lanes at the edges of saturation and sign, which random bytes seldom are. */
const edges = fc
  .array(fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xff), { minLength: 16, maxLength: 16 })
  .map(bytes => Uint8Array.from(bytes));
const ARBITRARIES = {
  i32: fc.oneof(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), fc.integer({ min: 0, max: 70 })),
  i64: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  v128: fc.oneof(lanes8, edges),
} satisfies Record<ValueType, fc.Arbitrary<JsValue>>;

function laneCount(name: string): number {
  return Number(/x(\d+)\./.exec(name)![1]);
}

const SHUFFLES = [
  Uint8Array.from({ length: 16 }, (_, i) => 31 - i),
  Uint8Array.from({ length: 16 }, (_, i) => (i * 7 + 3) % 32),
];

/** The immediates to try with an op: for the evaluator and as WAT text. */
function immediatesOf(name: ComputedName): readonly (readonly [unknown, string])[] {
  switch (VECTOR_OPS[name].immediate) {
    case 'lane':
      return Array.from({ length: laneCount(name) }, (_, lane) => [lane, String(lane)] as const);
    case 'shuffle':
      return SHUFFLES.map(lanes => [lanes, lanes.join(' ')] as const);
    default:
      return [[undefined, '']];
  }
}

describe('the vector evaluators', () => {
  test.each(NAMES)('%s computes what the host computes', name => {
    for (const [immediate, text] of immediatesOf(name)) {
      const host = hostOp(name, text);
      const args = fc.tuple(...(VECTOR_OPS[name].params as readonly ValueType[]).map(type => ARBITRARIES[type]));
      fc.assert(
        fc.property(args as fc.Arbitrary<JsValue[]>, values => {
          expect(VECTOR_EVALUATORS[name](values, immediate)).toEqual(host(values));
        }),
        { numRuns: 50, seed: 1 },
      );
    }
  });

  test('accepts views that are not aligned to the lanes', () => {
    const memory = Uint8Array.from({ length: 40 }, (_, i) => i);
    const sum = VECTOR_EVALUATORS['i64x2.add']([memory.subarray(1, 17), memory.subarray(17, 33)], undefined);
    expect([...(sum as Uint8Array)].slice(0, 3)).toEqual([18, 20, 22]);
  });
});
