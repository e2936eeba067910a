/**
 * The complete server in this process, without sockets: every dialect, MCP and the public pages on a real vault with
 * tenants. Validates every response against the OpenAPI document before returning it.
 */
import { createHttpApp, type HttpApp } from '../../../src/http/app.ts';
import { challengeFor, wellKnownMount } from '../../../src/http/auth/protected_resource.ts';
import type { HttpDependencies } from '../../../src/http/dialect.ts';
import { MCP_PATH, mcpMount } from '../../../src/mcp/http.ts';
import { DIALECTS } from '../../../src/rest/dialects.ts';
import { addDocs } from '../../../src/rest/openapi/docs.ts';
import { addOpenApi } from '../../../src/rest/openapi/document.ts';
import { TOOLS } from '../../../tools/catalogue.ts';
import { openTenants, type Tenants } from '../vault/tenants.ts';
import { collectingLog, type HttpServerOptions, type LogLine } from './http_server.ts';
import { type OpenApiDocument, OpenApiValidator } from './openapi_validator.ts';

/** Makes `startHttpServer` serve the same routes as `keyhold serve`. */
export const FULL_SERVER_OPTIONS: HttpServerOptions = {
  dialects: DIALECTS,
  mounts: (parts) => mountsOf(parts),
  settings: { open_routes: [addOpenApi, addDocs] },
};

export interface TestRequest {
  readonly method: string;
  /** Path and query, as in the request line. */
  readonly path: string;
  readonly key?: string | undefined;
  /** Sent as JSON; a string or bytes are sent unchanged. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface TestResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The route group and the route pattern, from the log line of the request. */
  readonly area: string;
  readonly route: string;
}

export interface InProcessServer {
  readonly tenants: Tenants;
  readonly fetch: HttpApp['fetch'];
  readonly validator: OpenApiValidator;
  /** All log lines so far; a test may empty it. */
  readonly log: LogLine[];
  /** Rejects if the response does not match the OpenAPI document. */
  send(request: TestRequest): Promise<TestResponse>;
}

const URL_HERE = 'http://127.0.0.1:8787';
/** High enough never to be reached, so that every response has the rate limit headers. */
const LIMIT = 1_000_000_000;

export interface InProcessServerOptions {
  readonly home?: string;
  readonly requests_per_minute?: number;
}

/** Closed when the test ends. */
export async function openInProcessServer({
  home,
  requests_per_minute = LIMIT,
}: InProcessServerOptions = {}): Promise<InProcessServer> {
  const tenants = await openTenants(home);
  const log: LogLine[] = [];
  const parts: HttpDependencies = {
    vault: tenants.vault,
    calls: tenants.calls,
    tests: tenants.tests,
    connections: tenants.connections,
    log: collectingLog(log),
    version: '1.2.3-test',
    public_url: URL_HERE,
    now: () => tenants.clock.now(),
  };
  const app = await createHttpApp(parts, DIALECTS, mountsOf(parts), {
    ...FULL_SERVER_OPTIONS.settings,
    limits: { requests_per_minute, auth_failures_per_minute: 0 },
  });
  const response = await app.fetch(toRequest({ method: 'GET', path: '/openapi.json' }));
  const document: OpenApiDocument = JSON.parse(await response.text());
  const validator = new OpenApiValidator(document);
  return {
    tenants,
    fetch: app.fetch,
    validator,
    log,
    async send(request) {
      const response = await toTestResponse(await app.fetch(toRequest(request)), log);
      const violations = validator.findViolations(request.method, response);
      if (violations.length > 0) {
        const { method, path, body } = request;
        throw new Error(
          `${method} ${path} ${shortenBody(body)} was answered ${response.status} ${response.text.slice(0, 300)}\n${violations.join('\n')}`,
        );
      }
      return response;
    },
  };
}

function mountsOf(parts: HttpDependencies) {
  const challenge = () => challengeFor(parts.public_url, MCP_PATH, undefined);
  return [mcpMount(parts, TOOLS, challenge), wellKnownMount(parts.public_url, MCP_PATH, undefined)];
}

/** The request as a client would send it. */
export function toRequest(request: TestRequest): Request {
  const { headers, bytes } = toHeaders(request, new URL(URL_HERE).host);
  const { method, path } = request;
  return new Request(URL_HERE + path, { method, headers, ...(bytes === undefined ? {} : { body: bytes }) });
}

/** Headers and body of a request. */
export function toHeaders({ key, body, headers: given }: TestRequest, host: string) {
  const headers = new Headers({ host, ...given });
  if (key !== undefined && !headers.has('authorization')) headers.set('authorization', `Bearer ${key}`);
  if (body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
  const bytes = body === undefined ? undefined : bytesOf(body);
  if (bytes !== undefined) headers.set('content-length', String(bytes.byteLength));
  return { headers, bytes };
}

function bytesOf(body: unknown): Uint8Array<ArrayBuffer> {
  if (body instanceof Uint8Array) return new Uint8Array(body);
  return new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body));
}

async function toTestResponse(response: Response, log: readonly LogLine[]): Promise<TestResponse> {
  const { status, headers } = response;
  const request_id = headers.get('x-request-id');
  const line = log.findLast(
    ({ fields, message }) => message === 'request' && fields.request_id === request_id,
  );
  if (line === undefined) throw new Error('a response without a log line');
  const text = await response.text();
  return { status, headers, text, area: String(line.fields.area), route: String(line.fields.route) };
}

function shortenBody(body: unknown): string {
  return body === undefined ? '' : (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 300);
}
