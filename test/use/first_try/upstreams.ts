/**
 * Upstreams with the routes, parameters and errors of parts of three APIs, as their documentation describes them. Each
 * rejects what the real one would reject: a missing token, another content type, a wrong parameter.
 */
import type { ServerResponse } from 'node:http';
import { parse } from 'node:querystring';
import type { Handler, ReceivedRequest } from '../../kit/upstream/upstream.ts';

export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as text. */
  readonly text?: string;
}
type Route = (request: ReceivedRequest, url: URL, match: RegExpExecArray) => Reply;
type Routes = readonly (readonly [method: string, path: RegExp, route: Route])[];

const reply = (status: number, body: unknown): Reply => ({ status, body });
const NOT_FOUND = reply(404, { message: 'Not Found' });

function serve(
  routes: Routes,
  isAuthenticated: (request: ReceivedRequest) => boolean,
  denied: Reply,
): Handler {
  return (request, response) => {
    const url = new URL(request.path, 'https://upstream.test');
    const found = routes
      .filter(([method]) => method === request.method)
      .map(([, path, route]) => ({ route, match: path.exec(url.pathname) }))
      .find(({ match }) => match !== null);
    if (!isAuthenticated(request)) send(response, denied);
    else if (found?.match == null) send(response, NOT_FOUND);
    else send(response, found.route(request, url, found.match));
  };
}

function send(response: ServerResponse, { status, body, headers = {}, text }: Reply): void {
  const type = text === undefined ? 'application/json' : 'text/plain';
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(status === 204 ? undefined : (text ?? JSON.stringify(body)));
}

function jsonOf(request: ReceivedRequest): Record<string, unknown> | undefined {
  if (!/^application\/(?:[\w.+-]+\+)?json/.test(request.headers['content-type'] ?? '')) return undefined;
  try {
    return JSON.parse(request.body.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

const issue = (number: number) => ({
  number,
  title: `Issue ${number}`,
  state: 'open',
  body: 'Text. '.repeat(40),
  user: { login: 'octo' },
  labels: [],
});

/** Docs: docs.github.com/rest. The token is what the test stores. */
export function github(token: string): Handler {
  const INVALID = reply(422, { message: 'Validation Failed' });
  return serve(
    [
      ['GET', /^\/user$/, () => reply(200, { login: 'ana', id: 1, name: 'Ana' })],
      [
        'GET',
        /^\/repos\/octo\/hello\/issues$/,
        (_request, url) => {
          const size = Number(url.searchParams.get('per_page') ?? 30);
          const page = Number(url.searchParams.get('page') ?? 1);
          const body = Array.from({ length: size }, (_, at) => issue((page - 1) * size + at + 1));
          const next = `<https://api.github.com/repos/octo/hello/issues?per_page=${size}&page=${page + 1}>; rel="next"`;
          return { status: 200, body, headers: { link: next } };
        },
      ],
      [
        'POST',
        /^\/repos\/octo\/hello\/issues$/,
        (request) => {
          const { title, labels } = jsonOf(request) ?? {};
          return typeof title === 'string' ? reply(201, { ...issue(8), title, labels }) : INVALID;
        },
      ],
      [
        'PATCH',
        /^\/repos\/octo\/hello\/issues\/(\d+)$/,
        (request, _url, [, number]) => {
          const { state } = jsonOf(request) ?? {};
          return state === 'closed' || state === 'open'
            ? reply(200, { ...issue(Number(number)), state })
            : INVALID;
        },
      ],
      [
        'POST',
        /^\/repos\/octo\/hello\/issues\/(\d+)\/comments$/,
        (request) => {
          const { body } = jsonOf(request) ?? {};
          return typeof body === 'string' ? reply(201, { id: 1, body }) : INVALID;
        },
      ],
      [
        'GET',
        /^\/orgs\/octo\/repos$/,
        (_request, url) => reply(200, [{ name: `repo-${url.searchParams.get('page') ?? 1}` }]),
      ],
      [
        'GET',
        /^\/repos\/octo\/hello\/readme$/,
        (request) =>
          /application\/vnd\.github\.(?:v3\.)?raw/.test(request.headers.accept ?? '')
            ? { status: 200, body: undefined, text: '# Hello\nA test repository.\n' }
            : reply(200, { name: 'README.md', encoding: 'base64', content: 'IyBIZWxsbwo=' }),
      ],
      ['DELETE', /^\/repos\/octo\/hello\/git\/refs\/heads\/old$/, () => reply(204, undefined)],
    ],
    ({ headers }) => headers.authorization === `Bearer ${token}` && headers['user-agent'] !== undefined,
    reply(401, { message: 'Bad credentials' }),
  );
}

/** Docs: docs.stripe.com/api. Bodies are forms; JSON is refused, as by the real API version 1. */
export function stripe(key: string): Handler {
  const formOf = (request: ReceivedRequest) =>
    /^application\/x-www-form-urlencoded/.test(request.headers['content-type'] ?? '')
      ? parse(request.body.toString())
      : undefined;
  const refuse = (message: string) => reply(400, { error: { type: 'invalid_request_error', message } });
  const withForm = (route: (form: Record<string, unknown>, request: ReceivedRequest) => Reply): Route => {
    return (request) => {
      const form = formOf(request);
      return form === undefined
        ? refuse('Send the body as application/x-www-form-urlencoded.')
        : route(form, request);
    };
  };
  return serve(
    [
      ['GET', /^\/v1\/balance$/, () => reply(200, { available: [{ amount: 1200, currency: 'usd' }] })],
      [
        'POST',
        /^\/v1\/customers$/,
        withForm(({ email }) => (email === undefined ? refuse('email') : reply(200, { id: 'cus_1', email }))),
      ],
      [
        'GET',
        /^\/v1\/charges$/,
        (_request, url) => {
          const limit = Number(url.searchParams.get('limit') ?? 10);
          return reply(200, {
            object: 'list',
            data: Array.from({ length: limit }, (_, at) => ({ id: `ch_${at}` })),
          });
        },
      ],
      [
        'POST',
        /^\/v1\/refunds$/,
        withForm(({ charge, amount }) =>
          charge === 'ch_1' ? reply(200, { id: 're_1', charge, amount: Number(amount) }) : refuse('charge'),
        ),
      ],
      [
        'POST',
        /^\/v1\/customers\/cus_1$/,
        withForm((form) => reply(200, { id: 'cus_1', metadata: { plan: form['metadata[plan]'] } })),
      ],
      [
        'POST',
        /^\/v1\/payment_intents$/,
        withForm(({ amount, currency }, { headers }) =>
          amount === '1000' && currency === 'usd'
            ? reply(200, { id: 'pi_1', idempotency_key: headers['idempotency-key'] ?? null })
            : refuse('amount and currency'),
        ),
      ],
      ['DELETE', /^\/v1\/subscriptions\/sub_1$/, () => reply(200, { id: 'sub_1', status: 'canceled' })],
    ],
    ({ headers }) => headers.authorization === `Bearer ${key}`,
    reply(401, { error: { message: 'Invalid API Key provided' } }),
  );
}

/** Docs: linear.app/developers/graphql. One endpoint; a personal key is sent without a scheme. */
export function linear(key: string): Handler {
  return serve(
    [
      [
        'POST',
        /^\/graphql$/,
        (request) => {
          const { query, variables } = jsonOf(request) ?? {};
          if (typeof query !== 'string') return reply(400, { errors: [{ message: 'query is missing' }] });
          return reply(200, { data: resultOf(query, variables as Record<string, unknown> | undefined) });
        },
      ],
    ],
    ({ headers }) => headers.authorization === key,
    reply(401, { errors: [{ message: 'Authentication required' }] }),
  );
}

function resultOf(query: string, variables: Record<string, unknown> | undefined): unknown {
  if (/mutation/.test(query) && /issueCreate/.test(query))
    return { issueCreate: { success: true, issue: { id: 'i1', title: JSON.stringify(variables ?? query) } } };
  if (/issues/.test(query)) return { issues: { nodes: [{ id: 'i1', title: 'First' }] } };
  return { viewer: { id: 'u1', name: 'Ana' } };
}
