/**
 * Tests a login to MySQL or MariaDB with the driver `mysql2`. A public address gets nothing without TLS: with
 * caching_sha2_password, a server without TLS can have the password encrypted with a key of its choice. Changes nothing.
 */
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { Connection, RowDataPacket } from 'mysql2';
import { VaultError } from '../../contract/errors.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import { closeOnParseError } from '../driver_socket.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Probe, ProbeNetwork, ProbeParameters } from '../probe.ts';
import { encryptionOf } from '../probe_socket.ts';
import { isRefusal } from '../reasons.ts';

const DEFAULT_PORT = 3306;
const QUERY_TIMEOUT_MS = 5_000;
/** The client option --ssl-mode of MySQL. Absent: TLS with verification; without TLS only at a private address that has none. */
const TLS_MODES = ['DISABLED', 'PREFERRED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'];

/** MySQL error reference, "Server Error Message Reference"; 4151 is 3118 of MariaDB. */
const REASON_OF_ERROR: ReadonlyMap<number, TestReason> = new Map([
  [1040, 'service_failed'],
  [1044, 'permission_missing'],
  [1045, 'refused_credentials'],
  [1049, 'no_such_database'],
  [1053, 'service_failed'],
  [1129, 'rate_limited'],
  [1130, 'login_not_allowed'],
  [1203, 'rate_limited'],
  [1226, 'rate_limited'],
  [1698, 'refused_credentials'],
  [1820, 'expired'],
  [1862, 'expired'],
  [3118, 'login_not_allowed'],
  [3159, 'login_not_allowed'],
  [4151, 'login_not_allowed'],
]);
const REASON_OF_DRIVER_CODE: ReadonlyMap<unknown, TestReason> = new Map([
  ['PROTOCOL_CONNECTION_LOST', 'unreachable'],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 'timed_out'],
]);

const WRITES = /\b(?:ALL PRIVILEGES|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER)\b/;

interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string | undefined;
  /** Of `TLS_MODES`. */
  readonly tls_mode: string | undefined;
}

export const probeMysql: Probe = async (parameters, network) => {
  const login = loginOf(parameters);
  if (login === undefined) return { reason: 'not_testable', checked: [] };
  const { host, port, tls_mode } = login;
  const { socket, is_public } = await network.connect({ host, port, tls: false });
  if (tls_mode !== 'DISABLED') {
    const finding = await logIn(login, socket, network, tlsOptions(login, network));
    if (finding !== 'no TLS') return finding;
  }
  const may_be_plain = [undefined, 'DISABLED', 'PREFERRED'].includes(tls_mode);
  if (!may_be_plain) return { reason: 'tls_unavailable', checked: ['connection'] };
  const detail =
    'The password was not sent, because it would not be encrypted on the way to a public address.';
  const refused: Finding = { reason: 'tls_unavailable', checked: ['connection'], detail };
  if (is_public) return refused;
  if (tls_mode === 'DISABLED') return plainly(login, socket, network);
  socket.destroy();
  const again = await network.connect({ host, port, tls: false });
  return again.is_public ? refused : plainly(login, again.socket, network);
};

/** `undefined`: no host or user. Throws INVALID_INPUT for an unknown mode. */
function loginOf(parameters: ProbeParameters): Login | undefined {
  const text = (name: 'host' | 'port' | 'tls' | 'username' | 'password' | 'database') =>
    parameters.get(name)?.reveal() || undefined;
  const [host, user, tls_mode] = [text('host'), text('username'), text('tls')];
  if (host === undefined || user === undefined) return undefined;
  if (tls_mode !== undefined && !TLS_MODES.includes(tls_mode))
    throw new VaultError('INVALID_INPUT', `The TLS mode is none of ${TLS_MODES.join(', ')}.`);
  const port = Number(text('port') ?? DEFAULT_PORT);
  return { host, port, user, password: text('password') ?? '', database: text('database'), tls_mode };
}

/** PREFERRED and REQUIRED verify nothing, as in the clients of MySQL; VERIFY_CA verifies the authority only. */
function tlsOptions({ host, tls_mode }: Login, network: ProbeNetwork): ConnectionOptions {
  const strict = network.tlsOptions(host.replace(/^\[|\]$/g, ''));
  if (tls_mode === 'PREFERRED' || tls_mode === 'REQUIRED') return { ...strict, rejectUnauthorized: false };
  return tls_mode === 'VERIFY_CA' ? { ...strict, checkServerIdentity: () => undefined } : strict;
}

async function plainly(login: Login, socket: Socket, network: ProbeNetwork): Promise<Finding> {
  const finding = await logIn(login, socket, network);
  return finding === 'no TLS' ? { reason: 'tls_unavailable', checked: ['connection'] } : finding;
}

/** `no TLS`: the server has none, and nothing was sent. */
async function logIn(
  login: Login,
  socket: Socket,
  network: ProbeNetwork,
  tls?: ConnectionOptions,
): Promise<Finding | 'no TLS'> {
  const { default: mysql } = await import('mysql2');
  const { host, port, user, password, database } = login;
  const checked = ['connection'];
  const client = mysql.createConnection({
    host,
    port,
    user,
    password,
    ...(database === undefined ? {} : { database }),
    stream: closeOnParseError(socket),
    // The handshake is that of `startTls` below.
    ...(tls === undefined ? {} : { ssl: {} }),
    // The server may request no file of this machine.
    flags: ['-LOCAL_FILES'],
    // No code is generated from names that the server sends.
    disableEval: true,
    enableCleartextPlugin: false,
    connectTimeout: 0,
  });
  client.on('error', () => undefined);
  const facts: Record<string, string> = { tls: 'none' };
  if (tls !== undefined)
    startTlsWith(client, async () => {
      const secure = await network.startTls(socket, tls);
      facts.tls = encryptionOf(secure);
      checked.push('TLS');
      return secure;
    });
  try {
    await new Promise<void>((resolve, reject) =>
      client.connect((error) => (error ? reject(error) : resolve())),
    );
    checked.push('login');
    const [row] = await query(client, 'SELECT CURRENT_USER() AS account, VERSION() AS version');
    facts.server_version = String(row?.version ?? '');
    checked.push('query');
    facts.can_write = await writeAccess(client);
    checked.push('write access');
    return { reason: 'accepted', checked, account: String(row?.account ?? ''), facts };
  } catch (error) {
    if (tls !== undefined && codeOf(error) === 'HANDSHAKE_NO_SSL_SUPPORT') return 'no TLS';
    const finding = failureOf(error, checked);
    // Nothing was sent, and anybody on the way can send an error without TLS.
    if (tls !== undefined && facts.tls === 'none' && isRefusal(finding.reason))
      return { ...finding, reason: 'unexpected_response', facts };
    // A server may refuse a user without TLS with the error of a wrong password.
    const detail = 'The connection had no TLS, which the server may require.';
    const is_refused = finding.reason === 'refused_credentials' && tls === undefined;
    return { ...finding, facts, ...(is_refused ? { detail } : {}) };
  } finally {
    client.destroy();
    socket.destroy();
  }
}

/** Replaces the driver's own handshake, which verifies no IP address and resumes sessions that another test verified. */
function startTlsWith(client: Connection, start: () => Promise<Socket>): void {
  const internals = client as unknown as {
    stream: Socket;
    packetParser: PacketParser;
    startTLS(done: (error?: Error) => void): void;
  };
  internals.startTLS = (done) => {
    const plain = internals.packetParser;
    const { onPacket } = plain;
    // The driver would respond to a packet behind the greeting without TLS, even with the password.
    plain.onPacket = () => {
      throw new Error('the server sent a packet before TLS');
    };
    internals.stream.removeAllListeners('data');
    start()
      .then((secure) => {
        // Without a part of a packet from before.
        internals.packetParser = new plain.constructor(onPacket);
        internals.stream = secure;
        closeOnParseError(secure).on('data', (data: Buffer) => internals.packetParser.execute(data));
        done();
      })
      // The driver replaces the code of the error, but not that of its cause.
      .catch((cause: unknown) => done(new Error('the TLS handshake failed', { cause })));
  };
}

/** Of the driver. */
interface PacketParser {
  onPacket: (packet: unknown) => void;
  execute(data: Buffer): void;
  readonly constructor: new (onPacket: (packet: unknown) => void) => PacketParser;
}

function query(client: Connection, sql: string): Promise<readonly RowDataPacket[]> {
  return new Promise((resolve, reject) =>
    client.query<RowDataPacket[]>({ sql, timeout: QUERY_TIMEOUT_MS }, (error, rows) =>
      error ? reject(error) : resolve(Array.isArray(rows) ? rows : []),
    ),
  );
}

/** By the privileges of the user: `yes`, `no`, or `unknown` if only a role could have them. */
async function writeAccess(client: Connection): Promise<string> {
  const [server] = await query(client, 'SELECT @@global.read_only AS read_only');
  if (!['0', 'OFF'].includes(String(server?.read_only))) return 'no';
  const grants = (await query(client, 'SHOW GRANTS')).map((row) => String(Object.values(row)[0]));
  const privileges = grants.map((grant) => /^GRANT (.*?) ON /.exec(grant)?.[1]);
  if (privileges.some((list) => list !== undefined && WRITES.test(list))) return 'yes';
  return privileges.includes(undefined) ? 'unknown' : 'no';
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}

/** By the number that the server sent. */
function failureOf(error: unknown, checked: readonly string[]): Finding {
  const [number, text] = ['errno', 'sqlMessage'].map((name) =>
    error instanceof Error ? (Reflect.get(error, name) as unknown) : undefined,
  );
  const code = codeOf(error);
  if (code === 'MYSQL_CLEAR_PASSWORD_NOT_ENABLED')
    return {
      reason: 'unexpected_response',
      checked,
      detail: 'The server requests the password itself instead of a proof of it, so it was not sent.',
    };
  const reason = REASON_OF_DRIVER_CODE.get(code);
  if (reason !== undefined) return { reason, checked };
  if (typeof number !== 'number' || typeof text !== 'string') return findingOf(error, checked);
  const server_message = text;
  return { reason: REASON_OF_ERROR.get(number) ?? 'unexpected_response', checked, server_message };
}
