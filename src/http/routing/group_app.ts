/**
 * Builds one Hono app for each route group, so that the group of a request is found once and only its routes are
 * matched. Every app runs the pipeline before any route. In one app for all groups, two overlapping paths of one dialect
 * would keep the others from Hono's RegExpRouter, which does not support overlaps.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import type { PipelineEnv } from '../context.ts';
import type { Dialect, DialectDependencies, HttpEnv, InvalidInput } from '../dialect.ts';
import { asResponse, HttpError, toErrorResponse } from '../error_response.ts';
import type { Mount } from '../mount.ts';
import type { RequestPipeline } from '../request/pipeline.ts';
import { withHeaders } from '../request/security_headers.ts';
import { DEFAULT_GROUP, dialectGroup, mountGroup, type RouteGroup } from './route_groups.ts';

export interface ServedGroup {
  readonly paths: readonly string[];
  readonly group: RouteGroup;
  readonly app: OpenAPIHono<PipelineEnv>;
}

export type GroupDependencies = DialectDependencies & { readonly pipeline: RequestPipeline };

/** The group of the built-in routes, without any route. */
export function serveDefaultGroup(parts: GroupDependencies): ServedGroup {
  return { paths: [], group: DEFAULT_GROUP, app: newApp(parts) };
}

/** Throws if a route of the dialect is outside its prefixes: it would bypass authentication. */
export function serveDialect(dialect: Dialect, parts: GroupDependencies): ServedGroup {
  const routes = new OpenAPIHono<HttpEnv>({
    defaultHook: (result, c) => {
      if (result.success) return undefined;
      const target = INVALID_TARGETS[result.target] ?? 'header';
      return asResponse(dialect.invalid({ target, issues: result.error.issues }, c.var.request_id));
    },
  });
  dialect.register(routes, parts);
  const stray = routes.routes.find(
    ({ path }) => !dialect.prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)),
  );
  if (stray !== undefined) throw new Error(`${stray.path} is not below a prefix of ${dialect.name}`);
  const app = newApp(parts);
  app.route('/', routes);
  return { paths: dialect.prefixes.map((prefix) => `${prefix}/*`), group: dialectGroup(dialect), app };
}

const INVALID_TARGETS: Readonly<Record<string, InvalidInput['target']>> = {
  json: 'body',
  form: 'body',
  param: 'path',
  query: 'query',
};

export function serveMount(mount: Mount, parts: GroupDependencies): ServedGroup {
  const is_https = parts.public_url.startsWith('https:');
  const app = newApp(parts);
  const { runAuditRead, countError } = parts;
  app.all(mount.path, async (c) => {
    const { address } = c.env.context;
    const { request_id, body_text: body, body_json: json } = c.var;
    const context = { request_id, address, body, json, runAuditRead, countError };
    const response = await (mount.access === 'open'
      ? mount.handler(c.req.raw, context)
      : mount.handler(c.req.raw, { ...context, caller: c.var.caller }));
    const { headers } = response;
    // A response of another server or a library may have headers that only this server may set.
    if (!headers.has('X-Request-ID') && !headers.has('Connection')) return response;
    return withHeaders(response, context.request_id, c.env.context.headers, is_https);
  });
  return { paths: [mount.path], group: mountGroup(mount), app };
}

function newApp({ pipeline, log }: GroupDependencies): OpenAPIHono<PipelineEnv> {
  // The router must see the path that the group was found by, or another spelling could bypass the API key.
  const app = new OpenAPIHono<PipelineEnv>({
    getPath: (_request, options) => (options?.env as PipelineEnv['Bindings'] | undefined)?.path ?? '/',
  });
  app.use('*', pipeline.handle);
  app.onError((error, c) => toErrorResponse(c.env.context, error, log));
  app.notFound((c) => {
    throw noRouteError(app, c.req.path);
  });
  return app;
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** 405 if the path takes other methods, else 404. */
function noRouteError(app: OpenAPIHono<PipelineEnv>, path: string): HttpError {
  const allowed = METHODS.filter((method) =>
    app.router.match(method, path)[0].some(([[, { method: registered }]]) => registered !== 'ALL'),
  );
  if (allowed.length === 0) return new HttpError(404, 'NOT_FOUND', 'Unknown route. See GET /openapi.json.');
  const message = `Method not allowed. Allowed: ${allowed.join(', ')}.`;
  return new HttpError(405, 'INVALID_INPUT', message, { Allow: allowed.join(', ') });
}
