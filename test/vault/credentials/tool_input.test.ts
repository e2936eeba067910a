/**
 * Any tool input leads to a result of the tool's output schema, or to INVALID_INPUT or NOT_FOUND. An error changes
 * nothing and contains none of the input.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toPublicError, VaultError } from '../../../src/contract/errors.ts';
import { TOOLS } from '../../../tools/catalogue.ts';
import { anyCodeUnits, checkAsync, PROPERTY_TIMEOUT_MS } from '../../kit/property.ts';
import { digestState } from '../../kit/vault/database.ts';
import { openTestVault, type TestVault } from '../../kit/vault/temp_vault.ts';

type Tool = (typeof TOOLS)[number];

const HOSTILE_TEXTS = [
  'sk-canary-7f3a',
  'canary/../7f3a',
  '',
  ' ',
  '\0',
  'linear\0',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../../etc/passwd',
  '..\\..\\windows',
  '/etc/passwd',
  'file:///etc/passwd',
  '%2e%2e%2f',
  '\ud800',
  'lone \udfff',
  '🔐👨‍👩‍👧',
  '\u202eevil',
  '\u001b[2J',
  "' OR 1=1 --",
  '{{7*7}}',
  'sealed:',
  'sealed:AAAA',
  'sealed:sealed:',
  'x'.repeat(128),
  'x'.repeat(129),
  'x'.repeat(255),
  'x'.repeat(256),
  '🔐'.repeat(16_384),
  'x'.repeat(65_536),
  'x'.repeat(65_537),
  'x'.repeat(87_456),
] as const;

const OPENAI = { service_id: 'openai', credential_type: 'api_key', credential_value: 'v' } as const;
const UNTESTABLE = { service_id: 'api_credential' };

/** Valid input of each tool. Random inputs are variations of these, or unrelated. */
const GOOD: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  store_credential: { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' },
  update_credentials: {
    service_id: 'gmail',
    credentials: { gmail_oauth_token: 'v', gmail_signature: 'é 🔑' },
  },
  get_credential_status: { service_id: 'gmail', stack_id: 'other' },
  list_services: { query: 'mail' },
  test_credential: UNTESTABLE,
  call_service: { service_id: 'openai', path: '/v1/models', dry_run: true },
  delete_credential: { service_id: 'openai' },
  request_access: { service_id: 'github', reason: 'r' },
};

const services = fc.constantFrom('linear', 'LINEAR', 'gmail', 'svc_openai_001', 'openai', 'aws', 'gmial');
const texts = fc.oneof(fc.constantFrom(...HOSTILE_TEXTS), anyCodeUnits, fc.string());
const json = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    texts,
    fc.constantFrom(null, true, false, 0, -1, 1e308, -0),
    fc.array(tie('any'), { maxLength: 5 }),
    fc.array(fc.tuple(texts, tie('any')), { maxLength: 5 }).map(objectOf),
  ),
})).any;
const fields = fc.oneof(
  fc.constantFrom(
    'linear_api_key',
    'gmail_oauth_token',
    'gmail_client_id',
    'gmail_signature',
    'openai_api_key',
  ),
  texts,
);
const credentials = fc.array(fc.tuple(fields, fc.oneof(texts, texts, json)), { maxLength: 6 }).map(objectOf);

const KEYS = [
  'service_id',
  'credential_type',
  'credential_value',
  'credentials',
  'stack_id',
  'name',
  'query',
] as const;

/** Valid input with up to three arguments changed, or one added. */
function nearly(good: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> {
  const change = fc.oneof(
    fc.tuple(fc.constant('service_id'), services),
    fc.tuple(fc.constantFrom('stack_id', 'name', ...Object.keys(good)), texts),
    fc.tuple(fc.constant('credentials'), credentials),
    fc.tuple(fc.constantFrom(...KEYS), json),
    fc.tuple(texts, json),
  );
  return fc.array(change, { maxLength: 3 }).map((changes) => objectOf([...Object.entries(good), ...changes]));
}

function deeplyNested(levels: number): unknown {
  let nested: unknown = 'x';
  for (let level = 0; level < levels; level++) nested = level % 2 === 0 ? [nested] : { credentials: nested };
  return nested;
}

const BIG: readonly unknown[] = [
  undefined,
  null,
  {
    service_id: 'linear',
    credentials: Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`f${at}`, 'v'])),
  },
  {
    service_id: 'linear',
    credentials: Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`f${at}`, at])),
  },
  Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`f${at}`, 'v'])),
  { service_id: 'linear', credentials: deeplyNested(5_000) },
  { service_id: deeplyNested(5_000), query: deeplyNested(5_000), name: deeplyNested(5_000) },
  deeplyNested(5_000),
  { service_id: 'openai', path: 'file:///etc/passwd', dry_run: true },
  { service_id: 'gmail', credentials: { gmail_signature: 'x'.repeat(65_536) } },
  { service_id: 'gmail', credentials: { gmail_signature: '🔐'.repeat(4_096) } },
  { service_id: 'linear', credential_type: 'bearer', credential_value: 'x'.repeat(65_536) },
  JSON.parse('{"__proto__":{"service_id":"linear","credential_type":"bearer","credential_value":"v"}}'),
  JSON.parse('{"service_id":"linear","__proto__":{"polluted":"yes"}}'),
  JSON.parse('{"constructor":{"prototype":{"polluted":"yes"}},"service_id":"linear"}'),
  JSON.parse('{"service_id":"linear","credentials":{"__proto__":"polluted","constructor":"polluted"}}'),
  JSON.parse('{"service_id":"linear","credentials":{"__proto__":"polluted"}}'),
  JSON.parse('{"service_id":"linear","credentials":{"__proto__":{"polluted":"yes"},"linear_api_key":"v"}}'),
  JSON.parse('{"service_id":"__proto__","stack_id":"__proto__","name":"__proto__"}'),
  [],
  [null],
  'linear',
  7,
  true,
];

describe.each(TOOLS.map((tool) => [tool.name, tool] as const))('%s', (name, tool) => {
  test('any input gets a result of the output schema or a documented error, and an error changes nothing', {
    timeout: PROPERTY_TIMEOUT_MS,
  }, async () => {
    const made = await openTestVault();
    const { vault, caller } = made;
    const good = GOOD[name] ?? {};
    // A test of it sends nothing.
    const credentials = { api_key: 'v', host: 'api.example.com' };
    if (name === 'test_credential') await vault.update(caller(), { ...UNTESTABLE, credentials });
    else await vault.store(caller(), OPENAI);
    const prototypes = describePrototypes();
    const ends = new Set<string>();
    await checkAsync(
      fc.oneof(json, nearly(good), nearly(good)),
      async (given: unknown) => {
        ends.add(await callAndCompare(made, tool, given));
        expect(describePrototypes()).toEqual(prototypes);
      },
      [good, ...BIG],
    );
    // The test is meaningful only if both outcomes occur.
    expect([...ends]).toEqual(expect.arrayContaining(['INVALID_INPUT', 'answered']));
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });

  test.each(['Object', 'Array', 'String'])('input cannot pollute %s', async (builtin) => {
    const made = await openTestVault();
    const before = describePrototypes();
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const nested = `{"polluted":"${builtin}","prototype":{"polluted":"${builtin}"}}`;
      const given = [
        JSON.parse(`{"service_id":"linear","${key}":${nested}}`),
        JSON.parse(`{"service_id":"linear","credentials":{"${key}":${nested}}}`),
        JSON.parse(`{"service_id":"linear","credentials":{"${key}":"polluted"}}`),
        JSON.parse(
          `{"service_id":"${key}","stack_id":"${key}","name":"${key}","credentials":{"${key}":"polluted"}}`,
        ),
      ];
      for (const one of given) expect(await callAndCompare(made, tool, one)).not.toBe('answered');
    }
    expect(describePrototypes()).toEqual(before);
    expect('polluted' in {} || 'polluted' in [] || 'polluted' in Object('')).toBe(false);
  });
});

/** `answered`, or the error code. Fails the test on any other error, or if an error changed something. */
async function callAndCompare(
  { vault, calls, tests, pages, caller, home }: TestVault,
  tool: Tool,
  given: unknown,
): Promise<string> {
  const before = await digestState(home);
  try {
    const { structured, text } = await tool.call({ vault, calls, tests, pages }, caller(), given);
    expect(tool.output.safeParse(structured).error).toBeUndefined();
    expect(text).toEqual(expect.stringMatching(/\S/));
    if (tool.annotations.readOnlyHint) expect(await digestState(home)).toEqual(before);
    return 'answered';
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    // A call is refused for a URL of another host.
    const refused = tool.name === 'call_service' ? ['FORBIDDEN'] : [];
    expect(['INVALID_INPUT', 'NOT_FOUND', ...refused]).toContain(error.code);
    expect(toPublicError(error).message.length).toBeLessThan(2_000);
    expect(toPublicError(error).message).not.toContain('canary');
    const after = await digestState(home);
    expect(after.records).toBe(before.records);
    // A delete of a missing credential adds one denied entry and nothing else.
    expect(after.entries - before.entries).toBeLessThanOrEqual(error.code === 'NOT_FOUND' ? 1 : 0);
    if (after.entries > before.entries) {
      expect((await vault.listAudit(caller(), {}, 1)).entries[0]?.outcome).toBe('denied');
    }
    return error.code;
  }
}

/** Property names of the base prototypes. */
function describePrototypes(): string[] {
  return [Object, Array, String, Function, Map, Set, Buffer].flatMap(({ prototype }) =>
    Reflect.ownKeys(prototype).map(String),
  );
}

/** An object with these own properties, including `__proto__`. */
function objectOf(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  return Object.fromEntries(entries);
}
