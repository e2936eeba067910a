/**
 * A double of a MongoDB server: OP_MSG with real SCRAM (RFC 5802). MongoDB itself is neither in Debian nor in npm. The official
 * driver logs in to the double in `test/probe/mongodb.test.ts`.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Binary, type Document, deserialize, serialize } from 'bson';
import { listen } from '../../egress/servers.ts';
import { issueCertificate } from '../upstream/certificates.ts';

export interface MongoOptions {
  readonly user: string;
  readonly password: string;
  readonly mechanism?: 'SCRAM-SHA-1' | 'SCRAM-SHA-256';
  readonly tls?: boolean;
  readonly roles?: readonly string[];
  readonly iterations?: number;
  /** False: the server proves nothing, as one that does not know the password. */
  readonly proves?: boolean;
  /** The error of every command after `hello`. */
  readonly error?: readonly [code: number, message: string];
}

const HEADER_BYTES = 21;
const FAILED = { ok: 0, code: 18, codeName: 'AuthenticationFailed', errmsg: 'Authentication failed.' };

/** Listens on loopback until the test ends. `commands`: the name of each command that it received. */
export async function startMongo(
  options: MongoOptions,
): Promise<{ readonly port: number; readonly commands: readonly string[] }> {
  const commands: string[] = [];
  const accept = (socket: Socket) => {
    const session = new Session(options);
    let buffer = Buffer.alloc(0);
    socket
      .on('error', () => undefined)
      .on('data', (chunk: Buffer) => {
        buffer = Buffer.concat([buffer, chunk]);
        while (buffer.length >= 4 && buffer.length >= buffer.readInt32LE(0)) {
          const message = buffer.subarray(0, buffer.readInt32LE(0));
          buffer = buffer.subarray(message.length);
          const command = deserialize(message.subarray(HEADER_BYTES));
          commands.push(Object.keys(command)[0] ?? '');
          const body = serialize(session.run(command));
          const header = Buffer.alloc(HEADER_BYTES);
          header.writeInt32LE(HEADER_BYTES + body.length, 0);
          header.writeInt32LE(message.readInt32LE(4), 8);
          header.writeInt32LE(2013, 12);
          socket.write(Buffer.concat([header, body]));
        }
      });
  };
  const server = options.tls
    ? createTlsServer(issueCertificate(['localhost']), accept)
    : createServer(accept);
  server.on('tlsClientError', () => undefined);
  return { port: await listen(server), commands };
}

/** One connection. */
class Session {
  readonly #options: MongoOptions;
  #first = '';
  #challenge = '';
  #is_logged_in = false;

  constructor(options: MongoOptions) {
    this.#options = options;
  }

  run(command: Document): Document {
    const { user, mechanism = 'SCRAM-SHA-256', error, roles = ['readWrite'] } = this.#options;
    const payload = command.payload?.buffer && Buffer.from(command.payload.buffer).toString();
    if (command.hello === 1)
      return {
        ok: 1,
        isWritablePrimary: true,
        minWireVersion: 0,
        maxWireVersion: 25,
        ...(command.saslSupportedMechs === `admin.${user}` ? { saslSupportedMechs: [mechanism] } : {}),
      };
    if (error !== undefined) return { ok: 0, code: error[0], errmsg: error[1] };
    if (command.saslStart === 1) return this.#start(payload, command.mechanism);
    if (command.saslContinue === 1) return this.#continue(payload);
    if (command.buildInfo === 1) return { ok: 1, version: '8.0.4' };
    if (command.connectionStatus === 1) {
      const authenticatedUsers = this.#is_logged_in ? [{ user, db: 'admin' }] : [];
      const authenticatedUserRoles = roles.map((role) => ({ role, db: 'app' }));
      return { ok: 1, authInfo: { authenticatedUsers, authenticatedUserRoles } };
    }
    if (command.ping === 1 && this.#is_logged_in) return { ok: 1 };
    return { ok: 0, code: 13, codeName: 'Unauthorized', errmsg: 'command requires authentication' };
  }

  #start(payload: string, mechanism: string): Document {
    const { user, iterations = 10_000 } = this.#options;
    const [, bare = '', name, nonce] = /^n,,(n=([^,]*),r=(.+))$/.exec(payload) ?? [];
    const decoded = name?.replaceAll('=2C', ',').replaceAll('=3D', '=');
    if (decoded !== user || mechanism !== (this.#options.mechanism ?? 'SCRAM-SHA-256')) return FAILED;
    this.#first = bare;
    const salt = randomBytes(16).toString('base64');
    this.#challenge = `r=${nonce}${randomBytes(12).toString('base64')},s=${salt},i=${iterations}`;
    return reply(this.#challenge, false);
  }

  #continue(payload: string): Document {
    const { user, password, mechanism = 'SCRAM-SHA-256', proves = true } = this.#options;
    const hash = mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
    const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
    const [, without_proof = '', nonce = '', proof = ''] = /^(c=biws,r=([^,]+)),p=(.+)$/.exec(payload) ?? [];
    const [, own_nonce, salt = '', rounds] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(this.#challenge) ?? [];
    const md5 = createHash('md5').update(`${user}:mongo:${password}`).digest('hex');
    const secret = hash === 'sha1' ? md5 : password;
    const size = hash === 'sha1' ? 20 : 32;
    const salted = pbkdf2Sync(secret, Buffer.from(salt, 'base64'), Number(rounds), size, hash);
    const transcript = `${this.#first},${this.#challenge},${without_proof}`;
    const stored_key = createHash(hash).update(hmac(salted, 'Client Key')).digest();
    const signature = hmac(stored_key, transcript);
    const client_key = Buffer.from(proof, 'base64').map((byte, at) => byte ^ (signature[at] ?? 0));
    const is_right = createHash(hash).update(client_key).digest().equals(stored_key);
    if (nonce !== own_nonce || !is_right) return FAILED;
    this.#is_logged_in = true;
    const verifier = proves ? hmac(hmac(salted, 'Server Key'), transcript) : randomBytes(size);
    return reply(`v=${verifier.toString('base64')}`, true);
  }
}

function reply(payload: string, done: boolean): Document {
  return { ok: 1, conversationId: 1, done, payload: new Binary(Buffer.from(payload)) };
}
