/** The readiness of a node, with stores of every engine. */
import { describe, expect, test } from 'vitest';
import { readinessOf } from '../../../src/vault/nodes/readiness.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';
import { ENGINES, openOn } from '../../store/engines.ts';

const USABLE = { areUsable: () => true };
const shifted = (ms: number) => () => new Date(Date.now() + ms);

describe.each(ENGINES)('a node with $name', (engine) => {
  test('is not ready with a store that is closed or has no vault', async () => {
    const store = await openOn(engine);
    expect(await readinessOf(store, USABLE, shifted(0))).toBe('ready');
    await store.close();
    expect(await readinessOf(store, USABLE, shifted(0))).toBe('unavailable');
    const empty = engine.open(await engine.create());
    expect(await readinessOf(empty, USABLE, shifted(0))).toBe('unavailable');
    await empty.close();
  });

  test('is not ready while its clock differs from that of a database by more than a second', async () => {
    const store = await openOn(engine);
    const is_local = store.clock === undefined;
    expect(is_local).toBe(engine.name === 'SQLite');
    for (const ms of [-60_000, -2_000, 2_000, 60_000])
      expect(await readinessOf(store, USABLE, shifted(ms))).toBe(is_local ? 'ready' : 'clock_differs');
    for (const ms of [-800, 0, 800]) expect(await readinessOf(store, USABLE, shifted(ms))).toBe('ready');
  });
});

test('an open vault compares its clock with that of a database', async () => {
  const late = await openTestVault(undefined, {}, undefined, { now: shifted(60_000) });
  expect(await late.vault.nodes.readiness()).toBe(test_engine.is_remote ? 'clock_differs' : 'ready');
  expect(await (await openTestVault()).vault.nodes.readiness()).toBe('ready');
});
