/**
 * HTTPS servers on loopback that take the role of a service, under the real names of its hosts: `api.github.com` leads to
 * the server of the test, in this process and in child processes. See `routes.cjs`.
 *
 *     const upstream = await startUpstream(['api.github.com'], echo());
 *     const egress = openUpstreamEgress();                         // in this process
 *     await runProgram(['call', ...], { env: upstreamEnv(home) }); // the built program
 *     expect(upstream.requests[0].headers.authorization).toBe('Bearer ...');
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { AllowList } from '../../../src/egress/allow_list.ts';
import { Egress, type EgressOptions } from '../../../src/egress/egress.ts';
import type { Lookup } from '../../../src/egress/resolver.ts';
import { issueCertificate, TEST_CA_CERT } from './certificates.ts';

export interface ReceivedRequest {
  readonly method: string;
  /** Path and query, as they were sent. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they were sent, for duplicates. */
  readonly raw_headers: readonly string[];
  readonly body: Buffer;
  /** The name in the TLS handshake. */
  readonly server_name: string | false | undefined;
}

/** Responds to a request whose body was read. */
export type Handler = (request: ReceivedRequest, response: ServerResponse) => void;

export interface Upstream {
  readonly port: number;
  /** All requests, in order. */
  readonly requests: readonly ReceivedRequest[];
  /** The number of TCP connections, also of those that failed in the TLS handshake. */
  readonly connections: () => number;
}

interface Routes {
  readonly routes: Map<string, number>;
  readonly lookups: string[];
  readonly addressOf: (name: string) => string;
  readonly install: () => void;
}

const PRELOAD = fileURLToPath(new URL('./routes.cjs', import.meta.url));
const routing = createRequire(import.meta.url)(PRELOAD) as Routes;
/** For `AllowList` and KEYHOLD_EGRESS_ALLOW: where upstreams of tests listen. */
export const UPSTREAM_ALLOW = '127.0.0.0/8';

let is_installed = false;

/**
 * Starts a server with a certificate of the test CA for `names` (a name may begin with `*.`). Port 443 of each name, and
 * its own port, lead to it until the test ends.
 */
export async function startUpstream(names: readonly string[], handler: Handler): Promise<Upstream> {
  const requests: ReceivedRequest[] = [];
  let connections = 0;
  const server = await serveNames(names, async (request, response) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // The client closed the connection in the middle of its request.
    }
    const received: ReceivedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      raw_headers: request.rawHeaders,
      body: Buffer.concat(chunks),
      server_name: Reflect.get(request.socket, 'servername'),
    };
    requests.push(received);
    handler(received, response);
  });
  server.on('connection', () => {
    connections += 1;
  });
  const { port } = server.address() as AddressInfo;
  return { port, requests, connections: () => connections };
}

/** As `startUpstream`, for a listener that reads the requests itself. */
export async function serveNames(names: readonly string[], listener: RequestListener): Promise<Server> {
  const server = createServer(issueCertificate(names), listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  if (!is_installed) routing.install();
  is_installed = true;
  for (const name of names) routing.routes.set(name, port);
  onTestFinished(() => {
    for (const name of names) if (routing.routes.get(name) === port) routing.routes.delete(name);
    server.closeAllConnections();
    server.close();
  });
  return server;
}

/** An egress that trusts the test CA and finds the upstreams. Closed when the test ends. */
export function openUpstreamEgress(options: Partial<EgressOptions> = {}): Egress {
  const allow = AllowList.parse(UPSTREAM_ALLOW);
  if (allow === undefined) throw new Error('not a list');
  const egress = new Egress({ allow, ca: [TEST_CA_CERT], lookup: upstreamLookup, ...options });
  onTestFinished(() => egress.close());
  return egress;
}

/** Resolves the names of the upstreams that run, and no others. */
export const upstreamLookup: Lookup = async (name) => [routing.addressOf(name)];

/** The names that this process resolved, in order; the test may empty the list. */
export function upstreamLookups(): string[] {
  return routing.lookups;
}

/**
 * Environment variables with which the built program finds the upstreams that run now and trusts the test CA. `folder`: gets
 * the files `upstream_ca.pem` and, once names are resolved, `upstream_lookups.txt`.
 */
export function upstreamEnv(folder: string): NodeJS.ProcessEnv {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const ca = join(folder, 'upstream_ca.pem');
  writeFileSync(ca, TEST_CA_CERT);
  return {
    NODE_OPTIONS: `--require="${PRELOAD}"`,
    KEYHOLD_TEST_ROUTES: JSON.stringify(Object.fromEntries(routing.routes)),
    KEYHOLD_TEST_LOOKUPS: join(folder, 'upstream_lookups.txt'),
    KEYHOLD_EGRESS_ALLOW: UPSTREAM_ALLOW,
    KEYHOLD_EGRESS_CA: ca,
  };
}
