/**
 * fast-check arbitraries from JSON Schema: valid values, and values with one violation. Supports the subset that zod
 * writes into an OpenAPI document, without references.
 */
import fc from 'fast-check';
import type { Json } from './openapi_validator.ts';

/** Texts for the property or parameter of this name; `*` for all others. */
export type Pools = Readonly<Record<string, readonly string[]>>;

const TEXT_MAX = 24;
const ITEMS_MAX = 4;

/** Values that match the schema. `name`: the property that has the schema. */
export function validValue(schema: Json, pools: Pools, name = ''): fc.Arbitrary<unknown> {
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum);
  if ('const' in schema) return fc.constant(schema.const);
  const choices = (schema.anyOf ?? schema.oneOf) as readonly Json[] | undefined;
  if (choices !== undefined) return fc.oneof(...choices.map((one) => validValue(one, pools, name)));
  const types = [schema.type ?? 'object'].flat() as string[];
  return fc.oneof(...types.map((type) => ofType(type, schema, pools, name)));
}

function ofType(type: string, schema: Json, pools: Pools, name: string): fc.Arbitrary<unknown> {
  switch (type) {
    case 'string':
      return text(schema, pools, name);
    case 'integer':
    case 'number':
      return fc.integer({
        min: Number(schema.minimum ?? -1_000),
        max: Math.min(Number(schema.maximum ?? 100_000), 100_000),
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const bounds = {
        minLength: Number(schema.minItems ?? 0),
        maxLength: Math.min(Number(schema.maxItems ?? ITEMS_MAX), ITEMS_MAX),
      };
      return fc.array(validValue((schema.items ?? {}) as Json, pools, name), bounds);
    }
    default:
      return object(schema, pools, name);
  }
}

function object(schema: Json, pools: Pools, name: string): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema.properties ?? {}) as Readonly<Record<string, Json>>);
  const required = (schema.required ?? []) as string[];
  const known = fc.record(
    Object.fromEntries(properties.map(([key, inner]) => [key, validValue(inner, pools, key)])),
    { requiredKeys: required },
  );
  const { additionalProperties } = schema;
  if (properties.length > 0 || additionalProperties === false) return known;
  const keys = fc.constantFrom(...(pools[`${name} keys`] ?? ['a', 'b']));
  const values =
    typeof additionalProperties === 'object' &&
    additionalProperties !== null &&
    'type' in additionalProperties
      ? validValue(additionalProperties as Json, pools, `${name} values`)
      : fc.oneof(fromPool(pools, `${name} values`), fc.jsonValue({ maxDepth: 2 }));
  return fc.dictionary(keys, values, { minKeys: 1, maxKeys: ITEMS_MAX });
}

function text(schema: Json, pools: Pools, name: string): fc.Arbitrary<string> {
  const pool = fromPool(pools, name);
  if (schema.format === 'uuid')
    return fc.oneof({ weight: 4, arbitrary: pool }, { weight: 1, arbitrary: fc.uuid() });
  if (schema.format === 'date-time')
    return fc.date({ noInvalidDate: true, max: new Date('9999-01-01') }).map((date) => date.toISOString());
  if (typeof schema.pattern === 'string')
    return fc.oneof(pool, fc.stringMatching(new RegExp(schema.pattern, 'u'), { size: 'small' }));
  const free = fc.string({
    unit: 'grapheme',
    minLength: Number(schema.minLength ?? 0),
    maxLength: Math.min(Number(schema.maxLength ?? TEXT_MAX), TEXT_MAX),
  });
  return fc.oneof({ weight: 3, arbitrary: pool }, { weight: 1, arbitrary: free });
}

/** A text from the pool of this name. */
export function fromPool(pools: Pools, name: string): fc.Arbitrary<string> {
  const pool = pools[name] ?? pools['*'] ?? [''];
  return fc.constantFrom(...pool);
}

/** Replacements that violate most schemas. */
const WRONG: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e21,
  '',
  ' ',
  'x'.repeat(300),
  'x'.repeat(100_000),
  '\u0000',
  '\ud800',
  'a\r\nb',
  [],
  {},
  [[]],
  { toString: 'x', constructor: { prototype: {} } },
];

/** A valid value with one change: something removed, added or replaced. */
export function nearlyValidValue(schema: Json, pools: Pools): fc.Arbitrary<unknown> {
  const change = fc.oneof(
    fc.record({ do: fc.constant('replace' as const), by: fc.constantFrom(...WRONG) }),
    fc.record({ do: fc.constant('remove' as const) }),
    fc.record({
      do: fc.constant('add' as const),
      key: fc.constantFrom('extra', 'constructor', 'prototype', ''),
    }),
  );
  return fc
    .tuple(validValue(schema, pools), fc.nat({ max: 30 }), change)
    .map(([value, at, what]) => changed(value, at, what));
}

type Change =
  | { readonly do: 'replace'; readonly by: unknown }
  | { readonly do: 'remove' }
  | { readonly do: 'add'; readonly key: string };

/** Applies the change to the `at`-th nested property, modulo their number. */
function changed(value: unknown, at: number, change: Change): unknown {
  const copy = { root: structuredClone(value) };
  const properties: { readonly of: object; readonly key: string }[] = [];
  const collect = (of: object) => {
    for (const [key, inner] of Object.entries(of)) {
      properties.push({ of, key });
      if (typeof inner === 'object' && inner !== null) collect(inner);
    }
  };
  collect(copy);
  const property = properties[at % properties.length];
  if (property === undefined) return value;
  if (change.do === 'replace') Reflect.set(property.of, property.key, change.by);
  else if (change.do === 'remove' && property.of !== copy) Reflect.deleteProperty(property.of, property.key);
  else {
    const inner: unknown = Reflect.get(property.of, property.key);
    const target = typeof inner === 'object' && inner !== null ? inner : property.of;
    Reflect.set(target, change.do === 'add' ? change.key : 'extra', 'x');
  }
  return copy.root;
}
