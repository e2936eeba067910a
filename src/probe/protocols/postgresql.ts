/**
 * Tests a login to PostgreSQL with the driver `pg`, over a connection whose TLS was agreed on here (PostgreSQL documentation,
 * "Message Flow", SSL Session Encryption). Changes nothing in the database.
 */
import type { Socket } from 'node:net';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Client } from 'pg';
import { VaultError } from '../../contract/errors.ts';
import { parseConnectionString } from '../connection_string.ts';
import { closeOnParseError } from '../driver_socket.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Probe, ProbeConnection, ProbeNetwork, ProbeParameters } from '../probe.ts';
import { readOnce } from '../read_once.ts';

const DEFAULT_PORT = 5432;
const QUERY_TIMEOUT_MS = 5_000;
/** Length 8, then the code 80877103. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const SCHEMES = ['postgresql', 'postgres'];
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Of libpq. */
  readonly sslmode: string | undefined;
}

interface Channel {
  readonly socket: Socket;
  /** Such as `TLSv1.3`; `none` without TLS. */
  readonly tls: string;
}

/** Whether the role may change any data: in a table or schema that is not of the system. */
const QUERY = `SELECT current_user AS account, current_setting('server_version') AS version,
  NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off' AND (
    EXISTS (SELECT 1 FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' AND has_schema_privilege(oid, 'CREATE'))
    OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)'
      AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE'))) AS can_write`;

export const probePostgresql: Probe = async (parameters, network) => {
  const login = loginOf(parameters);
  if (login.host === '' || login.user === '')
    return { reason: 'not_testable', checked: [], detail: 'It has no host or no user name.' };
  const connection = await network.connect({ host: login.host, port: login.port, tls: false });
  const checked = ['connection'];
  try {
    const channel = await agreeOnTls(login, connection, network);
    if (channel === undefined) return { reason: 'tls_unavailable', checked };
    checked.push('TLS');
    return await logIn(login, channel, connection.is_public, checked);
  } catch (error) {
    return findingOf(error, checked);
  }
};

/** Throws INVALID_INPUT for another connection string, and for an unknown sslmode. */
function loginOf(parameters: ProbeParameters): Login {
  const url = parameters.get('url');
  const text = (name: 'host' | 'port' | 'username' | 'password' | 'database' | 'tls') =>
    parameters.get(name)?.reveal();
  const parsed = url && parseConnectionString(url, SCHEMES);
  const user = (parsed ? parsed.username : text('username')) ?? '';
  const sslmode = (parsed ? parsed.query.get('sslmode') : text('tls')) || undefined;
  if (sslmode !== undefined && !SSL_MODES.includes(sslmode))
    throw new VaultError('INVALID_INPUT', `sslmode is none of ${SSL_MODES.join(', ')}.`);
  return {
    host: parsed?.host ?? text('host') ?? '',
    port: parsed === undefined ? Number(text('port') ?? DEFAULT_PORT) : (parsed.port ?? DEFAULT_PORT),
    user,
    password: (parsed ? parsed.password : text('password')) ?? '',
    database: (parsed ? parsed.path : text('database')) || user,
    sslmode,
  };
}

/**
 * The connection as `sslmode` demands it; undefined if the server does not offer TLS that is required. Without a mode, a
 * certificate must be valid, and only an address that the operator allows is connected to without TLS.
 */
async function agreeOnTls(
  { host, sslmode }: Login,
  { socket, is_public }: ProbeConnection,
  network: ProbeNetwork,
): Promise<Channel | undefined> {
  if (sslmode === 'disable') return { socket, tls: 'none' };
  socket.write(SSL_REQUEST);
  const reply = await readOnce(socket);
  const accepts = reply.length === 1 ? String(reply) : '';
  if (accepts === 'N') {
    const may_be_plain = sslmode === 'prefer' || sslmode === 'allow' || (sslmode === undefined && !is_public);
    return may_be_plain ? { socket, tls: 'none' } : undefined;
  }
  if (accepts !== 'S') throw Object.assign(new Error('not PostgreSQL'), { code: 'EPROTO' });
  const secure = await network.startTls(
    socket,
    tlsOptions(sslmode, network.tlsOptions(host.replace(/^\[|\]$/g, ''))),
  );
  return { socket: secure, tls: secure.getProtocol() ?? 'TLS' };
}

/** libpq: `verify-ca` verifies the authority only, and the modes below it nothing. */
function tlsOptions(sslmode: string | undefined, strict: ConnectionOptions): ConnectionOptions {
  if (sslmode === 'verify-full' || sslmode === undefined) return strict;
  if (sslmode === 'verify-ca') return { ...strict, checkServerIdentity: () => undefined };
  return { ...strict, rejectUnauthorized: false };
}

async function logIn(
  login: Login,
  channel: Channel,
  is_public: boolean,
  checked: string[],
): Promise<Finding> {
  const { default: pg } = await import('pg');
  const { host, port, user, database } = login;
  let wants_plain_password = false;
  const client: Client = new pg.Client({
    host,
    port,
    user,
    database,
    ssl: false,
    stream: connected(closeOnParseError(channel.socket)),
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'keyhold',
    password: () => {
      if (wants_plain_password && channel.tls === 'none' && is_public) throw new PlainPasswordError();
      if (login.password === '') throw new MissingPasswordError();
      return login.password;
    },
  });
  // The driver emits errors of the connection here too.
  client.on('error', () => undefined);
  (client as unknown as { connection: NodeJS.EventEmitter }).connection.on(
    'authenticationCleartextPassword',
    () => {
      wants_plain_password = true;
    },
  );
  try {
    await client.connect();
    checked.push('login');
    const { rows } = await client.query<{ account: string; version: string; can_write: boolean }>(QUERY);
    checked.push('query', 'write access');
    const [row] = rows;
    return {
      reason: 'accepted',
      checked,
      // The server declares the types: a value need not be a text.
      account: row === undefined ? undefined : String(row.account),
      facts: {
        server_version: String(row?.version ?? ''),
        tls: channel.tls,
        can_write: row?.can_write ? 'yes' : 'no',
      },
    };
  } catch (error) {
    if (error instanceof PlainPasswordError) return { reason: 'tls_unavailable', checked };
    if (error instanceof MissingPasswordError)
      return { reason: 'refused_credentials', checked, detail: 'A password is missing.' };
    return failureOf(error, checked);
  } finally {
    client.end().catch(() => undefined);
  }
}

/** The password would be sent unencrypted to a public address. */
class PlainPasswordError extends Error {}

/** The server requests a password. */
class MissingPasswordError extends Error {}

/** The driver connects the socket that it is given; this one is connected already. */
function connected(socket: Socket | TLSSocket): () => Socket {
  return () => {
    socket.connect = () => {
      // It is paused since the reply about TLS was read.
      setImmediate(() => socket.resume().emit('connect'));
      return socket;
    };
    return socket;
  };
}

/** By SQLSTATE (PostgreSQL documentation, appendix A). */
function failureOf(error: unknown, checked: readonly string[]): Finding {
  const state: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  const severity: unknown = error instanceof Error ? Reflect.get(error, 'severity') : undefined;
  if (typeof state !== 'string' || typeof severity !== 'string') return findingOf(error, checked);
  const server_message = error instanceof Error ? error.message : undefined;
  const found = { checked, server_message };
  if (state === '28000') return { reason: 'login_not_allowed', ...found };
  if (state.startsWith('28')) return { reason: 'refused_credentials', ...found };
  if (state === '3D000') return { reason: 'no_such_database', ...found };
  if (state === '42501') return { reason: 'permission_missing', ...found };
  if (state.startsWith('53') || state.startsWith('57')) return { reason: 'service_failed', ...found };
  return { reason: 'unexpected_response', ...found };
}
