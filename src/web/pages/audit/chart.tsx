/** The uses of each day as columns, and as a table for people who do not see the chart. */
import type { FC } from 'hono/jsx';
import type { UseCounts } from '../../../contract/audit.ts';
import { Card } from '../../layout/components.tsx';

const HEIGHT = 96;
const DAY_WIDTH = 20;
const COLUMN_WIDTH = 14;
/** A day with few uses among days with many still shows. */
const COLUMN_MIN_HEIGHT = 2;

type Day = UseCounts['days'][number];

interface ChartProps {
  readonly counts: UseCounts;
  /** The name of the one service that is counted. */
  readonly service: string | undefined;
}

export const UseChart: FC<ChartProps> = ({ counts: { days, complete_since }, service }) => {
  const used = days.reduce((sum, day) => sum + day.used, 0);
  const refused = days.reduce((sum, day) => sum + day.refused, 0);
  const busiest = days.reduce((most, day) => (totalOf(day) > totalOf(most) ? day : most));
  const [first, middle, last] = [days[0], days[days.length >> 1], days.at(-1)];
  return (
    <Card
      title={service === undefined ? 'Uses per day' : `Uses of ${service} per day`}
      aside={
        <p class="chart-legend">
          <span class="chart-key">
            <strong>{used}</strong> {used === 1 ? 'use' : 'uses'}
          </span>
          <span class="chart-key chart-key-refused">
            <strong>{refused}</strong> refused
          </span>
        </p>
      }
    >
      <figure class="chart">
        <svg
          viewBox={`0 0 ${days.length * DAY_WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={summaryOf(used, refused, busiest)}
        >
          <line class="chart-base" x1="0" x2={days.length * DAY_WIDTH} y1={HEIGHT} y2={HEIGHT} />
          {days.map((day, at) => (
            <Column day={day} at={at} max={Math.max(1, totalOf(busiest))} />
          ))}
        </svg>
        <p class="chart-axis" aria-hidden="true">
          {[first, middle, last].map((day) => day && <span>{dateOf(day)}</span>)}
        </p>
        <figcaption class="muted small">
          The last {days.length} days, in UTC. The largest number of a day is {totalOf(busiest)}.
          {complete_since !== null &&
            ` The log has many entries: those before ${complete_since.slice(0, 16).replace('T', ' ')} UTC are not counted.`}
        </figcaption>
        <UseTable days={days} />
      </figure>
    </Card>
  );
};

const Column: FC<{ readonly day: Day; readonly at: number; readonly max: number }> = ({ day, at, max }) => {
  const x = at * DAY_WIDTH + (DAY_WIDTH - COLUMN_WIDTH) / 2;
  const height = (count: number) =>
    count === 0 ? 0 : Math.max(COLUMN_MIN_HEIGHT, Math.round((count / max) * (HEIGHT - COLUMN_MIN_HEIGHT)));
  const [used, refused] = [height(day.used), height(day.refused)];
  return (
    <g class="chart-day">
      <title>{`${dateOf(day)}: ${textOf(day)}`}</title>
      <rect class="chart-hover" x={at * DAY_WIDTH} y="0" width={DAY_WIDTH} height={HEIGHT} />
      {used > 0 && <rect class="chart-used" x={x} y={HEIGHT - used} width={COLUMN_WIDTH} height={used} />}
      {refused > 0 && (
        <rect class="chart-refused" x={x} y={HEIGHT - used - refused} width={COLUMN_WIDTH} height={refused} />
      )}
    </g>
  );
};

/** Days without a use are left out. */
const UseTable: FC<{ readonly days: readonly Day[] }> = ({ days }) => {
  const rows = days.filter((day) => totalOf(day) > 0).reverse();
  if (rows.length === 0) return null;
  return (
    <details class="chart-table">
      <summary>Show as a table</summary>
      <table class="table">
        <caption class="visually-hidden">Uses per day</caption>
        <thead>
          <tr>
            <th scope="col">Day</th>
            <th scope="col">Uses</th>
            <th scope="col">Refused</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((day) => (
            <tr>
              <th scope="row">{dateOf(day)}</th>
              <td>{day.used}</td>
              <td>{day.refused}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
};

function totalOf({ used, refused }: Day): number {
  return used + refused;
}

const DATE_FORMAT = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });

function dateOf({ date }: Day): string {
  return DATE_FORMAT.format(new Date(date));
}

function textOf({ used, refused }: Day): string {
  return `${used} ${used === 1 ? 'use' : 'uses'}, ${refused} refused`;
}

function summaryOf(used: number, refused: number, busiest: Day): string {
  if (used + refused === 0) return 'Column chart: no uses.';
  const total = textOf({ date: '', used, refused });
  return `Column chart: ${total} in total. The day with the largest number is ${dateOf(busiest)}: ${textOf(busiest)}.`;
}
