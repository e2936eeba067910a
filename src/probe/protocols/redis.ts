/**
 * Tests a login to Redis or Valkey over RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/). Written here,
 * because the client library opens its sockets itself. A password goes to a public address over TLS only.
 */
import type { Socket } from 'node:net';
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import { parseConnectionString } from '../connection_string.ts';
import { findingOf } from '../failures.ts';
import type { Finding, Probe, ProbeConnection, ProbeNetwork, ProbeParameters } from '../probe.ts';
import { encryptionOf, SocketReader } from '../probe_socket.ts';

const DEFAULT_PORT = 6379;
const SCHEMES = ['rediss', 'redis'];

interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** `undefined`: not stated. */
  readonly tls: boolean | undefined;
  readonly username: string;
  readonly password: string;
  /** Its number; 0 is the default. */
  readonly database: number;
}

interface Reply {
  /** The error code, such as `NOAUTH`; absent: no error. */
  readonly code?: string | undefined;
  readonly text: string;
}

/** https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors, and the errors in `src/server.c` of Redis. */
const REASON_OF_CODE: ReadonlyMap<string, TestReason> = new Map([
  ['WRONGPASS', 'refused_credentials'],
  ['NOAUTH', 'refused_credentials'],
  ['NOPERM', 'permission_missing'],
  ['LOADING', 'service_failed'],
  ['BUSY', 'service_failed'],
  ['MISCONF', 'service_failed'],
  ['MASTERDOWN', 'service_failed'],
  ['CLUSTERDOWN', 'service_failed'],
]);
/** Its code is that of any error. */
const TOO_MANY_CLIENTS = 'ERR max number of clients';

export const probeRedis: Probe = async (parameters, network) => {
  const server = readServer(parameters);
  if (server === undefined) return { reason: 'not_testable', checked: [] };
  const opened = await open(network, server);
  if ('reason' in opened) return opened;
  const { client, socket } = opened;
  const { username, password, database } = server;
  const facts: Record<string, string> = { tls: encryptionOf(socket) };
  const checked = ['connection'];
  let requires_password = password !== '';
  if (requires_password) {
    checked.push('login');
    const reply = await client.send('AUTH', ...(username === '' ? [] : [username]), password);
    // Another error is of a server without a password, or of one before version 6: PING shows which.
    if (isFailure(reply)) return { ...failure(reply), checked, facts };
    requires_password = reply.code === undefined;
  }
  checked.push('PING');
  const ping = await client.send('PING');
  if (ping.code !== undefined)
    return {
      ...failure(ping),
      checked,
      facts,
      ...(ping.code === 'NOAUTH' && password === '' ? { detail: 'A password is missing.' } : {}),
      ...(ping.code === 'NOPERM' ? { detail: 'The user may not run PING.' } : {}),
    };
  if (ping.text !== 'PONG') return { reason: 'unexpected_response', checked, facts };
  if (database > 0) {
    checked.push('database');
    const reply = await client.send('SELECT', String(database));
    // The only error of SELECT without a specific code is that of an index out of range.
    if (reply.code === 'ERR')
      return { reason: 'no_such_database', checked, facts, server_message: reply.text };
    if (reply.code !== undefined) return { ...failure(reply), checked, facts };
  }
  // A proxy may close the connection at commands that it does not have. The credential is accepted all the same.
  const who = await client.send('ACL', 'WHOAMI').catch(() => undefined);
  const info = who && (await client.send('INFO', 'server').catch(() => undefined));
  const [, version] = /^(?:valkey|redis)_version:(\S+)/m.exec(info?.text ?? '') ?? [];
  if (version !== undefined) facts.server_version = version;
  const account = who?.code === undefined ? who?.text : undefined;
  const detail = requires_password ? undefined : 'The server requires no password.';
  return { reason: 'accepted', checked, facts, account, detail };
};

/** `undefined`: no host. Throws INVALID_INPUT for a URL of another scheme. Options of client libraries in it are not read. */
function readServer(parameters: ProbeParameters): RedisServer | undefined {
  const url = parameters.get('url');
  if (url !== undefined) return parseUrl(url);
  const text = (name: 'host' | 'port' | 'username' | 'password') => parameters.get(name)?.reveal();
  const host = text('host');
  if (host === undefined) return undefined;
  const port = Number(text('port') ?? DEFAULT_PORT);
  const [username, password] = [text('username') ?? '', text('password') ?? ''];
  return { host, port, tls: undefined, username, password, database: 0 };
}

function parseUrl(url: Secret): RedisServer {
  const { scheme, host, port, username, password, path } = parseConnectionString(url, SCHEMES);
  if (path !== undefined && !/^\d{1,5}$/.test(path))
    throw new VaultError('INVALID_INPUT', 'The database in the connection string is not a number.');
  return {
    host,
    port: port ?? DEFAULT_PORT,
    tls: scheme === 'rediss',
    username: username ?? '',
    password: password ?? '',
    database: Number(path ?? 0),
  };
}

/**
 * Without a statement about TLS: at a public address with TLS, at a private one without, and with TLS if the server does not
 * respond otherwise.
 */
async function open(
  network: ProbeNetwork,
  { host, port, tls }: RedisServer,
): Promise<Finding | (ProbeConnection & { readonly client: RespClient })> {
  const withTls = async () => {
    const connection = await network.connect({ host, port, tls: true });
    return { ...connection, client: new RespClient(connection.socket) };
  };
  if (tls) return withTls();
  const connection = await network.connect({ host, port, tls: false });
  if (!connection.is_public) {
    const client = new RespClient(connection.socket);
    const reply = tls === false ? undefined : await client.send('PING').catch(() => undefined);
    if (reply !== undefined && isFailure(reply) && reply.code === 'ERR')
      return { ...failure(reply), checked: ['connection'] };
    if (tls === false || reply !== undefined) return { ...connection, client };
  }
  connection.socket.destroy();
  if (tls === false)
    return {
      reason: 'tls_unavailable',
      checked: [],
      detail:
        'A redis:// URL sends the password without encryption, so it was not sent to this public address.',
    };
  return withTls().catch((error: unknown) => {
    const finding = findingOf(error);
    // The server accepts connections, but did not complete the handshake.
    return finding.reason.startsWith('certificate') ? finding : { reason: 'tls_unavailable', checked: [] };
  });
}

/** Other than a general error. */
function isFailure({ code, text }: Reply): boolean {
  return code !== undefined && (code !== 'ERR' || text.startsWith(TOO_MANY_CLIENTS));
}

function failure({ code = '', text }: Reply): Omit<Finding, 'checked'> {
  const reason = text.startsWith(TOO_MANY_CLIENTS) ? 'rate_limited' : REASON_OF_CODE.get(code);
  return { reason: reason ?? 'unexpected_response', server_message: text };
}

/** Sends one command at a time. Replies with arrays are not read, as no command of the test has one. */
class RespClient {
  readonly #socket: Socket;
  readonly #reader: SocketReader;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = new SocketReader(socket);
  }

  async send(...command: readonly string[]): Promise<Reply> {
    const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
    this.#socket.write(`*${command.length}\r\n${parts.join('')}`);
    const line = await this.#reader.line();
    const text = line.slice(1);
    if (line.startsWith('+') || line.startsWith(':')) return { text };
    if (line.startsWith('-')) return { text, code: text.split(' ', 1)[0] };
    if (!/^\$\d{1,7}$/.test(line)) throw new Error('the reply is not one of RESP2');
    const bytes = await this.#reader.bytes(Number(text) + 2);
    return { text: bytes.subarray(0, -2).toString('utf8') };
  }
}
