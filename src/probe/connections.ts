/** Tests credentials of services that are not used over HTTP, each with the probe of its protocol. */
import { VaultError } from '../contract/errors.ts';
import { TEST_RECEIVED_MAX_BYTES } from '../contract/limits.ts';
import type { Secret } from '../contract/secret.ts';
import {
  BOUND_PARAMETERS,
  type ConnectionParameter,
  type ConnectionProtocol,
  type ConnectionRule,
} from '../contract/service/connection.ts';
import type { Service } from '../contract/service/service.ts';
import type { Egress } from '../egress/egress.ts';
import { findingOf } from './failures.ts';
import type { Probe, ProbeNetwork, ProbeParameters, Tested } from './probe.ts';

/** Each is loaded by the first test that needs it. */
const PROBES: Readonly<Record<ConnectionProtocol, () => Promise<Probe>>> = {
  postgresql: async () => (await import('./protocols/postgresql.ts')).probePostgresql,
  mysql: async () => (await import('./protocols/mysql.ts')).probeMysql,
  mongodb: async () => (await import('./protocols/mongodb.ts')).probeMongodb,
  redis: async () => (await import('./protocols/redis.ts')).probeRedis,
  sftp: async () => (await import('./protocols/sftp.ts')).probeSftp,
  smtp: async () => (await import('./protocols/smtp.ts')).probeSmtp,
  imap: async () => (await import('./protocols/imap.ts')).probeImap,
};

/** The connections that the fields make possible: those with a URL or a host. */
export function connectionsOf(
  service: Service,
  has: (field_id: string) => boolean,
): readonly ConnectionRule[] {
  return (service.connections ?? []).filter(({ fields: { url, host } }) =>
    [url, host].some((id) => id !== undefined && has(id)),
  );
}

export interface ConnectionTest {
  readonly rule: ConnectionRule;
  /** By field, with the defaults of the definition. */
  readonly values: ReadonlyMap<string, Secret>;
  /** The values of destination fields that the credential is bound to. */
  readonly bound: Readonly<Record<string, string>>;
  readonly egress: Egress;
  readonly principal: string;
  readonly timeout_ms: number;
}

/** Nothing stays open when it resolves. Rejects with VaultError if the values cannot be tested. */
export async function testConnection(test: ConnectionTest): Promise<Tested> {
  const { rule, egress, principal, timeout_ms } = test;
  const probe = await PROBES[rule.protocol]();
  const parameters = parametersOf(test);
  const sockets = new Set<{ destroy(): unknown }>();
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new DOMException('timeout', 'TimeoutError')), timeout_ms);
  let origin: string | undefined;
  let address: string | undefined;
  const network: ProbeNetwork = {
    async connect(endpoint) {
      origin = `${rule.protocol}://${endpoint.host}:${endpoint.port}`;
      const limits = { timeout_ms, received_max_bytes: TEST_RECEIVED_MAX_BYTES };
      const connection = await egress.connect({ ...endpoint, ...limits, principal });
      sockets.add(connection.socket);
      ({ address } = connection);
      if (abort.signal.aborted) connection.socket.destroy();
      return connection;
    },
    tlsOptions: (host) => egress.tlsOptions(host),
    startTls: (socket, options) => egress.startTls(socket, options),
  };
  try {
    const aborted = new Promise<never>((_, reject) =>
      abort.signal.addEventListener('abort', () => reject(abort.signal.reason)),
    );
    const running = probe(parameters, network, { signal: abort.signal });
    // After the time is over, its result is of no use.
    running.catch(() => undefined);
    return { finding: await Promise.race([running, aborted]), origin, address };
  } catch (error) {
    return { finding: findingOf(error), origin, address };
  } finally {
    clearTimeout(timer);
    abort.abort();
    for (const socket of sockets) socket.destroy();
  }
}

/** The server that a connection string names, such as `postgresql://db.example.com:5432`; `undefined` without one. */
export function originOfUrl(
  { protocol, fields: { url: id } }: ConnectionRule,
  values: ReadonlyMap<string, Secret>,
): string | undefined {
  const text = id === undefined ? undefined : values.get(id)?.reveal();
  const host = text !== undefined && URL.canParse(text) ? new URL(text).host : '';
  return host === '' ? undefined : `${protocol}://${host}`;
}

/** With a connection string only that: no value of another field goes to the server that it names. */
function parametersOf({ rule: { fields }, values, bound }: ConnectionTest): ProbeParameters {
  const url = fields.url === undefined ? undefined : values.get(fields.url);
  if (url !== undefined) return new Map([['url', url]]);
  const parameters = new Map<ConnectionParameter, Secret>();
  for (const [parameter, id] of Object.entries(fields) as [ConnectionParameter, string][]) {
    const value = values.get(id);
    if (value === undefined) continue;
    const differs = bound[id] !== undefined && value.reveal() !== bound[id];
    if (BOUND_PARAMETERS.includes(parameter) && differs)
      throw new VaultError('CONFLICT', 'The credential is bound to another server. Store it again.');
    parameters.set(parameter, value);
  }
  return parameters;
}
