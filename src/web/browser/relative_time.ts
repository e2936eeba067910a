/** Shows a timestamp as the time since or until then, such as `3 minutes ago`; as a date if that is more than a month. */
export function showRelativeTime(time: HTMLTimeElement): void {
  const at_ms = Date.parse(time.dateTime);
  if (Number.isNaN(at_ms)) return;
  const at = new Date(at_ms);
  time.title = at.toLocaleString();
  const seconds = Math.round((at_ms - Date.now()) / 1000);
  if (Math.abs(seconds) >= MONTH_SECONDS) {
    time.textContent = at.toLocaleDateString('en-GB', { dateStyle: 'medium' });
    return;
  }
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  // As `keyhold status`: the end of something is rounded up, an age is rounded down.
  const count = seconds > 0 ? Math.ceil(seconds / size) : Math.trunc(seconds / size);
  time.textContent = unit === 'second' ? 'just now' : format.format(count, unit);
}

const MONTH_SECONDS = 30 * 86_400;
const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];
