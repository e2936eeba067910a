/** Formats and parses relative times such as `3 minutes ago` and `30d`. */
import { EXPIRY_NOTICE_MS } from '../../contract/limits.ts';
import { hasFourDigitYear } from '../../contract/timestamp.ts';

const STEPS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number])[] = [
  ['year', 365 * 24 * 3600],
  ['month', 30 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** Formats a time relative to `now`, such as `3 minutes ago`. A future time is `just now`, because clocks differ. */
export function relativeTime(iso: string, now: Date): string {
  const seconds = Math.floor((now.getTime() - Date.parse(iso)) / 1000);
  const step = STEPS.find(([, length]) => seconds >= length);
  if (step === undefined) return 'just now';
  const [unit, length] = step;
  return new Intl.RelativeTimeFormat('en').format(-Math.floor(seconds / length), unit);
}

/** Such as `expires in 3 days`; `null` if it does not expire soon. */
export function describeExpiry(iso: string | null, now: Date): string | null {
  const remaining_ms = iso === null ? Number.POSITIVE_INFINITY : Date.parse(iso) - now.getTime();
  // A server may send any text.
  if (iso === null || !(remaining_ms <= EXPIRY_NOTICE_MS)) return null;
  if (remaining_ms <= 0) return `expired ${relativeTime(iso, now)}`;
  const seconds = remaining_ms / 1000;
  const [unit, length] = STEPS.find(([, step]) => seconds >= step) ?? (['second', 1] as const);
  return `expires ${new Intl.RelativeTimeFormat('en').format(Math.ceil(seconds / length), unit)}`;
}

const SPAN_PATTERN = /^(\d{1,6})([mhdw])$/;
const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
/** A date, or a date and a time; without an offset it is UTC. */
const ISO_PATTERN = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * Parses a span such as `30d` (m, h, d or w before `now`, or `ahead` of it) or an ISO 8601 time to ISO 8601 UTC. Returns
 * `undefined` for other text and outside of the years 0 to 9999.
 */
export function parseTime(text: string, now: Date, direction: 'back' | 'ahead' = 'back'): string | undefined {
  const [, count, unit = ''] = SPAN_PATTERN.exec(text) ?? [];
  const span_ms = Number(count) * (SPAN_MS[unit] ?? 0) * (direction === 'ahead' ? 1 : -1);
  const at = count === undefined ? isoTime(text) : now.getTime() + span_ms;
  return hasFourDigitYear(at) ? new Date(at).toISOString() : undefined;
}

function isoTime(text: string): number {
  if (!ISO_PATTERN.test(text)) return Number.NaN;
  const has_zone = /(?:Z|[+-]\d{2}:\d{2})$/.test(text) && text.includes('T');
  return Date.parse(has_zone || !text.includes('T') ? text : `${text}Z`);
}
