/** The client's types match the current routes. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startHttpServer } from '../kit/http/http_server.ts';
import { clientDocument, hashOf } from './client_document.ts';

test('src/client/schema.ts matches the current routes; if not, run npm run client:types', async () => {
  const { parts } = await startHttpServer();
  const schema = readFileSync(new URL('../../src/client/schema.ts', import.meta.url), 'utf8');
  const [, made_of] = /^ \* Made of: ([0-9a-f]{64})$/m.exec(schema) ?? [];
  expect(made_of).toBe(hashOf(clientDocument(parts)));
});

test('the hash of the routes depends on their schemas and not on their texts', async () => {
  const { parts } = await startHttpServer();
  const document = clientDocument(parts);
  expect(JSON.stringify(document)).not.toContain('Stays the same when the credential is stored again');
  expect(hashOf({ ...document, paths: {} })).not.toBe(hashOf(document));
});
