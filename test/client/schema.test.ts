/** The client's types are those of the routes as they are. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startHttpServer } from '../kit/http/http_server.ts';
import { clientDocument, hashOf } from './client_document.ts';

test('src/client/schema.ts is made of the present routes; if not: npm run client:types', async () => {
  const { parts } = await startHttpServer();
  const schema = readFileSync(new URL('../../src/client/schema.ts', import.meta.url), 'utf8');
  const [, made_of] = /^ \* Made of: ([0-9a-f]{64})$/m.exec(schema) ?? [];
  expect(made_of).toBe(hashOf(clientDocument(parts)));
});

test('a route that changes its shape changes what the types are made of, and a text does not', async () => {
  const { parts } = await startHttpServer();
  const document = clientDocument(parts);
  expect(JSON.stringify(document)).not.toContain('Stays the same when the credential is stored again');
  expect(hashOf({ ...document, paths: {} })).not.toBe(hashOf(document));
});
