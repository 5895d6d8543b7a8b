import { describe, expect, test } from 'vitest';

import { mergeSchemas, schemaOf } from '../../../analyzer/schema/infer.ts';

describe('inferring JSON schemas', () => {
  test('tells hexadecimal numbers from other strings', () => {
    expect(schemaOf('0xffff')).toEqual({ type: 'string', pattern: '^0x[0-9a-f]+$' });
    expect(schemaOf('init')).toEqual({ type: 'string' });
  });

  test('requires what every value has', () => {
    const merged = mergeSchemas(schemaOf({ pid: 1, cpu: 0 }), schemaOf({ pid: 2 }));
    expect(merged.required).toEqual(['pid']);
    expect(Object.keys(merged.properties ?? {})).toEqual(['pid', 'cpu']);
  });

  test('joins types and drops a pattern that does not hold for all strings', () => {
    expect(mergeSchemas(schemaOf('0x1'), schemaOf(null))).toEqual({
      type: ['null', 'string'],
      pattern: '^0x[0-9a-f]+$',
    });
    expect(mergeSchemas(schemaOf('0x1'), schemaOf('two'))).toEqual({ type: 'string' });
  });

  test('takes the items of an array together, and of an empty one from the other', () => {
    const merged = mergeSchemas(schemaOf([]), schemaOf([1, 'a']));
    expect(merged).toEqual({ type: 'array', items: { type: ['number', 'string'] } });
  });
});
