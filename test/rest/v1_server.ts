/** Starts a server with the routes below `/v1` and sends requests to it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { type HttpServerOptions, startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';

export interface ApiResponse {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export interface SendOptions {
  readonly key?: string;
  /** Sent as JSON; a string is sent unchanged. */
  readonly body?: unknown;
}

export interface V1Server extends TestHttpServer {
  /** `request` is a method and a path: `GET /v1/me`. */
  send(request: string, options?: SendOptions): Promise<ApiResponse>;
  /** The parsed body of a response with status 200. */
  get<Body = unknown>(request: string, options?: SendOptions): Promise<Body>;
}

export async function startV1(options: HttpServerOptions = {}): Promise<V1Server> {
  const server = await startHttpServer({ dialects: [toolrouter, danube, keyhold], ...options });
  const send = async (request: string, { key, body }: SendOptions = {}): Promise<ApiResponse> => {
    const [method = '', path = ''] = request.split(' ');
    const response = await server.request(path, {
      method,
      ...(key === undefined ? {} : { key }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  return {
    ...server,
    send,
    async get(request, options) {
      const { status, text } = await send(request, options);
      if (status !== 200) throw new Error(`${request} returned ${status}: ${text}`);
      return JSON.parse(text);
    },
  };
}

/** Creates a stack with these servers for the user of the key. */
export async function createStack(
  server: V1Server,
  servers: readonly string[],
  key?: string,
): Promise<string> {
  const key_option = key === undefined ? {} : { key };
  const { stack_id } = await server.get<{ stack_id: string }>('POST /v1/stacks', {
    ...key_option,
    body: { stack_name: 'Production' },
  });
  for (const server_id of servers)
    await server.get(`POST /v1/stacks/${stack_id}/servers`, { ...key_option, body: { server_id } });
  return stack_id;
}

const run = promisify(execFile);

/** Runs a documented command line in a shell; curl prints only the response. */
export async function runExample(command: string): Promise<Omit<ApiResponse, 'headers'>> {
  const full_command = command.replace(/^curl /, "curl --silent --show-error --write-out '\\n%{http_code}' ");
  const { stdout } = await run('sh', ['-c', full_command], { encoding: 'utf8' });
  const end = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(end + 1)), text: stdout.slice(0, end) };
}
