/** A moment as text (RFC 3339, in UTC, to the millisecond). */

let last_ms = Number.NaN;
let last_text = '';

/** What is written in one transaction is mostly of one millisecond: its text is made once. */
export function formatTimestamp(at: Date): string {
  const ms = at.getTime();
  if (ms !== last_ms) {
    last_text = at.toISOString();
    last_ms = ms;
  }
  return last_text;
}
