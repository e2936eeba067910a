/**
 * A JSON Web Token (RFC 7519) for each request, signed with the stored key, such as those of a GitHub App (RS256) and of
 * Ghost (HS256 with a key "id:hex").
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { requireParameter, type Signature, type Signer, type SignerParameters } from './signer.ts';

const HMAC_ALGORITHM = /^HS(?:256|384|512)$/;
const KEY_PAIR_ALGORITHM = /^(?:(?:RS|PS)(?:256|384|512)|ES(?:256|384|512)|EdDSA)$/;
/** An authentication scheme is a token (RFC 9110, section 11.1). */
const SCHEME_PATTERN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const CLAIM_PREFIX = 'claim_';
const LIFETIME_DEFAULT_SECONDS = 300;
const LIFETIME_MAX_SECONDS = 3600;
/** The clock of the service may be slow. The lifetime begins that much earlier, since services limit it from `iat` on. */
const BACKDATE_SECONDS = 30;

/**
 * Parameters: `algorithm`, `key` (PEM, or the secret of HS256), optionally `key_format` (of a secret: `text`, `hex`, `base64`,
 * or `id_and_hex`, whose id becomes the key id), `key_id`, `scheme` (default Bearer), `lifetime_seconds` (31 to 3600, default
 * 300), and claims: `claim_iss`, `claim_aud` and so on.
 */
export const jwt: Signer = {
  owned_headers: ['authorization'],
  async sign(_request, parameters, now): Promise<Signature> {
    const text = (name: string) => parameters.get(name)?.reveal();
    const algorithm = requireParameter(parameters, 'algorithm').reveal();
    const scheme = text('scheme') ?? 'Bearer';
    const lifetime = Number(text('lifetime_seconds') ?? LIFETIME_DEFAULT_SECONDS);
    if (!SCHEME_PATTERN.test(scheme) || !(lifetime > BACKDATE_SECONDS && lifetime <= LIFETIME_MAX_SECONDS))
      throw new VaultError(
        'INVALID_INPUT',
        'The definition of the service has an invalid token scheme or lifetime.',
      );
    const { key, key_id = text('key_id') } = keyOf(algorithm, parameters);
    const issued_at = Math.floor(now.getTime() / 1000) - BACKDATE_SECONDS;
    const signing = new SignJWT(claimsOf(parameters))
      .setProtectedHeader({ alg: algorithm, typ: 'JWT', ...(key_id === undefined ? {} : { kid: key_id }) })
      .setIssuedAt(issued_at)
      .setExpirationTime(issued_at + lifetime);
    const token = await signing.sign(key).catch(() => {
      throw unusableKey();
    });
    return { headers: { authorization: `${scheme} ${token}` }, secrets: [new Secret(token)] };
  },
};

function claimsOf(parameters: SignerParameters): Record<string, string> {
  const claims: Record<string, string> = {};
  for (const [name, value] of parameters)
    if (name.startsWith(CLAIM_PREFIX)) claims[name.slice(CLAIM_PREFIX.length)] = value.reveal();
  return claims;
}

function keyOf(
  algorithm: string,
  parameters: SignerParameters,
): { readonly key: Uint8Array | KeyObject; readonly key_id?: string } {
  const text = requireParameter(parameters, 'key').reveal();
  if (HMAC_ALGORITHM.test(algorithm)) return secretKey(text, parameters.get('key_format')?.reveal());
  if (!KEY_PAIR_ALGORITHM.test(algorithm))
    throw new VaultError('INVALID_INPUT', 'The definition of the service names an unknown token algorithm.');
  try {
    return { key: createPrivateKey(text) };
  } catch {
    // Without the cause, which may quote the key.
    throw unusableKey();
  }
}

function secretKey(text: string, format = 'text'): { readonly key: Uint8Array; readonly key_id?: string } {
  if (format === 'text') return { key: Buffer.from(text) };
  if (format === 'base64' && /^[A-Za-z0-9+/_-]+={0,2}$/.test(text))
    return { key: Buffer.from(text, 'base64') };
  const [, key_id, hex] = /^(?:([A-Za-z0-9_-]+):)?((?:[0-9a-f]{2})+)$/i.exec(text) ?? [];
  if (hex !== undefined && format === 'hex' && key_id === undefined) return { key: Buffer.from(hex, 'hex') };
  if (hex !== undefined && format === 'id_and_hex' && key_id !== undefined)
    return { key: Buffer.from(hex, 'hex'), key_id };
  throw unusableKey();
}

function unusableKey(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'The stored key cannot sign tokens. Copy it completely from the service and store it again.',
  );
}
