/** The table of operations is complete: every route and tool has a row, whose request is valid and contains every id. */
import { expect, test } from 'vitest';
import { SCOPES } from '../../src/contract/caller.ts';
import { openInProcessServer } from '../kit/http/in_process_server.ts';
import { findInvalidSchemas } from '../kit/http/openapi_validator.ts';
import { fixturesOf, person } from './fixtures.ts';
import { endOf, OPERATIONS, ROUTE_OPERATIONS } from './operations/operations.ts';

/** Names of parameters that identify a record, a user, a unit or an organization. */
const ID_NAME = /(?:^|_)id$|Id$|^(?:organization|user|unit)$/;

test('the table has a row for every route of the OpenAPI document, and no others', async () => {
  const { validator: described } = await openInProcessServer();
  expect(ROUTE_OPERATIONS.map(({ name }) => name).sort()).toEqual(described.names().sort());
});

test('the request of every row succeeds, matches its route, and contains every id that the route takes', async () => {
  const server = await openInProcessServer();
  const ann = await person(server, { organization: 'acme', user: 'ann', scopes: [...SCOPES] });
  for (const operation of OPERATIONS) {
    const request = operation.request(await fixturesOf(server, ann), ann.key);
    const response = await server.send(request);
    expect([operation.name, endOf(response), response.text]).toEqual([
      operation.name,
      String(operation.status),
      response.text,
    ]);
    if (response.area === 'mcp') continue;
    expect(`${request.method} ${response.route.replaceAll(/:(\w+)/g, '{$1}')}`).toBe(operation.name);
    const { parameters = [], requestBody } = server.validator.operation(operation.name);
    const in_query = parameters.filter((one) => one.in === 'query').map(({ name }) => name);
    const in_body =
      requestBody === undefined ? [] : propertiesOf(server.validator.bodySchema(operation.name));
    const url = new URL(request.path, 'http://localhost');
    const given = [...url.searchParams.keys(), ...Object.keys(request.body ?? {})];
    // A share names one of the two.
    if (operation.name.includes('/shares')) given.push('user', 'unit');
    const missing = [...in_query, ...in_body].filter(
      // Excludes the other members of a call: it reads on in an earlier response of the same caller.
      (name) => ID_NAME.test(name) && name !== 'response_id' && !given.includes(name),
    );
    expect([operation.name, missing]).toEqual([operation.name, []]);
  }
});

function propertiesOf(schema: Readonly<Record<string, unknown>>): string[] {
  return Object.keys((schema.properties as object | undefined) ?? {});
}

test('the schemas of the OpenAPI document are valid JSON Schema', async () => {
  const { validator: described } = await openInProcessServer();
  expect(findInvalidSchemas(described.document)).toEqual([]);
});
