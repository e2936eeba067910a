/** `--expires`: when a credential or an API key expires. Parsed strictly, so that a typo never extends its life. */
import { VaultError } from '../../contract/errors.ts';
import { parseTime } from './relative_time.ts';

export const EXPIRES_OPTION = [
  '--expires <time>',
  'when the secret expires, such as 2030-01-31 or 30d; never removes it',
] as const;

export interface ExpiryOption {
  readonly expires?: string;
}

/** `null` for `never`, `undefined` without the option. Throws INVALID_INPUT. */
export function parseExpiryOption({ expires }: ExpiryOption): string | null | undefined {
  if (expires === undefined) return undefined;
  return expires === 'never' ? null : parseExpiry(expires, new Date());
}

export function parseExpiry(text: string, now: Date): string {
  const time = parseTime(text, now, 'ahead');
  if (time === undefined) {
    throw new VaultError(
      'INVALID_INPUT',
      '--expires takes a date or time such as 2030-01-31 or 2030-01-31T08:00Z, or a span such as 30d.',
    );
  }
  if (Date.parse(time) > now.getTime()) return time;
  throw new VaultError('INVALID_INPUT', '--expires must be in the future.');
}
