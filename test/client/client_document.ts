/**
 * The part of the server's OpenAPI document that the client uses: its types are generated from it and compared with it.
 * Has no texts and no error responses, which the types do not depend on.
 */
import { createHash } from 'node:crypto';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { HttpDependencies, HttpEnv } from '../../src/http/dialect.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';

const PATHS = [
  '/v1/public-key',
  '/v1/credentials',
  '/v1/credentials/update',
  '/v1/credentials/delete',
  '/v1/services',
  '/v1/service-definitions',
  '/v1/audit',
  '/v1/audit/verify',
  '/v1/api-keys',
  '/v1/api-keys/{id}/rotate',
  '/v1/api-keys/{id}',
  '/v1/units',
  '/v1/me',
];

type Json = Readonly<Record<string, unknown>>;

/** Throws if the server no longer has one of the routes. */
export function clientDocument(parts: HttpDependencies): Json {
  const app = new OpenAPIHono<HttpEnv>();
  for (const dialect of DIALECTS) dialect.register(app, parts);
  const info = { title: 'Keyhold', version: '1' };
  const whole = JSON.parse(JSON.stringify(app.getOpenAPI31Document({ openapi: '3.1.0', info })));
  const paths = PATHS.map((path) => {
    if (whole.paths[path] === undefined) throw new Error(`there is no route ${path}`);
    return [path, shape(whole.paths[path])] as const;
  });
  const schemas = new Map<string, unknown>();
  collect(paths, shape(whole.components.schemas) as Json, schemas);
  const in_order = [...schemas].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    openapi: whole.openapi,
    info,
    paths: Object.fromEntries(paths),
    components: { schemas: Object.fromEntries(in_order) },
  };
}

/** The hash in the header of the generated file. */
export function hashOf(document: Json): string {
  return createHash('sha256').update(JSON.stringify(document)).digest('hex');
}

const TEXTS = new Set(['description', 'summary', 'example']);
const FAILURE = /^[345]\d\d$/;

/** Removes texts and error responses. */
function shape(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(shape);
  if (typeof part !== 'object' || part === null) return part;
  const kept = Object.entries(part).filter(
    ([name, inner]) =>
      !(TEXTS.has(name) && typeof inner !== 'object') && name !== 'tags' && !FAILURE.test(name),
  );
  return Object.fromEntries(kept.map(([name, inner]) => [name, shape(inner)]));
}

/** Finds every schema that is referred to, also from another one. */
function collect(part: unknown, schemas: Json, found: Map<string, unknown>): void {
  for (const [, name = ''] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    if (found.has(name)) continue;
    found.set(name, schemas[name]);
    collect(schemas[name], schemas, found);
  }
}
