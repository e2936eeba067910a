import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { batchPerTick } from '../../../src/http/server/tick_batch.ts';

test('what comes in one turn is handed on together and in order, what comes later in a turn of its own', async () => {
  const seen: string[] = [];
  const take = batchPerTick((item: string) => {
    seen.push(item);
    // Steps of all of them come before the next step of any.
    void Promise.resolve().then(() => seen.push(`${item}, second step`));
    if (item === 'b') take('from b');
  });
  take('a');
  take('b');
  await Promise.resolve();
  expect(seen).toEqual([]);
  await turn();
  expect(seen).toEqual(['a', 'b', 'a, second step', 'b, second step']);
  await turn();
  expect(seen.slice(4)).toEqual(['from b', 'from b, second step']);
});
