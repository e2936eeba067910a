/** Parses when a credential or an API key expires: strictly, so that a typo never extends its life. */
import { VaultError } from '../../contract/errors.ts';
import { parseTime } from './relative_time.ts';

/** Throws INVALID_INPUT. */
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
