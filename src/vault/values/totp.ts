/** Secrets of one-time codes (RFC 6238): base32 text, or an `otpauth:` URI with digits, period and algorithm. */
import { Secret as OtpSecret, TOTP, URI } from 'otpauth';

/** RFC 4226, section 4: at least 128 bits, but services also give 80. */
const SECRET_MIN_BYTES = 10;
const PERIOD_MAX_SECONDS = 300;
const BASE32_PATTERN = /^[A-Z2-7]{16,}={0,6}$/;

/** `undefined` for a text that is neither, and for a URI of counter-based codes. */
export function parseTotp(text: string): TOTP | undefined {
  try {
    const totp = /^otpauth:/i.test(text)
      ? URI.parse(text)
      : new TOTP({ secret: OtpSecret.fromBase32(base32(text)) });
    if (!(totp instanceof TOTP) || totp.secret.bytes.length < SECRET_MIN_BYTES) return undefined;
    const is_usable =
      totp.digits >= 6 && totp.digits <= 10 && totp.period > 0 && totp.period <= PERIOD_MAX_SECONDS;
    return is_usable ? totp : undefined;
  } catch {
    return undefined;
  }
}

/** Services show the secret in lower case and in groups. */
function base32(text: string): string {
  const compact = text.replaceAll(/[\s-]/g, '').toUpperCase();
  if (!BASE32_PATTERN.test(compact)) throw new Error('not base32');
  return compact;
}
