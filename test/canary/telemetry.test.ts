/**
 * Exports traces and metrics of requests, tool calls and uses that contain canaries in every part that a caller chooses, and
 * searches the exported bytes. Also, a service gets no trace context that its caller did not set as a header.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Canary, findCanary, findText, newCanary } from '../kit/canary.ts';
import { type ServeProcess, startServeProcess } from '../kit/http/http_server.ts';
import { startOtlpReceiver } from '../kit/servers/otlp_receiver.ts';
import { startUpstream, upstreamEnv } from '../kit/upstream/upstream.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';
import { BEARER, definitionOf } from '../use/call/call_kit.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE_ID}-00f067aa0ba902b7-01`;
const OWN_TRACEPARENT = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const TIMEOUT_MS = 120_000;

/** Parts that a caller or an operator chooses, each with a text that occurs nowhere else. */
interface Names {
  readonly value: Canary;
  readonly organization: string;
  readonly user: string;
  readonly stack: string;
  readonly service: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly header: string;
  readonly body: string;
  readonly error: string;
}

function newNames(): Names {
  const word = (prefix: string) => `${prefix}-${newCanary().word.toLowerCase()}`;
  const service = word('service');
  return {
    value: newCanary(),
    organization: word('org'),
    user: word('user'),
    stack: word('stack'),
    service,
    host: `${word('host')}.acme.test`,
    path: word('path'),
    query: word('query'),
    header: word('header'),
    body: word('body'),
    error: word('error'),
  };
}

interface Setup {
  readonly home: string;
  readonly key: string;
}

/** A vault with one organization and user of these names, a custom service, and its credential in the stack. */
async function fillVault(names: Names): Promise<Setup> {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { recursive: true });
  const own = { slug: names.service, hosts: [names.host], base_url: `https://${names.host}` };
  writeFileSync(join(home, 'services', 'own.json'), JSON.stringify(definitionOf(BEARER, own)));
  const { vault, caller } = await openTestVault(home);
  const { organization, user } = names;
  const person = { ...caller(), edge: 'cli' } as const;
  const { key } = await vault.api_keys.create(person, { organization, user });
  await vault.close();
  return { home, key };
}

async function send(
  server: ServeProcess,
  key: string,
  method: string,
  path: string,
  body?: object,
  more: Readonly<Record<string, string>> = {},
): Promise<number> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more };
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(`${server.url}${path}`, { method, headers, ...init });
  await response.arrayBuffer();
  return response.status;
}

/** Writes, uses and failures, over REST and MCP. Returns the statuses. */
async function act(server: ServeProcess, key: string, names: Names): Promise<number[]> {
  const { value, stack, service, path, query, header, body, error } = names;
  const rest = (method: string, at: string, sent?: object, more?: Readonly<Record<string, string>>) =>
    send(server, key, method, at, sent, more);
  const tool = (name: string, args: object) =>
    rest(
      'POST',
      '/mcp',
      { jsonrpc: '2.0', id: error, method: 'tools/call', params: { name, arguments: args } },
      { accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-11-25' },
    );
  const call = { path: `/${path}?${query}=1`, headers: { 'x-own': header }, method: 'POST', body: { body } };
  const traced = { ...call, headers: { traceparent: OWN_TRACEPARENT } };
  return [
    await rest('POST', '/v1/stacks', { stack_id: stack, name: stack }),
    await tool('store_credential', {
      service_id: service,
      credential_type: 'bearer',
      credential_value: value.word,
    }),
    await tool('update_credentials', { service_id: service, credentials: { [error]: value.value } }),
    await tool('call_service', { service_id: service, ...call }),
    await tool('call_service', { service_id: error, ...call }),
    await tool(error, {}),
    await rest('POST', `/v1/services/${service}/call`, call, { traceparent: TRACEPARENT, 'x-own': header }),
    await rest('POST', `/v1/services/${service}/call`, traced, { traceparent: TRACEPARENT }),
    await rest('POST', `/v1/services/${service}/call`, { ...call, path: `/fail/${path}` }),
    await rest('GET', `/v1/stacks/${stack}?${query}=${value.word}`),
    await rest('GET', `/${path}/${error}?${query}`),
    await rest('PUT', `/v1/stacks/${stack}/servers/${service}/credentials`, { [error]: value.word }),
    await rest('DELETE', `/v1/stacks/${error}`),
    await send(server, `kh_${value.word}`, 'GET', '/v1/stacks', undefined, { tracestate: `a=${error}` }),
  ];
}

test(
  'no exported byte contains a value, a key, or a text that a caller or a tenant chose',
  async () => {
    const names = newNames();
    const receiver = await startOtlpReceiver();
    const upstream = await startUpstream([names.host], ({ path, headers }, response) => {
      if (path.startsWith('/fail')) response.destroy();
      else response.setHeader('x-echo', String(headers.authorization)).end(names.error);
    });
    const { home, key } = await fillVault(names);
    const env = {
      ...upstreamEnv(home),
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_METRIC_EXPORT_INTERVAL: '200',
    };
    const server = await startServeProcess({ home, env });
    const statuses = await act(server, key, names);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(4);
    expect(statuses.filter((status) => status >= 400).length).toBeGreaterThan(4);
    await expect.poll(() => receiver.points().length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(await server.end()).toEqual({ code: 0, signal: null });

    const exported = receiver.bytes();
    expect(findCanary(exported, names.value)).toStrictEqual([]);
    const { value: _, ...texts } = names;
    const keys = { key, key_id: key.split('_')[1] ?? '', admin_key: server.admin_key, home };
    for (const [name, text] of Object.entries({ ...texts, ...keys }))
      expect(findText(exported, text), name).toStrictEqual([]);

    // The search is not empty: the uses were sent, and have spans.
    const paths = upstream.requests.map(({ path }) => path);
    expect(paths.filter((path) => path.startsWith(`/${names.path}`))).toHaveLength(3);
    const sent = receiver
      .spans()
      .filter(({ kind, attributes }) => kind === 'client' && attributes['http.request.method']);
    expect(sent.length).toBeGreaterThanOrEqual(4);
    expect(new Set(sent.flatMap(({ attributes }) => Object.keys(attributes)))).toStrictEqual(
      new Set(['http.request.method', 'http.response.status_code', 'error.type']),
    );
    expect(receiver.spans().filter(({ events, message }) => events > 0 || message !== '')).toStrictEqual([]);

    // The trace context of the request stays here; one that the caller sets as a header of the call is sent.
    const traceparents = upstream.requests.map(({ headers }) => headers.traceparent);
    expect(traceparents.filter((one) => one !== undefined)).toStrictEqual([OWN_TRACEPARENT]);
    expect(upstream.requests.flatMap(({ headers }) => [headers.tracestate, headers.baggage]).join('')).toBe(
      '',
    );
  },
  TIMEOUT_MS,
);
