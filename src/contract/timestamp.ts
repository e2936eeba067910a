/** Timestamps as text (RFC 3339): validates those of callers, formats our own in UTC to the millisecond. */
import * as z from 'zod';

const YEAR_ZERO_MS = Date.parse('0000-01-01T00:00:00Z');
const YEAR_10000_MS = Date.parse('+010000-01-01T00:00:00Z');

/** Only timestamps with a year of four digits sort as text as they do in time. */
export function hasFourDigitYear(ms: number): boolean {
  return ms >= YEAR_ZERO_MS && ms < YEAR_10000_MS;
}

/** ISO 8601 with `Z` or an offset, in the years 0 to 9999 of UTC. */
export const Timestamp = z.iso
  .datetime({ offset: true })
  .refine((text) => hasFourDigitYear(Date.parse(text)), 'must lie in the years 0 to 9999 (UTC)');

let last_ms = Number.NaN;
let last_text = '';

/** Caches the last result, since the writes of one transaction mostly share a millisecond. */
export function formatTimestamp(at: Date): string {
  const ms = at.getTime();
  if (ms !== last_ms) {
    last_text = at.toISOString();
    last_ms = ms;
  }
  return last_text;
}

/** The time from `now` to a timestamp; negative if it has passed, NaN for a malformed one. */
export function msUntil(timestamp: string, now: Date): number {
  return Date.parse(timestamp) - now.getTime();
}

/** The timestamp so long after `now`; `null` if the time is unknown or too far ahead. */
export function timestampAfter(now: Date, ms: number | undefined): string | null {
  const at_ms = now.getTime() + (ms ?? Number.NaN);
  return hasFourDigitYear(at_ms) ? formatTimestamp(new Date(at_ms)) : null;
}

/** In whole seconds since 1970, as a JWT has it (RFC 7519, section 2). */
export function secondsOf(at: Date): number {
  return Math.floor(at.getTime() / 1000);
}
