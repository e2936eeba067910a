/**
 * Reads a private key for SSH in the formats of OpenSSH, PEM (PKCS#1, SEC 1, PKCS#8), and decrypts it. Runs before a connection
 * is made.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { ParsedKey } from 'ssh2';
import type { Secret } from '../../contract/secret.ts';
import { derivationCost } from './derivation_cost.ts';
import { decryptOpenSshKey, ed25519InOpenSsh, OPENSSH_LABEL } from './openssh_key.ts';

/** The key, or a sentence that explains why it cannot be read. */
export type ReadKey = { readonly key: ParsedKey } | { readonly problem: string };

/** One block: OpenSSL would also read a block inside another, whose cost was not checked. */
const BLOCK = /-----BEGIN ([A-Z ]+)-----((?:(?!-----)[\s\S])+)-----END \1-----/;
/** About half a second of one processor, for PBKDF2 without a key length and for scrypt. OpenSSL writes 2,048 and 2 ** 17. */
const DERIVATION_COST_MAX = 2 ** 20;
/** A signature blocks the process: a quarter of a second with this size, minutes with the largest key that can be stored. */
const MODULUS_MAX_BITS = 8_192;

const PROBLEMS = {
  unreadable: 'It is not a private key in the format of OpenSSH or PEM.',
  no_passphrase: 'The key is encrypted, and no passphrase is stored.',
  wrong_passphrase: 'The passphrase does not decrypt it.',
  unsupported: 'Its type is not one of Ed25519, RSA and ECDSA with a NIST curve.',
  costly: 'It was encrypted with too many rounds of key derivation.',
  too_large: `It has more than ${MODULUS_MAX_BITS} bits.`,
};

/** `signal`: ends the decryption of a key that takes long. */
export async function readPrivateKey(
  key: Secret,
  passphrase: Secret | undefined,
  signal: AbortSignal,
): Promise<ReadKey> {
  const [block = '', label = '', body = ''] = BLOCK.exec(key.reveal()) ?? [];
  const text = passphrase?.reveal() || undefined;
  if (label !== OPENSSH_LABEL) return readPem(block, label, body, text);
  const read = await decryptOpenSshKey(Buffer.from(body, 'base64'), text, signal);
  if ('problem' in read) return { problem: PROBLEMS[read.problem] };
  return parsed(read.text, read.is_decrypted ? 'wrong_passphrase' : 'unreadable');
}

async function readPem(
  block: string,
  label: string,
  body: string,
  passphrase: string | undefined,
): Promise<ReadKey> {
  const is_encrypted = label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(body);
  if (is_encrypted && passphrase === undefined) return { problem: PROBLEMS.no_passphrase };
  let key: KeyObject;
  try {
    const given = is_encrypted ? { passphrase } : {};
    if (/^(?:ENCRYPTED )?PRIVATE KEY$/.test(label)) {
      const der = Buffer.from(body, 'base64');
      if (is_encrypted && derivationCost(der) > DERIVATION_COST_MAX) return { problem: PROBLEMS.costly };
      key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8', ...given });
    } else key = createPrivateKey({ key: `${block}\n`, format: 'pem', ...given });
  } catch {
    return { problem: is_encrypted ? PROBLEMS.wrong_passphrase : PROBLEMS.unreadable };
  }
  const text = inLibraryFormat(key);
  return text === undefined ? { problem: PROBLEMS.unsupported } : parsed(text, 'unsupported');
}

/** In a format that the SSH library reads. */
function inLibraryFormat(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType === 'rsa') return String(key.export({ type: 'pkcs1', format: 'pem' }));
  if (key.asymmetricKeyType === 'ec') return String(key.export({ type: 'sec1', format: 'pem' }));
  if (key.asymmetricKeyType !== 'ed25519') return undefined;
  const { x = '', d = '' } = key.export({ format: 'jwk' });
  return ed25519InOpenSsh(Buffer.from(x, 'base64url'), Buffer.from(d, 'base64url'));
}

async function parsed(text: string, problem: keyof typeof PROBLEMS): Promise<ReadKey> {
  // A CommonJS module, which does not export all names.
  const { default: ssh2 } = await import('ssh2');
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error || !key.isPrivateKey()) return { problem: PROBLEMS[problem] };
  const { modulusLength = 0 } = createPublicKey(key.getPublicPEM()).asymmetricKeyDetails ?? {};
  return modulusLength > MODULUS_MAX_BITS ? { problem: PROBLEMS.too_large } : { key };
}
