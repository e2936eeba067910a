/** A server with the routes under `/v1`, and short functions to call it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { danube } from '../../src/rest/danube/dialect.ts';
import { keyhold } from '../../src/rest/keyhold/dialect.ts';
import { toolrouter } from '../../src/rest/toolrouter/dialect.ts';
import { type HttpServerOptions, startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export interface Ask {
  readonly key?: string;
  /** As JSON; a text as it is. */
  readonly body?: unknown;
}

export interface V1Server extends TestHttpServer {
  /** `request` is a method and a path: `GET /v1/me`. */
  ask(request: string, how?: Ask): Promise<Answer>;
  /** The parsed body of a response with status 200. */
  get<Body = unknown>(request: string, how?: Ask): Promise<Body>;
}

export async function startV1(options: HttpServerOptions = {}): Promise<V1Server> {
  const server = await startHttpServer({ dialects: [toolrouter, danube, keyhold], ...options });
  const ask = async (request: string, { key, body }: Ask = {}): Promise<Answer> => {
    const [method = '', path = ''] = request.split(' ');
    const answer = await server.request(path, {
      method,
      ...(key === undefined ? {} : { key }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  return {
    ...server,
    ask,
    async get(request, how) {
      const { status, text } = await ask(request, how);
      if (status !== 200) throw new Error(`${request} was answered with ${status}: ${text}`);
      return JSON.parse(text);
    },
  };
}

/** A new stack of the key's user, with these servers in it. */
export async function newStack(server: V1Server, servers: readonly string[], key?: string): Promise<string> {
  const who = key === undefined ? {} : { key };
  const { stack_id } = await server.get<{ stack_id: string }>('POST /v1/stacks', {
    ...who,
    body: { stack_name: 'Production' },
  });
  for (const server_id of servers)
    await server.get(`POST /v1/stacks/${stack_id}/servers`, { ...who, body: { server_id } });
  return stack_id;
}

const run = promisify(execFile);

/** Runs a documented command line in a shell; curl prints only the response. */
export async function runExample(command: string): Promise<Omit<Answer, 'headers'>> {
  const quiet = command.replace(/^curl /, "curl --silent --show-error --write-out '\\n%{http_code}' ");
  const { stdout } = await run('sh', ['-c', quiet], { encoding: 'utf8' });
  const end = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(end + 1)), text: stdout.slice(0, end) };
}
