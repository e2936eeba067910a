/** Counts the uses of credentials by day, from the entries of the audit log. */
import type { AuditEntry, UseCounts } from '../../contract/audit.ts';
import { AUDIT_ENTRIES_READ_MAX } from '../../contract/limits.ts';
import { formatTimestamp } from '../../contract/timestamp.ts';

const DATE_CHARACTERS = 10;

/** `newest_first`: all entries. Stops at the first one before the days, since entries are in the order of their time. */
export async function countUses(
  newest_first: AsyncIterable<AuditEntry>,
  now: Date,
  days: number,
  service_id?: string,
): Promise<UseCounts> {
  const counts = new Map(datesUntil(now, days).map((date) => [date, { date, used: 0, refused: 0 }]));
  const [first_date = ''] = counts.keys();
  let read = 0;
  let oldest: string | null = null;
  for await (const { at, action, outcome, count, ...entry } of newest_first) {
    if (at < first_date) break;
    if (read++ === AUDIT_ENTRIES_READ_MAX) return { days: [...counts.values()], complete_since: oldest };
    oldest = at;
    if (action !== 'use' || (service_id !== undefined && entry.service_id !== service_id)) continue;
    const day = counts.get(at.slice(0, DATE_CHARACTERS));
    if (day === undefined) continue;
    if (outcome === 'allowed') day.used += 1;
    else day.refused += count ?? 1;
  }
  return { days: [...counts.values()], complete_since: null };
}

/** The dates in UTC of the last `days` days, the oldest first. */
function datesUntil(now: Date, days: number): string[] {
  return Array.from({ length: days }, (_, at) => {
    const day = new Date(now);
    day.setUTCDate(day.getUTCDate() - (days - 1 - at));
    return formatTimestamp(day).slice(0, DATE_CHARACTERS);
  });
}
