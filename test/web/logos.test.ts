/** The file of logos that the build makes, and the services that have one. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import LOGOS from '../../src/web/layout/logos.json' with { type: 'json' };

test('every logo is of a built-in service and is one drawing without scripts, styles or links', () => {
  const slugs = new Set(
    readFileSync('dist/definitions.jsonl', 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => /"slug":"(\w+)"/.exec(line)?.[1]),
  );
  const unknown = Object.keys(LOGOS).filter((slug) => !slugs.has(slug));
  expect(unknown).toEqual([]);
  const svg = readFileSync('dist/web/logos.svg', 'utf8');
  expect(svg.match(/<symbol id="\w+" viewBox="0 0 24 24"><path d="[\w\s.,-]+"\/><\/symbol>/g)?.length).toBe(
    Object.keys(LOGOS).length,
  );
  expect(svg.replace(/<symbol id="\w+" viewBox="0 0 24 24"><path d="[\w\s.,-]+"\/><\/symbol>/g, '')).toBe(
    '<svg xmlns="http://www.w3.org/2000/svg"></svg>\n',
  );
});
