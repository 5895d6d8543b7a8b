/** Infers JSON schemas (draft 2020-12) from values, and joins what several values showed. */

/** The keywords that are inferred. */
export interface InferredSchema {
  readonly type?: string | readonly string[];
  /** Of strings: all seen were hexadecimal numbers. */
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, InferredSchema>>;
  readonly required?: readonly string[];
  readonly items?: InferredSchema;
}

/** Addresses and 64-bit values. */
const HEXADECIMAL = '^0x[0-9a-f]+$';

/** C values: their shape is the type's. */
const FREE_FORM = 'contents';

/** The narrowest schema of a value. */
export function schemaOf(value: unknown): InferredSchema {
  if (value === null) return { type: 'null' };
  if (Array.isArray(value)) return arraySchema(value);
  if (typeof value === 'object') return objectSchema(value as Readonly<Record<string, unknown>>);
  if (typeof value === 'string')
    return new RegExp(HEXADECIMAL).test(value) ? { type: 'string', pattern: HEXADECIMAL } : { type: 'string' };
  if (typeof value === 'number') return { type: 'number' };
  return { type: 'boolean' };
}

function arraySchema(values: readonly unknown[]): InferredSchema {
  const items = values.map(schemaOf);
  if (items.length === 0) return { type: 'array' };
  return { type: 'array', items: items.reduce(mergeSchemas) };
}

function objectSchema(value: Readonly<Record<string, unknown>>): InferredSchema {
  const properties = Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, name === FREE_FORM ? {} : schemaOf(inner)]),
  );
  return { type: 'object', properties, required: Object.keys(properties).sort() };
}

function typesOf({ type }: InferredSchema): readonly string[] {
  return typeof type === 'string' ? [type] : (type ?? []);
}

/** The narrowest schema of what either describes. */
export function mergeSchemas(a: InferredSchema, b: InferredSchema): InferredSchema {
  const types = [...new Set([...typesOf(a), ...typesOf(b)])].sort();
  return {
    ...(types.length === 0 ? {} : { type: types.length === 1 ? types[0]! : types }),
    ...mergedPattern(a, b),
    ...mergedObject(a, b),
    ...mergedItems(a, b),
  };
}

/** A pattern holds when every side that has strings has it. */
function mergedPattern(a: InferredSchema, b: InferredSchema): Pick<InferredSchema, 'pattern'> {
  const withStrings = [a, b].filter(schema => typesOf(schema).includes('string'));
  const [first] = withStrings;
  const shared = first?.pattern !== undefined && withStrings.every(({ pattern }) => pattern === first.pattern);
  return shared ? { pattern: first.pattern } : {};
}

function mergedItems(a: InferredSchema, b: InferredSchema): Pick<InferredSchema, 'items'> {
  if (a.items === undefined || b.items === undefined) {
    const items = a.items ?? b.items;
    return items === undefined ? {} : { items };
  }
  return { items: mergeSchemas(a.items, b.items) };
}

function mergedObject(a: InferredSchema, b: InferredSchema): Pick<InferredSchema, 'properties' | 'required'> {
  if (a.properties === undefined || b.properties === undefined) {
    const known = a.properties === undefined ? b : a;
    if (known.properties === undefined) return {};
    return { properties: known.properties, required: known.required ?? [] };
  }
  const names = [...new Set([...Object.keys(a.properties), ...Object.keys(b.properties)])];
  const properties = names.map(name => {
    const [left, right] = [a.properties![name], b.properties![name]];
    return [name, left === undefined ? right! : right === undefined ? left : mergeSchemas(left, right)] as const;
  });
  return {
    properties: Object.fromEntries(properties),
    required: (a.required ?? []).filter(name => b.required?.includes(name) === true),
  };
}
