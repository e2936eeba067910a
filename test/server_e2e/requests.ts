/** Arbitrary requests generated from the OpenAPI document: valid ones, ones with one defect, and hostile ones. */
import fc from 'fast-check';
import * as z from 'zod';
import { TOOLS } from '../../tools/catalogue.ts';
import type { TestRequest } from '../kit/http/in_process_server.ts';
import type { OpenApiValidator, Parameter } from '../kit/http/openapi_validator.ts';
import { fromPool, nearlyValidValue, type Pools, validValue } from '../kit/http/schema_arbitrary.ts';
import { toolCall } from './operations/operations.ts';

/** Texts to send as names and ids. */
export const HOSTILE_TEXTS: readonly string[] = [
  '..',
  '../../etc/passwd',
  '..%2f..%2fhealthz',
  '%2e%2e',
  '%252e%252e%252f',
  '%c0%ae%c0%ae/',
  '%',
  '%zz',
  '%00',
  '\u0000',
  '.',
  '',
  ' ',
  ';',
  '//',
  '\\..\\',
  "' OR '1'='1",
  "'; DROP TABLE record; --",
  '" UNION SELECT sealed_values FROM record --',
  '__proto__',
  'constructor',
  'toString',
  'a\r\nX-Injected: yes',
  '\u001b[31m{"level":"fatal"}\n',
  '\u202e\ufeff\u2028',
  '\ud83d',
  '💥'.repeat(64),
  '#{7*7}{{7*7}}',
  'x'.repeat(4_000),
];

const HOSTILE_BODIES: readonly (string | Uint8Array)[] = [
  '',
  ' ',
  'null',
  '7',
  '"x"',
  '[]',
  '{',
  '{"a":1}{"b":2}',
  '{"a":1,}',
  '{"__proto__":{"isAdmin":true}}',
  '{"a":{"__proto__":null}}',
  '{"name":"a","name":"b"}',
  '\ufeff{}',
  '{"a":1e999}',
  'NaN',
  `${'['.repeat(100)}${']'.repeat(100)}`,
  `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  `{"credentials":{${Array.from({ length: 2_000 }, (_, at) => `"f${at}":"v"`).join()}}}`,
  JSON.stringify({ x: 'x'.repeat(1_100_000) }),
  Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d),
  Uint8Array.of(0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0),
];

const HOSTILE_HEADERS: readonly Readonly<Record<string, string>>[] = [
  { 'content-type': 'text/plain' },
  { 'content-type': 'application/json; charset=utf-16' },
  { 'content-type': 'application/x-www-form-urlencoded' },
  { 'content-encoding': 'gzip' },
  { 'x-http-method-override': 'DELETE' },
  { 'x-request-id': 'mine' },
  { origin: 'https://evil.example' },
  { host: 'evil.example' },
  { authorization: 'Bearer wrong' },
  { 'x-forwarded-for': '10.0.0.1', 'x-forwarded-host': 'evil.example' },
  { accept: 'text/html' },
];

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** A request to one of the operations, or a call of one of the tools, with this key. */
export function anyRequest(
  described: OpenApiValidator,
  pools: Pools,
  key: string,
): fc.Arbitrary<TestRequest> {
  const operations = described.names().map((name) => ofOperation(described, name, pools));
  return fc
    .oneof({ weight: 9, arbitrary: fc.oneof(...operations) }, { weight: 1, arbitrary: anyMessage(pools) })
    .map((request) =>
      request.method === 'GET' || request.method === 'HEAD' ? { ...request, body: undefined } : request,
    )
    .map((request) => ({ ...request, key }));
}

const headers = fc.oneof(
  { weight: 15, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_HEADERS) },
);

function ofOperation(described: OpenApiValidator, name: string, pools: Pools): fc.Arbitrary<TestRequest> {
  const [method = '', path = ''] = name.split(' ');
  const { parameters = [], requestBody } = described.operation(name);
  return fc.record({
    method: fc.oneof(
      { weight: 30, arbitrary: fc.constant(method) },
      { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
    ),
    path: fc
      .tuple(anyPath(path, parameters, pools), anyQuery(parameters, pools))
      .map(([made, query]) => made + query),
    body: requestBody === undefined ? noBody() : anyBody(described.bodySchema(name), pools),
    headers,
  });
}

/** A message for a tool, or one with a defect. */
function anyMessage(pools: Pools): fc.Arbitrary<TestRequest> {
  const calls = TOOLS.map(({ name, input }) => {
    const schema = z.toJSONSchema(input, { io: 'input' });
    const given = fc.oneof(validValue(schema, pools), nearlyValidValue(schema, pools));
    return given.map((one) => toolCall(name, one));
  });
  const call = fc.oneof(...calls);
  const message = { type: 'object', properties: { jsonrpc: { const: '2.0' }, id: { type: 'integer' } } };
  return fc.oneof(
    { weight: 8, arbitrary: call },
    {
      weight: 1,
      arbitrary: fc
        .tuple(call, nearlyValidValue(message, pools))
        .map(([request, body]) => ({ ...request, body })),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(call, fc.constantFrom(...HOSTILE_BODIES))
        .map(([request, body]) => ({ ...request, body })),
    },
  );
}

function noBody(): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 15, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constantFrom(...HOSTILE_BODIES) },
  );
}

function anyBody(schema: Readonly<Record<string, unknown>>, pools: Pools): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 10, arbitrary: validValue(schema, pools) },
    { weight: 8, arbitrary: nearlyValidValue(schema, pools) },
    { weight: 2, arbitrary: fc.constantFrom(...HOSTILE_BODIES) },
    { weight: 1, arbitrary: fc.constant(undefined) },
    // A duplicate name.
    { weight: 1, arbitrary: validValue(schema, pools).map((value) => twice(JSON.stringify(value))) },
  );
}

function twice(json: string): string {
  const [, first] = /^\{("[^"]*":)/.exec(json) ?? [];
  return first === undefined ? json : json.replace('{', `{${first}null,`);
}

const hostile = fc.constantFrom(...HOSTILE_TEXTS);

/** Percent-encoded, or unchanged if a request line may contain it. */
const inUrl = (text: string) => {
  const well_formed = text.toWellFormed();
  return /^[\x21-\x7e]*$/.test(text) && !/[?#]/.test(text)
    ? fc.constantFrom(text, encodeURIComponent(text))
    : fc.constant(encodeURIComponent(well_formed));
};

function anyText(parameter: Parameter, pools: Pools): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 12, arbitrary: validValue(parameter.schema, pools, parameter.name).map(asText) },
    { weight: 2, arbitrary: hostile.chain(inUrl) },
    { weight: 1, arbitrary: fromPool(pools, '*').map(encodeURIComponent) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }).map(asText) },
  );
}

function asText(value: unknown): string {
  return encodeURIComponent(String(value).toWellFormed());
}

function anyPath(template: string, parameters: readonly Parameter[], pools: Pools): fc.Arbitrary<string> {
  const of_path = parameters.filter((one) => one.in === 'path');
  return fc
    .tuple(...of_path.map((one) => anyText(one, pools)))
    .map((texts) =>
      of_path.reduce((path, { name }, at) => path.replace(`{${name}}`, () => texts[at] ?? ''), template),
    );
}

function anyQuery(parameters: readonly Parameter[], pools: Pools): fc.Arbitrary<string> {
  const of_query = parameters.filter((one) => one.in === 'query');
  const known = of_query.map((one) => fc.option(anyText(one, pools).map((text) => `${one.name}=${text}`)));
  const extra = fc.oneof(
    { weight: 12, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: hostile.chain(inUrl).map((text) => `${text}=1`) },
    { weight: 1, arbitrary: hostile.chain(inUrl).map((text) => `extra=${text}`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('__proto__[isAdmin]=1', 'constructor.prototype.x=1', '&&==&', 'a=1&a=2'),
    },
  );
  return fc.tuple(...known, extra).map((parts) => {
    const given = parts.filter((part) => part !== null);
    return given.length === 0 ? '' : `?${given.join('&')}`;
  });
}
