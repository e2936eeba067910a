/** Moments as callers give them. */
import * as z from 'zod';

const YEAR_ZERO_MS = Date.parse('0000-01-01T00:00:00Z');
const YEAR_10000_MS = Date.parse('+010000-01-01T00:00:00Z');

/** Whether ISO 8601 writes it with a year of four digits: only such moments compare as texts as they do in time. */
export function hasFourDigitYear(ms: number): boolean {
  return ms >= YEAR_ZERO_MS && ms < YEAR_10000_MS;
}

/** ISO 8601 with `Z` or an offset, in the years 0 to 9999 of UTC. */
export const Timestamp = z.iso
  .datetime({ offset: true })
  .refine((text) => hasFourDigitYear(Date.parse(text)), 'must lie in the years 0 to 9999 (UTC)');
