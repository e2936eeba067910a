/** Parses the interval of scheduled tests under `keyhold serve`. */
import * as z from 'zod';
import { parseEnvironment } from './environment.ts';

const INTERVAL_PATTERN = /^(\d{1,5})([mhd])$/;
const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const MIN_MS = 3_600_000;
const MAX_MS = 30 * 86_400_000;
const WHAT = 'must be off, or a time from 1h to 30d such as 24h, 90m or 7d';

const RetestEnvironment = z.object({
  KEYHOLD_RETEST: z
    .string()
    .transform(intervalOf)
    .refine((ms) => ms === undefined || (ms >= MIN_MS && ms <= MAX_MS), WHAT)
    .optional(),
});

/** In milliseconds; `undefined`: off. Throws INVALID_INPUT. */
export function parseRetestInterval(env: NodeJS.ProcessEnv): number | undefined {
  return parseEnvironment(RetestEnvironment, env).KEYHOLD_RETEST;
}

/** `undefined` for `off`, NaN for text without a time. */
function intervalOf(text: string): number | undefined {
  if (text === 'off') return undefined;
  const [, count, unit = ''] = INTERVAL_PATTERN.exec(text) ?? [];
  return Number(count) * (UNIT_MS[unit] ?? Number.NaN);
}
