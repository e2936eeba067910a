import { setImmediate as nextIteration } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { batchPerTick } from '../../../src/http/server/tick_batch.ts';

test('items of one event-loop iteration are processed together and in order, later items in the next iteration', async () => {
  const seen: string[] = [];
  const add = batchPerTick((item: string) => {
    seen.push(item);
    // The first step of all items runs before the second step of any.
    void Promise.resolve().then(() => seen.push(`${item}, second step`));
    if (item === 'b') add('from b');
  });
  add('a');
  add('b');
  await Promise.resolve();
  expect(seen).toEqual([]);
  await nextIteration();
  expect(seen).toEqual(['a', 'b', 'a, second step', 'b, second step']);
  await nextIteration();
  expect(seen.slice(4)).toEqual(['from b', 'from b, second step']);
});
