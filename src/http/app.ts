/**
 * The frame of every HTTP edge, as one `fetch`: puts gate, dialects and mounts together, and sends every answer on its
 * way with its id, its headers and one line in the log. A route that is reached without a key exists only where an area
 * says so.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OpenAPIHono } from '@hono/zod-openapi';
import type { Logger } from '../contract/logger.ts';
import { newRequestId } from '../crypto/request_id.ts';
import { type Authenticate, Authenticator } from './auth/authenticator.ts';
import { FailureLimiter, type RateLimits, RequestLimiter } from './auth/rate_limits.ts';
import type { PipelineEnv, RequestContext } from './context.ts';
import type { Dialect, HttpDependencies, HttpEnv, InvalidInput } from './dialect.ts';
import { asResponse, toErrorResponse } from './error_response.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Mount } from './mount.ts';
import { clientAddress } from './request/client_address.ts';
import { HostAllowList } from './request/host_check.ts';
import { RequestPipeline } from './request/pipeline.ts';
import { setHeaders, withHeaders } from './request/security_headers.ts';
import { addBuiltInRoutes } from './routing/built_in_routes.ts';
import { GroupRouter } from './routing/group_router.ts';
import { DEFAULT_GROUP, routeGroupFinder } from './routing/route_groups.ts';
import { noRoute, UNMATCHED_ROUTE } from './routing/route_pattern.ts';

export interface HttpAppOptions {
  readonly limits: RateLimits;
  /** Names that this server may be called by, besides loopback and its public URL. */
  readonly allowed_hosts?: readonly string[];
  /** Connections come from a proxy, which says in X-Forwarded-For for whom. */
  readonly behind_proxy?: boolean;
  /** Ways to authenticate besides API keys, asked first. */
  readonly authenticators?: readonly Authenticate[];
  readonly metrics?: Metrics;
  /** Metrics need no key, since only this machine can ask. Otherwise a key of who runs the installation. */
  readonly metrics_open?: boolean;
  /** Adds routes that need no key, when all others are there: the OpenAPI document and its page. */
  readonly open_routes?: readonly ((app: OpenAPIHono<PipelineEnv>, parts: HttpDependencies) => void)[];
}

/** The connection that a request came on. */
export interface Connected {
  readonly incoming?: IncomingMessage;
  readonly outgoing?: ServerResponse;
}

export interface HttpApp {
  /** Never rejects. With `outgoing`, what the frame adds to the headers is written there, else into the answer. */
  fetch(request: Request, env?: Connected): Promise<Response>;
  /** Ends what would go on for long, before the server stops. */
  close(): Promise<void>;
}

export async function createHttpApp(
  parts: HttpDependencies,
  dialects: readonly Dialect[],
  mounts: readonly Mount[],
  options: HttpAppOptions,
): Promise<HttpApp> {
  const { limits, allowed_hosts = [], behind_proxy = false, authenticators = [] } = options;
  const failures = await FailureLimiter.create(limits.auth_failures_per_minute);
  const metrics = options.metrics ?? (await createMetrics(false));
  const findArea = routeGroupFinder(dialects, mounts);
  const gate = new RequestPipeline({
    findArea,
    hosts: new HostAllowList(allowed_hosts, parts.public_url),
    authenticator: new Authenticator(parts.vault, failures, authenticators),
    requests: await RequestLimiter.create(limits.requests_per_minute),
  });
  const is_https = parts.public_url.startsWith('https:');
  const app = new OpenAPIHono<PipelineEnv>({ router: new GroupRouter(findArea) });
  app.use('*', gate.pass);
  const { metrics_open = false } = options;
  addBuiltInRoutes(app, { vault: parts.vault, metrics, metrics_open, gate });
  for (const mount of mounts) addMount(app, mount, is_https);
  for (const dialect of dialects) addDialect(app, dialect, parts);
  for (const add of options.open_routes ?? []) add(app, parts);
  app.onError((error, c) => toErrorResponse(c.env.exchange, error, parts.log));
  app.notFound((c) => {
    throw noRoute(app, c.req.path);
  });

  return {
    async fetch(request, env = {}) {
      const started_ms = performance.now();
      const { incoming, outgoing } = env;
      const exchange: RequestContext = {
        request_id: newRequestId(),
        area: DEFAULT_GROUP,
        address: () =>
          clientAddress(
            incoming?.socket.remoteAddress,
            request.headers.get('x-forwarded-for') ?? undefined,
            behind_proxy,
          ),
        route: UNMATCHED_ROUTE,
        caller: undefined,
        code: undefined,
        headers: new Map(),
      };
      let response: Response;
      try {
        response = await app.fetch(request, { exchange, incoming });
      } catch (thrown) {
        response = toErrorResponse(exchange, thrown, parts.log);
      }
      if (response.status === 401 && !exchange.headers.has('WWW-Authenticate'))
        exchange.headers.set('WWW-Authenticate', exchange.area.challenge());
      if (outgoing === undefined)
        response = withHeaders(response, exchange.request_id, exchange.headers, is_https);
      else setHeaders(outgoing, exchange.request_id, exchange.headers, is_https);
      // Input that a schema refuses is answered beyond the frame.
      if (response.status === 400 || response.status === 422) exchange.code ??= 'INVALID_INPUT';
      const ms = performance.now() - started_ms;
      metrics.request(exchange, request.method, response.status, ms / 1000);
      logRequest(parts.log, request.method, response.status, Math.round(ms), exchange);
      return response;
    },
    async close() {
      await Promise.all(mounts.map((mount) => mount.close?.()));
    },
  };
}

function addDialect(app: OpenAPIHono<PipelineEnv>, dialect: Dialect, parts: HttpDependencies): void {
  const routes = new OpenAPIHono<HttpEnv>({
    defaultHook: (result, c) => {
      if (result.success) return undefined;
      const target = INVALID_TARGETS[result.target] ?? 'header';
      const { issues } = result.error;
      return asResponse(dialect.invalid({ target, issues }, c.var.request_id));
    },
  });
  dialect.register(routes, parts);
  // A route elsewhere would be one that needs no key.
  const stray = routes.routes.find(
    ({ path }) => !dialect.prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)),
  );
  if (stray !== undefined) throw new Error(`${stray.path} is not below a prefix of ${dialect.name}`);
  app.route('/', routes);
}

const INVALID_TARGETS: Readonly<Record<string, InvalidInput['target']>> = {
  json: 'body',
  form: 'body',
  param: 'path',
  query: 'query',
};

function addMount(app: OpenAPIHono<PipelineEnv>, mount: Mount, is_https: boolean): void {
  app.all(mount.path, async (c) => {
    const request_id = c.get('request_id');
    const body = c.get('body_text');
    const answer = await (mount.access === 'open'
      ? mount.handler(c.req.raw, { request_id, body })
      : mount.handler(c.req.raw, { request_id, body, caller: c.get('caller') }));
    const { headers } = answer;
    // What comes from elsewhere, or from a library, may say what is this server's to say.
    if (!headers.has('X-Request-ID') && !headers.has('Connection')) return answer;
    return withHeaders(answer, request_id, c.env.exchange.headers, is_https);
  });
}

/** Nothing of it was sent by the caller: the method is one of those that there are, the route one of ours. */
function logRequest(log: Logger, method: string, status: number, ms: number, exchange: RequestContext): void {
  const { request_id, area, route, caller, code } = exchange;
  const key_id = caller?.api_key_id;
  const fields = { request_id, area: area.name, method, route, status, ms, code, key_id };
  if (area === DEFAULT_GROUP && status < 400) log.debug(fields, 'request');
  else log.info(fields, 'request');
}
