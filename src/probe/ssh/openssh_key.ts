/**
 * The private key format of OpenSSH (PROTOCOL.key in its sources). Decrypts without blocking the process: the library does all
 * rounds of bcrypt_pbkdf at once, which takes a second and more.
 */
import { createDecipheriv, createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

interface Bcrypt {
  hash(hashed_passphrase: Buffer, hashed_salt: Buffer, output: Buffer): void;
}

export const OPENSSH_LABEL = 'OPENSSH PRIVATE KEY';

/** Name in Node.js, bytes of key, IV and authentication tag. */
const CIPHERS: Readonly<Record<string, readonly [string, number, number, number]>> = {
  'aes128-ctr': ['aes-128-ctr', 16, 16, 0],
  'aes192-ctr': ['aes-192-ctr', 24, 16, 0],
  'aes256-ctr': ['aes-256-ctr', 32, 16, 0],
  'aes128-cbc': ['aes-128-cbc', 16, 16, 0],
  'aes192-cbc': ['aes-192-cbc', 24, 16, 0],
  'aes256-cbc': ['aes-256-cbc', 32, 16, 0],
  'aes128-gcm@openssh.com': ['aes-128-gcm', 16, 12, 16],
  'aes256-gcm@openssh.com': ['aes-256-gcm', 32, 12, 16],
};
const MAGIC = Buffer.from('openssh-key-v1\0');
const HASH_BYTES = 32;
/** About eight seconds. The default of `ssh-keygen` is 16 or 24. */
const ROUNDS_MAX = 200;

/** `text`: the key without encryption. If the passphrase is wrong, it is not a valid key. */
type Decrypted =
  | { readonly text: string; readonly is_decrypted: boolean }
  | { readonly problem: 'unreadable' | 'no_passphrase' | 'costly' };

export async function decryptOpenSshKey(
  data: Buffer,
  passphrase: string | undefined,
  signal: AbortSignal,
): Promise<Decrypted> {
  try {
    return await decrypt(data, passphrase, signal);
  } catch (error) {
    if (error instanceof RangeError) return { problem: 'unreadable' };
    throw error;
  }
}

async function decrypt(
  data: Buffer,
  passphrase: string | undefined,
  signal: AbortSignal,
): Promise<Decrypted> {
  if (!data.subarray(0, MAGIC.length).equals(MAGIC)) return { problem: 'unreadable' };
  const reader = new Reader(data.subarray(MAGIC.length));
  const [cipher_name, kdf, options] = [reader.text(), reader.text(), reader.string()];
  const count = reader.number();
  const [public_key, encrypted] = [reader.string(), reader.string()];
  if (count !== 1) return { problem: 'unreadable' };
  if (cipher_name === 'none') return { text: textOf(public_key, encrypted), is_decrypted: false };
  const cipher = CIPHERS[cipher_name];
  if (cipher === undefined || kdf !== 'bcrypt') return { problem: 'unreadable' };
  if (passphrase === undefined) return { problem: 'no_passphrase' };
  const [name, key_bytes, iv_bytes, tag_bytes] = cipher;
  const option = new Reader(options);
  const [salt, rounds] = [option.string(), option.number()];
  if (rounds > ROUNDS_MAX) return { problem: 'costly' };
  const derived = await deriveKey(passphrase, salt, { rounds, bytes: key_bytes + iv_bytes, signal });
  const decipher = createDecipheriv(name, derived.subarray(0, key_bytes), derived.subarray(key_bytes));
  decipher.setAutoPadding(false);
  try {
    if (tag_bytes > 0)
      Reflect.apply(Reflect.get(decipher, 'setAuthTag'), decipher, [reader.bytes(tag_bytes)]);
    const decrypted = Buffer.concat([decipher.update(encrypted), decipher.final()]);
    return { text: textOf(public_key, decrypted), is_decrypted: true };
  } catch {
    return { text: '', is_decrypted: true };
  }
}

/** bcrypt_pbkdf of OpenBSD: PBKDF2 with a hash made of bcrypt, whose output bytes are spread over the key. */
async function deriveKey(
  passphrase: string,
  salt: Buffer,
  {
    rounds,
    bytes,
    signal,
  }: { readonly rounds: number; readonly bytes: number; readonly signal: AbortSignal },
): Promise<Buffer> {
  const key = Buffer.alloc(bytes);
  const stride = Math.ceil(bytes / HASH_BYTES);
  // @ts-expect-error The package has no types.
  const { default: bcrypt }: { readonly default: Bcrypt } = await import('bcrypt-pbkdf');
  const hashed = sha512(Buffer.from(passphrase));
  const hashOf = (hashed_salt: Buffer) => {
    const output = Buffer.alloc(HASH_BYTES);
    bcrypt.hash(hashed, hashed_salt, output);
    return output;
  };
  for (let block = 0; block < stride; block++) {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(block + 1);
    let last = hashOf(sha512(Buffer.concat([salt, number])));
    const sum = Buffer.from(last);
    for (let round = 1; round < rounds; round++) {
      await setImmediate();
      signal.throwIfAborted();
      last = hashOf(sha512(last));
      for (let at = 0; at < HASH_BYTES; at++) sum[at] = (sum[at] ?? 0) ^ (last[at] ?? 0);
    }
    for (let at = 0; at * stride + block < bytes; at++) key[at * stride + block] = sum[at] ?? 0;
  }
  return key;
}

function sha512(data: Buffer): Buffer {
  return createHash('sha512').update(data).digest();
}

/** An Ed25519 key without encryption, from its two parts of 32 bytes. */
export function ed25519InOpenSsh(public_part: Buffer, private_part: Buffer): string {
  const type = string('ssh-ed25519');
  const both = Buffer.concat([private_part, public_part]);
  const fields = [Buffer.alloc(8), type, string(public_part), string(both), string('')];
  const content = Buffer.concat(fields);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (content.length % 8)) % 8));
  return textOf(Buffer.concat([type, string(public_part)]), Buffer.concat([content, padding]));
}

function textOf(public_key: Buffer, private_part: Buffer): string {
  const one = Buffer.from([0, 0, 0, 1]);
  const parts = [
    MAGIC,
    string('none'),
    string('none'),
    string(''),
    one,
    string(public_key),
    string(private_part),
  ];
  const lines = Buffer.concat(parts).toString('base64').replace(/.{70}/g, '$&\n');
  return `-----BEGIN ${OPENSSH_LABEL}-----\n${lines}\n-----END ${OPENSSH_LABEL}-----`;
}

function string(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** The data types of RFC 4251, section 5. Throws RangeError at the end of the data. */
class Reader {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  number(): number {
    this.#at += 4;
    return this.#data.readUInt32BE(this.#at - 4);
  }

  bytes(count: number): Buffer {
    if (this.#at + count > this.#data.length) throw new RangeError('the data ends');
    this.#at += count;
    return this.#data.subarray(this.#at - count, this.#at);
  }

  string(): Buffer {
    return this.bytes(this.number());
  }

  text(): string {
    return this.string().toString('latin1');
  }
}
