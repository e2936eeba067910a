/** The signed assertion of the JWT bearer grant (RFC 7523, section 3). */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { VaultError } from '../contract/errors.ts';
import type { Secret } from '../contract/secret.ts';
import { secondsOf } from '../contract/timestamp.ts';

export interface AssertionClaims {
  /** Where the assertion is sent to. */
  readonly audience: string;
  readonly scope: string;
  /** The client, for a key that names no issuer. */
  readonly client_id: string | undefined;
  readonly now: Date;
}

const LIFETIME_S = 3600;

interface SigningKey {
  readonly key: KeyObject;
  readonly issuer: string | undefined;
  /** Only a key of a Google service account acts for itself without a subject. */
  readonly is_service_account: boolean;
  readonly kid: string | undefined;
}

/** Throws INVALID_INPUT for a key that cannot sign. `key`: in PEM, or the JSON file of a Google service account. */
export async function signAssertion(
  key: Secret,
  field_id: string,
  { audience, scope, client_id, now }: AssertionClaims,
): Promise<string> {
  const parsed = parseKey(key);
  const issuer = parsed?.issuer ?? client_id;
  if (parsed === undefined || issuer === undefined)
    throw new VaultError(
      'INVALID_INPUT',
      `The value of ${field_id} is neither the JSON file of a service account nor a private key in PEM beside a client id.`,
    );
  const { SignJWT } = await import('jose');
  const issued_s = secondsOf(now);
  const jwt = new SignJWT(scope === '' ? {} : { scope })
    .setProtectedHeader({
      alg: parsed.key.asymmetricKeyType === 'ec' ? 'ES256' : 'RS256',
      typ: 'JWT',
      ...(parsed.kid === undefined ? {} : { kid: parsed.kid }),
    })
    .setIssuer(issuer)
    .setAudience(audience)
    .setIssuedAt(issued_s)
    .setExpirationTime(issued_s + LIFETIME_S);
  if (!parsed.is_service_account) jwt.setSubject(issuer);
  return jwt.sign(parsed.key);
}

function parseKey(secret: Secret): SigningKey | undefined {
  const text = secret.reveal().trim();
  try {
    if (!text.startsWith('{'))
      return { key: createPrivateKey(text), issuer: undefined, is_service_account: false, kid: undefined };
    const { client_email, private_key, private_key_id } = JSON.parse(text);
    if (typeof client_email !== 'string') return undefined;
    const kid = typeof private_key_id === 'string' ? private_key_id : undefined;
    return { key: createPrivateKey(private_key), issuer: client_email, is_service_account: true, kid };
  } catch {
    return undefined;
  }
}
