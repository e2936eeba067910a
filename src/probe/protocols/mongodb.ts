/**
 * Tests a login to MongoDB: `hello`, SCRAM and `connectionStatus` over OP_MSG (MongoDB documentation, "Wire Protocol"). Written
 * here, because the driver opens its sockets and resolves names itself. A password goes to a public address over TLS only.
 */
import type { Socket } from 'node:net';
import type { Document } from 'bson';
import { Secret } from '../../contract/secret.ts';
import type { TestReason } from '../../contract/use/test_result.ts';
import { parseConnectionString } from '../connection_string.ts';
import type { Finding, Probe } from '../probe.ts';
import { encryptionOf, SocketReader } from '../probe_socket.ts';
import { isScramMechanism, logInWithScram } from '../scram.ts';

type Bson = Pick<typeof import('bson'), 'serialize' | 'deserialize' | 'Binary'>;

const DEFAULT_PORT = 27_017;
const SCHEMES = ['mongodb'];
const OP_MSG = 2013;
/** Length, request id, response to, operation, flags, kind of the section. */
const HEADER_BYTES = 21;

/** https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml; 8000 is that of Atlas. */
const REASON_OF_CODE: ReadonlyMap<unknown, TestReason> = new Map<unknown, TestReason>([
  [11, 'refused_credentials'],
  [13, 'refused_credentials'],
  [18, 'refused_credentials'],
  [8000, 'refused_credentials'],
  [334, 'not_testable'],
  [462, 'rate_limited'],
  [91, 'service_failed'],
  [189, 'service_failed'],
  [11600, 'service_failed'],
  [11602, 'service_failed'],
]);

export const probeMongodb: Probe = async (parameters, network) => {
  const text = parameters.get('url')?.reveal();
  if (text === undefined) return { reason: 'not_testable', checked: [] };
  if (/^mongodb\+srv:/i.test(text)) {
    const detail =
      'Its mongodb+srv:// address needs DNS records that tests do not read: store a mongodb:// one.';
    return { reason: 'not_testable', checked: [], detail };
  }
  const { host, port = DEFAULT_PORT, username, password, path, query } = firstServer(text);
  const requested = query.get('authMechanism');
  if (requested !== undefined && !isScramMechanism(requested))
    return { reason: 'not_testable', checked: [], detail: 'Only logins with SCRAM are tested.' };
  const tls = (query.get('tls') ?? query.get('ssl')) === 'true';
  const connection = await network.connect({ host, port, tls });
  if (connection.is_public && !tls) {
    const detail = 'Without tls=true in the connection string, nothing is sent to this public address.';
    return { reason: 'tls_unavailable', checked: [], detail };
  }
  const { socket } = connection;
  const facts: Record<string, string> = { tls: encryptionOf(socket) };
  const client = new MongoConnection(socket, await import('bson'));
  const source = query.get('authSource') ?? path ?? 'admin';
  const checked = ['connection'];
  try {
    const mechanisms = username === undefined ? {} : { saslSupportedMechs: `${source}.${username}` };
    const hello = await client.run('admin', { hello: 1, ...mechanisms });
    if (username !== undefined) {
      checked.push('login');
      const offered: unknown = hello.saslSupportedMechs;
      // MongoDB 4.0 and later have SCRAM-SHA-256; a user may have been created before.
      const only_sha1 = Array.isArray(offered) && !offered.includes('SCRAM-SHA-256');
      const mechanism = requested ?? (only_sha1 ? 'SCRAM-SHA-1' : 'SCRAM-SHA-256');
      const login = { mechanism, username, password: password ?? '' };
      if (!(await logInWithScram(login, (step) => client.authenticate(source, step))))
        return { reason: 'unexpected_response', checked, facts };
    }
    return { ...(await readAccess(client, username !== undefined, facts)), checked };
  } catch (error) {
    if (!(error instanceof MongoFailure)) throw error;
    const reason = REASON_OF_CODE.get(error.code) ?? 'unexpected_response';
    return { reason, checked, facts, server_message: error.message };
  }
};

/** Of several servers the first: they have the same users. */
function firstServer(text: string): ReturnType<typeof parseConnectionString> {
  const one = text.replace(/^(mongodb:\/\/(?:[^@/?#]*@)?[^@/?#,]+),[^@/?#]*/i, '$1');
  return parseConnectionString(new Secret(one), SCHEMES);
}

/** Rejects with MongoFailure if nothing is permitted without a login. */
async function readAccess(
  client: MongoConnection,
  is_logged_in: boolean,
  facts: Record<string, string>,
): Promise<Omit<Finding, 'checked'>> {
  // Needs a login if the server requires one, unlike `ping`.
  if (!is_logged_in) await client.run('admin', { listDatabases: 1, nameOnly: true });
  const build = await client.run('admin', { buildInfo: 1 }).catch((): Document => ({}));
  if (typeof build.version === 'string') facts.server_version = build.version;
  const { authInfo } = await client.run('admin', { connectionStatus: 1 });
  const [user] = authInfo?.authenticatedUsers ?? [];
  const account = user === undefined ? undefined : `${user.user}@${user.db}`;
  const has_roles = !is_logged_in || authInfo?.authenticatedUserRoles?.length > 0;
  if (has_roles) return { reason: 'accepted', account, facts };
  return { reason: 'permission_missing', account, facts, detail: 'The user has no role.' };
}

/** A command that the server refused. */
class MongoFailure extends Error {
  readonly code: unknown;

  constructor(code: unknown, message: unknown) {
    super(String(message));
    this.name = 'MongoFailure';
    this.code = code;
  }
}

/** Runs one command at a time. */
class MongoConnection {
  readonly #socket: Socket;
  readonly #reader: SocketReader;
  readonly #bson: Bson;
  #request_id = 0;

  constructor(socket: Socket, bson: Bson) {
    this.#socket = socket;
    this.#reader = new SocketReader(socket);
    this.#bson = bson;
  }

  /** One step of SASL; resolves with the payload of the server. */
  async authenticate(
    source: string,
    { mechanism, payload, conversation }: { mechanism: string; payload: string; conversation?: unknown },
  ): Promise<{ readonly payload: string; readonly conversation: unknown; readonly done: boolean }> {
    const binary = new this.#bson.Binary(Buffer.from(payload));
    const command =
      conversation === undefined
        ? { saslStart: 1, mechanism, payload: binary, options: { skipEmptyExchange: true } }
        : { saslContinue: 1, conversationId: conversation, payload: binary };
    const response = await this.run(source, command);
    const bytes: unknown = response.payload?.buffer;
    const text = bytes instanceof Uint8Array ? Buffer.from(bytes).toString('utf8') : '';
    return { payload: text, conversation: response.conversationId, done: response.done === true };
  }

  /** Rejects with MongoFailure if the server refuses it. */
  async run(database: string, command: Document): Promise<Document> {
    const body = this.#bson.serialize({ ...command, $db: database });
    const header = Buffer.alloc(HEADER_BYTES);
    this.#request_id += 1;
    const fields = [HEADER_BYTES + body.length, this.#request_id, 0, OP_MSG, 0];
    for (const [at, value] of fields.entries()) header.writeInt32LE(value, at * 4);
    this.#socket.write(Buffer.concat([header, body]));
    const head = await this.#reader.bytes(HEADER_BYTES);
    const [response_to, operation] = [head.readInt32LE(8), head.readInt32LE(12)];
    if (operation !== OP_MSG || response_to !== this.#request_id || head[20] !== 0)
      throw new Error('the response is none of MongoDB');
    const document = this.#bson.deserialize(await this.#reader.bytes(head.readInt32LE(0) - HEADER_BYTES));
    if (document.ok !== 1) throw new MongoFailure(document.code, document.errmsg);
    return document;
  }
}
