/** Shows a timestamp as the time since then, such as `3 minutes ago`. */
export function showRelativeTime(time: HTMLTimeElement): void {
  const at_ms = Date.parse(time.dateTime);
  if (Number.isNaN(at_ms)) return;
  const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [
    ['year', 365 * 86_400],
    ['month', 30 * 86_400],
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ];
  const seconds = Math.round((at_ms - Date.now()) / 1000);
  const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  time.title = new Date(at_ms).toLocaleString();
  time.textContent = unit === 'second' ? 'just now' : format.format(Math.trunc(seconds / size), unit);
}
