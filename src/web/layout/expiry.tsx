/** When something expires: as text, as a badge that warns in time, and as the choices of a person. */
import type { FC } from 'hono/jsx';
import { EXPIRY_NOTICE_MS } from '../../contract/limits.ts';
import { Badge, Time } from './components.tsx';

const DAY_MS = 86_400_000;

/** `soon`: within the time in which Keyhold reports it. */
export function expiryOf(expires_at: string | null, now: Date): 'none' | 'later' | 'soon' | 'expired' {
  if (expires_at === null) return 'none';
  const remaining_ms = Date.parse(expires_at) - now.getTime();
  if (remaining_ms <= 0) return 'expired';
  return remaining_ms <= EXPIRY_NOTICE_MS ? 'soon' : 'later';
}

/** Nothing unless it expires soon or has expired. */
export const ExpiryBadge: FC<{ readonly expires_at: string | null; readonly now: Date }> = ({
  expires_at,
  now,
}) => {
  const expiry = expiryOf(expires_at, now);
  if (expires_at === null || (expiry !== 'soon' && expiry !== 'expired')) return null;
  return (
    <Badge tone={expiry === 'expired' ? 'bad' : 'warning'}>
      <span>
        {expiry === 'expired' ? 'Expired' : 'Expires'} <Time at={expires_at} />
      </span>
    </Badge>
  );
};

/** The timestamp of so many days after `now`. */
export function afterDays(days: number, now: Date): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString();
}
