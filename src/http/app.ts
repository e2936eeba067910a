/**
 * The HTTP application as one `fetch`: finds the route group of a request, runs its app, and adds headers, log line and
 * metrics to every response. Only a mount with `access: 'open'`, the built-in routes and `open_routes` work without a key.
 */
import type { OpenAPIHono } from '@hono/zod-openapi';
import { getPath } from 'hono/utils/url';
import type { Logger } from '../contract/logger.ts';
import { newRequestId } from '../crypto/request_id.ts';
import { inSpan, isTracing, type Span } from '../io/tracing/span.ts';
import { ServiceTools } from '../use/tools/service_tools.ts';
import { type Authenticate, Authenticator } from './auth/authenticator.ts';
import { formatChallenge } from './auth/bearer_challenge.ts';
import { clientAddress, RateLimiter, type RateLimits, RequestLimits } from './auth/rate_limits.ts';
import {
  HEALTH_PATH,
  type NodeExchange,
  type PipelineEnv,
  READY_PATH,
  type RequestContext,
  UNMATCHED_ROUTE,
} from './context.ts';
import type { Dialect, HttpDependencies } from './dialect.ts';
import { toErrorResponse } from './error_response.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import type { Mount } from './mount.ts';
import { HostAllowList } from './request/host_check.ts';
import { RequestPipeline } from './request/pipeline.ts';
import { setHeaders, withHeaders } from './request/security_headers.ts';
import { addBuiltInRoutes } from './routing/built_in_routes.ts';
import { serveDefaultGroup, serveDialect, serveMount } from './routing/group_app.ts';
import { DEFAULT_GROUP, routeGroupFinder } from './routing/route_groups.ts';

const UNTRACED_PATHS: readonly string[] = [HEALTH_PATH, READY_PATH];

export interface HttpAppOptions {
  readonly limits: RateLimits;
  /** Names by which clients may call this server, in addition to loopback and its public URL. */
  readonly allowed_hosts?: readonly string[];
  /** Connections come from a proxy, which names the client in X-Forwarded-For. */
  readonly behind_proxy?: boolean;
  /** Tried before API keys. */
  readonly authenticators?: readonly Authenticate[];
  readonly metrics?: Metrics;
  /** Metrics need no key, because only this machine can request them. Otherwise they need a key of the operator. */
  readonly metrics_open?: boolean;
  /** See `BuiltInRoutesOptions`. Default: never. */
  readonly isDraining?: () => boolean;
  /** Add routes that need no key, after all others: the OpenAPI document and its page. */
  readonly open_routes?: readonly ((app: OpenAPIHono<PipelineEnv>, parts: HttpDependencies) => void)[];
}

export interface HttpApp {
  /** Never rejects. Without `env`, which tests do not have, all headers are set on the response. */
  fetch(request: Request, env?: NodeExchange): Promise<Response>;
}

export async function createHttpApp(
  parts: HttpDependencies,
  dialects: readonly Dialect[],
  mounts: readonly Mount[],
  options: HttpAppOptions,
): Promise<HttpApp> {
  const { limits, allowed_hosts = [], behind_proxy = false, authenticators = [] } = options;
  const { metrics = await createMetrics(false), metrics_open = false, isDraining = () => false } = options;
  const failures = new RateLimiter(
    limits.auth_failures_per_minute,
    'Too many requests without a valid API key or access token.',
    [parts.vault.nodes, 'failed_authentications'],
  );
  const requests = new RequestLimits(limits.requests_per_minute, parts.vault.nodes);
  const pipeline = new RequestPipeline({
    hosts: new HostAllowList(allowed_hosts, parts.public_url),
    authenticator: new Authenticator(parts.vault, failures, authenticators),
    requests,
    loadDefinitions: () => parts.vault.definitions.loadApproved(),
  });
  const { runAuditRead, countRequests, countInvocation } = requests;
  const { services, stacks } = parts.vault;
  const service_tools = new ServiceTools({ services, stacks, calls: parts.calls });
  const counters = { runAuditRead, countRequests, countInvocation, countError: metrics.error };
  const group_parts = { ...parts, ...counters, pipeline, service_tools };
  const groups = [
    ...mounts.map((mount) => serveMount(mount, group_parts)),
    ...dialects.map((dialect) => serveDialect(dialect, group_parts)),
  ];
  const built_in = serveDefaultGroup(group_parts);
  // For the OpenAPI document, which one of the open routes makes.
  for (const definition of groups.flatMap(({ app }) => app.openAPIRegistry.definitions))
    if (definition.type === 'route') built_in.app.openAPIRegistry.registerPath(definition.route);
  addBuiltInRoutes(built_in.app, { vault: parts.vault, metrics, metrics_open, pipeline, isDraining });
  for (const add of options.open_routes ?? []) add(built_in.app, parts);
  const findGroup = routeGroupFinder(groups, built_in);
  const is_https = parts.public_url.startsWith('https:');

  const respond: Respond = async (request, env, span) => {
    const started_ms = performance.now();
    const path = getPath(request);
    const { group, app } = findGroup(path);
    const context: RequestContext = {
      request_id: newRequestId(),
      group,
      address: () => {
        const forwarded_for = behind_proxy ? request.headers.get('x-forwarded-for') : null;
        return clientAddress(env?.incoming.socket.remoteAddress, forwarded_for);
      },
      route: UNMATCHED_ROUTE,
      caller: undefined,
      code: undefined,
      bearer_error: undefined,
      headers: new Map(),
    };
    let response: Response;
    try {
      response = await app.fetch(request, { context, path, incoming: env?.incoming });
    } catch (thrown) {
      response = toErrorResponse(context, thrown, parts.log);
    }
    addChallenge(context, response.status);
    if (env === undefined) response = withHeaders(response, context.request_id, context.headers, is_https);
    else setHeaders(env.outgoing, context.request_id, context.headers, is_https);
    // Validation failures become responses without passing through toErrorResponse.
    if (response.status === 400 || response.status === 422) context.code ??= 'INVALID_INPUT';
    const ms = performance.now() - started_ms;
    metrics.request(context, request.method, response.status, ms / 1000);
    logRequest(parts.log, request.method, response.status, Math.round(ms), context);
    if (span !== undefined) describeRequest(span, request.method, response.status, context);
    return response;
  };
  return { fetch: withSpan(respond, is_https) };
}

type Respond = (request: Request, env?: NodeExchange, span?: Span) => Promise<Response>;

/** Each request in a span, except those of a process supervisor. */
function withSpan(respond: Respond, is_https: boolean): HttpApp['fetch'] {
  return async (request, env) => {
    if (!isTracing() || UNTRACED_PATHS.includes(getPath(request))) return respond(request, env);
    const { method } = request;
    const attributes = { 'http.request.method': method, 'url.scheme': is_https ? 'https' : 'http' };
    const traceparent = request.headers.get('traceparent') ?? undefined;
    const options = { kind: 'server', traceparent, attributes } as const;
    return inSpan(method, options, (span) => respond(request, env, span));
  };
}

/** HTTP semantic conventions of OpenTelemetry. Like the log line, nothing that the client sent. */
function describeRequest(span: Span, method: string, status: number, context: RequestContext): void {
  const { group, route, code } = context;
  const is_matched = route !== UNMATCHED_ROUTE;
  if (is_matched) span.rename(`${method} ${route}`);
  span.set({
    'http.response.status_code': status,
    'http.route': is_matched ? route : undefined,
    'keyhold.area': group.name,
    'keyhold.error_code': code,
  });
  if (status >= 500) span.fail(code ?? String(status));
}

/** A 403 has a challenge only if a token with other scopes would help (RFC 6750, section 3.1). */
function addChallenge({ group, headers, bearer_error }: RequestContext, status: number): void {
  if (status === 401 || (status === 403 && bearer_error !== undefined))
    headers.set('WWW-Authenticate', formatChallenge({ ...group.challenge(), ...bearer_error }));
}

/** Logs nothing that the client sent: the method is a known one, the route is a pattern. */
function logRequest(log: Logger, method: string, status: number, ms: number, context: RequestContext): void {
  const { request_id, group, route, caller, code } = context;
  const key_id = caller?.api_key_id;
  const fields = { request_id, area: group.name, method, route, status, ms, code, key_id };
  if (group === DEFAULT_GROUP && status < 400) log.debug(fields, 'request');
  else log.info(fields, 'request');
}
