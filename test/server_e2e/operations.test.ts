/** The table of operations is whole: every route and tool has a row, whose request is good and takes every id there is. */
import { expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { openInProcessServer } from '../kit/http/in_process_server.ts';
import { schemaMistakes } from '../kit/http/openapi_validator.ts';
import { fixturesOf, person } from './fixtures.ts';
import { endOf, OPERATIONS, ROUTE_OPERATIONS } from './operations/operations.ts';

/** What names something that belongs to somebody. */
const ID_NAME = /(?:^|_)id$|Id$|^(?:organization|user|unit)$/;

test('every route of the document has a row, and every row a route', async () => {
  const { described } = await openInProcessServer();
  expect(ROUTE_OPERATIONS.map(({ name }) => name).sort()).toEqual(described.names().sort());
});

test('every row makes a request that succeeds, to its own route, with every id that the route takes', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann', scopes: [...SCOPES] });
  for (const operation of OPERATIONS) {
    const ask = operation.ask(await fixturesOf(server, ann), ann.key);
    const answer = await server.ask(ask);
    expect([operation.name, endOf(answer), answer.text]).toEqual([
      operation.name,
      String(operation.status),
      answer.text,
    ]);
    if (answer.area === 'mcp') continue;
    expect(`${ask.method} ${answer.route.replaceAll(/:(\w+)/g, '{$1}')}`).toBe(operation.name);
    const { parameters = [], requestBody } = server.described.operation(operation.name);
    const in_query = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
    const in_body =
      requestBody === undefined ? [] : propertiesOf(server.described.bodySchema(operation.name));
    const url = new URL(ask.path, 'http://localhost');
    const given = [...url.searchParams.keys(), ...Object.keys(ask.body ?? {})];
    const missing = [...in_query, ...in_body].filter((name) => ID_NAME.test(name) && !given.includes(name));
    expect([operation.name, missing]).toEqual([operation.name, []]);
  }
});

function propertiesOf(schema: Readonly<Record<string, unknown>>): string[] {
  return Object.keys((schema.properties as object | undefined) ?? {});
}

test('the schemas of the document are schemas', async () => {
  const { described } = await openInProcessServer();
  expect(schemaMistakes(described.document)).toEqual([]);
});
