/** The client of SCRAM (RFC 5802, RFC 7677), as MongoDB has it. */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const NONCE_BYTES = 24;
/** A server must not make the client compute for long. MongoDB has 15,000 and 10,000. */
const ITERATIONS_MIN = 4_096;
const ITERATIONS_MAX = 1_000_000;
const HASHES: Readonly<Record<string, { readonly name: string; readonly bytes: number }>> = {
  'SCRAM-SHA-1': { name: 'sha1', bytes: 20 },
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
};

export interface ScramLogin {
  readonly mechanism: string;
  readonly username: string;
  readonly password: string;
}

interface ScramStep {
  readonly mechanism: string;
  readonly payload: string;
  /** Of the server; absent in the first step. */
  readonly conversation?: unknown;
}

/** Sends a message of the client, and resolves with that of the server. */
export type SendScramStep = (
  step: ScramStep,
) => Promise<{ readonly payload: string; readonly conversation: unknown; readonly done: boolean }>;

export function isScramMechanism(name: string): boolean {
  return Object.hasOwn(HASHES, name);
}

/**
 * False if the messages of the server are invalid or do not prove that it knows the password. A refused login is the error of
 * `send`.
 */
export async function logInWithScram(login: ScramLogin, send: SendScramStep): Promise<boolean> {
  const { mechanism, username } = login;
  const hash = HASHES[mechanism];
  if (hash === undefined) return false;
  const hmac = (key: Buffer, text: string) => createHmac(hash.name, key).update(text).digest();
  const nonce = randomBytes(NONCE_BYTES).toString('base64');
  const bare = `n=${username.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`;
  const first = await send({ mechanism, payload: `n,,${bare}` });
  const challenge = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=(\d{1,7})$/.exec(first.payload);
  const [, server_nonce = '', salt = '', iterations = '0'] = challenge ?? [];
  const rounds = Number(iterations);
  if (!server_nonce.startsWith(nonce) || rounds < ITERATIONS_MIN || rounds > ITERATIONS_MAX) return false;
  const salted = await promisify(pbkdf2)(
    preparedPassword(login),
    Buffer.from(salt, 'base64'),
    rounds,
    hash.bytes,
    hash.name,
  );
  const without_proof = `c=biws,r=${server_nonce}`;
  const transcript = `${bare},${first.payload},${without_proof}`;
  const client_key = hmac(salted, 'Client Key');
  const signature = hmac(createHash(hash.name).update(client_key).digest(), transcript);
  const proof = Buffer.from(client_key.map((byte, at) => byte ^ (signature[at] ?? 0))).toString('base64');
  const { conversation } = first;
  const last = await send({ mechanism, payload: `${without_proof},p=${proof}`, conversation });
  const [, verifier = ''] = /^v=([A-Za-z0-9+/=]+)$/.exec(last.payload) ?? [];
  const expected = hmac(hmac(salted, 'Server Key'), transcript);
  const given = Buffer.from(verifier, 'base64');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  return last.done || (await send({ mechanism, payload: '', conversation })).done;
}

/**
 * With SHA-1, MongoDB hashes the password first. With SHA-256 it is normalized: NFKC is what SASLprep (RFC 4013) does with all but
 * rare characters.
 */
function preparedPassword({ mechanism, username, password }: ScramLogin): string {
  if (mechanism !== 'SCRAM-SHA-1') return password.normalize('NFKC');
  return createHash('md5').update(`${username}:mongo:${password}`).digest('hex');
}
