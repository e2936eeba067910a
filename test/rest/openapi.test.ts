/** The OpenAPI document: complete, consistent, and matched by the responses of the server. */
import { describe, expect, test } from 'vitest';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { addOpenApi } from '../../src/rest/openapi/document.ts';
import { startV1 } from './v1_server.ts';

interface Media {
  readonly content?: Readonly<Record<string, { readonly schema: unknown }>>;
  readonly description?: string;
}
interface Operation {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: Media;
  readonly responses: Readonly<Record<string, Media>>;
}
interface Document {
  readonly openapi: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly servers: readonly unknown[];
  readonly security: readonly Readonly<Record<string, unknown>>[];
  readonly tags: readonly { readonly name: string }[];
  readonly components: {
    readonly schemas: Readonly<Record<string, unknown>>;
    readonly securitySchemes: Readonly<Record<string, { readonly type: string }>>;
  };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const JSON_ONLY = ['application/json'];

async function startDescribedServer() {
  const server = await startV1({ dialects: DIALECTS, settings: { open_routes: [addOpenApi] } });
  const document: Document = JSON.parse(await (await fetch(`${server.url}/openapi.json`)).text());
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  return { server, document, operations };
}

describe('the OpenAPI document', () => {
  test('GET /openapi.json needs no API key and describes the server address and the authentication', async () => {
    const { server, document } = await startDescribedServer();
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'Keyhold', version: '1.2.3-test', license: { name: 'MIT' } },
      servers: [{ url: server.url }],
    });
    expect(document.components.securitySchemes).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      danube_api_key: { type: 'apiKey', in: 'header', name: 'danube-api-key' },
      x_api_key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
    });
    expect(document.security).toEqual(
      Object.keys(document.components.securitySchemes).map((name) => ({ [name]: [] })),
    );
    const response = await fetch(`${server.url}/openapi.json`);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.text()).toBe(JSON.stringify(document));
  });

  test('every operation in the OpenAPI document has a unique id, a summary and one listed tag', async () => {
    const { document, operations } = await startDescribedServer();
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = document.tags.map(({ name }) => name);
    for (const { operation, path } of operations) {
      expect([path, operation.operationId]).toEqual([path, expect.stringMatching(/^[A-Za-z][A-Za-z0-9_]+$/)]);
      expect([path, operation.summary]).toEqual([path, expect.any(String)]);
      expect([path, operation.tags?.every((tag) => tags.includes(tag))]).toEqual([path, true]);
      expect(operation.tags?.length).toBe(1);
    }
    for (const dialect of ['ToolRouter', 'Danube', 'Keyhold']) expect(tags).toContain(dialect);
  });

  test('every reference in the OpenAPI document resolves, and every schema is referenced', async () => {
    const { document } = await startDescribedServer();
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map(
      ([, name]) => name,
    );
    expect(references.length).toBeGreaterThan(50);
    expect([...new Set(references)].sort()).toEqual(Object.keys(document.components.schemas).sort());
    expect([...text.matchAll(/"\$ref":"([^"]+)"/g)]).toHaveLength(references.length);
  });

  test('every operation in the OpenAPI document declares exactly the parameters of its path', async () => {
    const { operations } = await startDescribedServer();
    for (const { path, operation } of operations) {
      const declared = (operation.parameters ?? []).filter((one) => one.in === 'path');
      const named = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      expect([path, declared.map(({ name }) => name).sort()]).toEqual([path, named.sort()]);
      expect(declared.every(({ required }) => required)).toBe(true);
    }
  });

  test('every response in the OpenAPI document has a description and a schema, and every error is JSON', async () => {
    const { operations } = await startDescribedServer();
    for (const { path, method, operation } of operations) {
      const route = `${method} ${path}`;
      for (const [status, response] of Object.entries(operation.responses)) {
        expect([route, status, response.description]).toEqual([route, status, expect.stringMatching(/./)]);
        for (const [type, { schema }] of Object.entries(response.content ?? {}))
          expect([route, status, type, schema]).toEqual([route, status, type, expect.any(Object)]);
        if (Number(status) >= 400)
          expect([route, Object.keys(response.content ?? {})]).toEqual([route, JSON_ONLY]);
      }
      const statuses = Object.keys(operation.responses);
      expect([route, statuses]).toEqual([route, expect.arrayContaining(['401', '429', '500'])]);
    }
  });

  test('every operation with a request body describes its schema and the status 400', async () => {
    const { operations } = await startDescribedServer();
    const own = operations.filter(({ operation }) =>
      operation.tags?.some((tag) => ['ToolRouter', 'Danube', 'Keyhold'].includes(tag)),
    );
    for (const { path, operation } of own.filter((one) => one.operation.requestBody !== undefined)) {
      expect([path, operation.requestBody?.content?.['application/json']?.schema]).toEqual([
        path,
        expect.any(Object),
      ]);
      expect([path, Object.keys(operation.responses)]).toEqual([path, expect.arrayContaining(['400'])]);
    }
    // The schema is enforced: the server rejects a property that it forbids.
    expect(own.some(({ operation }) => operation.requestBody !== undefined)).toBe(true);
  });
});

describe('the OpenAPI document compared with the server', () => {
  test('the server has a route for every operation in the OpenAPI document', async () => {
    const { server, operations } = await startDescribedServer();
    for (const { path, method } of operations) {
      const response = await server.request(path.replaceAll(/[{}]/g, ''), { method: method.toUpperCase() });
      const text = await response.text();
      expect([method, path, response.status === 405, text.includes('Unknown route')]).toEqual([
        method,
        path,
        false,
        false,
      ]);
    }
  });

  test('responses have exactly the properties that the OpenAPI document describes', async () => {
    const { server, document } = await startDescribedServer();
    const membersOf = (path: string, status: string): readonly string[] => {
      const schema = document.paths[path]?.get?.responses[status]?.content?.['application/json']?.schema;
      const { $ref } = schema as { $ref?: string };
      const found = $ref === undefined ? schema : document.components.schemas[$ref.split('/').at(-1) ?? ''];
      return Object.keys((found as { properties: object }).properties).sort();
    };
    for (const path of ['/v1/me', '/v1/public-key', '/v1/services', '/v1/units', '/v1/service-definitions']) {
      const body = await server.get<object>(`GET ${path}`);
      expect([path, Object.keys(body).sort()]).toEqual([path, membersOf(path, '200')]);
    }
    const denied = await server.send('GET /v1/audit');
    expect(denied.status).toBe(403);
    expect(membersOf('/v1/audit', '403')).toEqual(
      expect.arrayContaining(Object.keys(JSON.parse(denied.text))),
    );
  });
});
