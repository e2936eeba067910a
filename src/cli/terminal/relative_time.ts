/** Times as people say them. */
import { hasFourDigitYear } from '../../contract/timestamp.ts';

const STEPS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number])[] = [
  ['year', 365 * 24 * 3600],
  ['month', 30 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** How long before `now` a time was, such as `3 minutes ago`. A time in the future is `just now`: clocks differ. */
export function relativeTime(iso: string, now: Date): string {
  const seconds = Math.floor((now.getTime() - Date.parse(iso)) / 1000);
  const step = STEPS.find(([, length]) => seconds >= length);
  if (step === undefined) return 'just now';
  const [unit, length] = step;
  return new Intl.RelativeTimeFormat('en').format(-Math.floor(seconds / length), unit);
}

const SPAN_PATTERN = /^(\d{1,6})([mhdw])$/;
const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
/** A date, or a date and a time; without an offset it is UTC. */
const ISO_PATTERN = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * Reads `30d` (so long before `now`, or `ahead` of it; m, h, d, w) or an ISO 8601 time into ISO 8601 UTC; `undefined`
 * for anything else, and beyond the years 0 to 9999.
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
