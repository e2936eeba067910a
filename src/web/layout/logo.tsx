/** The logos of built-in services. The build makes one file of them, from the package that `logos.json` names. */
import type { FC } from 'hono/jsx';
import LOGOS from './logos.json' with { type: 'json' };

/** The path of the file with a symbol for each slug in `logos.json`. */
export const LOGOS_PATH = '/dashboard/assets/logos.svg';

/** The logo of a service on a coloured square, or two letters of its name. Decoration: the name is beside it. */
export const Logo: FC<{ readonly service_id: string; readonly name: string }> = ({ service_id, name }) => (
  <span class={`logo logo-${tintOf(name)}`} aria-hidden="true">
    {Object.hasOwn(LOGOS, service_id) ? (
      <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
        <use href={`${LOGOS_PATH}#${service_id}`} />
      </svg>
    ) : (
      initialsOf(name)
    )}
  </span>
);

const TINTS = 8;

function tintOf(name: string): number {
  let sum = 0;
  for (const char of name) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 9973;
  return sum % TINTS;
}

function initialsOf(name: string): string {
  const parts = name.split(/[^\p{L}\p{N}]+/u).filter((part) => part !== '');
  const letters =
    parts.length > 1 ? parts.slice(0, 2).map((part) => [...part][0]) : [...(parts[0] ?? '?')].slice(0, 2);
  return letters.join('').toUpperCase();
}
