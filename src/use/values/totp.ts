/** The one-time code of a stored secret (RFC 6238). */
import { Secret } from '../../contract/secret.ts';
import { parseTotp } from '../../vault/values/totp.ts';
import { valueError } from './value_error.ts';

/** The code at a time. */
export function totpCode(field_id: string, secret: Secret, now: Date): Secret {
  const totp = parseTotp(secret.reveal());
  if (totp === undefined)
    throw valueError(
      'INVALID_INPUT',
      field_id,
      'is not a secret of one-time codes. Store the base32 secret or the otpauth: URI.',
    );
  return new Secret(totp.generate({ timestamp: now.getTime() }));
}
