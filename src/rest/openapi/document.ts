/** The OpenAPI document at `/openapi.json`, built from the schemas that validate requests. Needs no API key. */
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { PipelineEnv } from '../../http/context.ts';
import type { HttpDependencies } from '../../http/dialect.ts';

type Document = ReturnType<OpenAPIHono<PipelineEnv>['getOpenAPI31Document']>;

const DESCRIPTION = `A credential vault for AI agents: credentials are stored, changed, checked and deleted. One route returns values, \`GET /integrations/credentials/{credential_id}/credentials\`, and only to an API key with the scope \`values:reveal\`.

Requests need an API key or an access token. Credentials belong to the user of the key: all keys of one user see the same credentials, and a new user has none.

One vault, several dialects: clients that were written for ToolRouter, Danube, SuperAI Flow or Toolzz work when their base URL is changed. Every response has the header \`X-Request-ID\`. Times in responses are ISO 8601 in UTC. Bodies are JSON.`;

/** The three ways to send an API key. */
const KEY_SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: '`Authorization: Bearer KEY`' },
  danube_api_key: { type: 'apiKey', in: 'header', name: 'danube-api-key' },
  x_api_key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
} as const;

/** Call this after all other routes were added. */
export function addOpenApi(app: OpenAPIHono<PipelineEnv>, parts: HttpDependencies): void {
  for (const [name, scheme] of Object.entries(KEY_SCHEMES))
    app.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  // Built on the first request, so that it does not slow down the start.
  let text: string | undefined;
  app.get('/openapi.json', (c) => {
    text ??= JSON.stringify(describeApi(app, parts));
    return c.body(text, 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' });
  });
}

function describeApi(app: OpenAPIHono<PipelineEnv>, { version, public_url }: HttpDependencies): Document {
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Keyhold', version, description: DESCRIPTION, license: { name: 'MIT' } },
    servers: [{ url: public_url }],
    security: Object.keys(KEY_SCHEMES).map((name) => ({ [name]: [] })),
  });
  nameOperations(document);
  return { ...document, tags: tagsOf(document) };
}

const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;

/** Derives a missing operationId from method and path: `getIntegrationsCatalog`. */
function nameOperations({ paths = {} }: Document): void {
  for (const [path, item] of Object.entries(paths)) {
    const segments = path.split(/[^A-Za-z0-9]+/).filter((segment) => segment !== '');
    const suffix = segments
      .map((segment) => `${segment.slice(0, 1).toUpperCase()}${segment.slice(1)}`)
      .join('');
    for (const method of METHODS) {
      const operation = item[method];
      if (operation !== undefined) operation.operationId ??= `${method}${suffix}`;
    }
  }
}

/** Every tag once, in the order of the dialects. */
function tagsOf({ paths = {} }: Document): { readonly name: string }[] {
  const names = new Set<string>();
  for (const item of Object.values(paths)) {
    for (const method of METHODS) for (const name of item[method]?.tags ?? []) names.add(name);
  }
  return [...names].map((name) => ({ name }));
}
