/** The system clock is set back by an hour while a store is open: every wait ends in its time. */
import { statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { retryWhileBusy } from '../../src/store/sqlite/errors.ts';
import { WriterQueue } from '../../src/store/sqlite/writer_queue.ts';
import { newStorePath, openStore, put } from './store_kit.ts';

const HOUR_MS = 3_600_000;

function setClockBack(): void {
  vi.setSystemTime(Date.now() - HOUR_MS);
}

describe('after the system clock was set back by an hour', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('the write-ahead log with a replaced value is truncated soon after the write', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await store.commit({ writes: [put('a', 0)], audit: [] });
    await store.commit({ writes: [put('a', 1)], audit: [] });
    setClockBack();
    expect(statSync(`${path}-wal`).size).toBeGreaterThan(0);
    await expect.poll(() => statSync(`${path}-wal`).size, { timeout: 10_000 }).toBe(0);
  });

  test('a loop of writes lets timers run', async () => {
    const store = await openStore();
    await store.commit({ writes: [put('a', 0)], audit: [] });
    setClockBack();
    let ticks = 0;
    const timer = setInterval(() => {
      ticks++;
    }, 5);
    onTestFinished(() => clearInterval(timer));
    const give_up_at_ms = performance.now() + 10_000;
    for (let revision = 1; ticks <= 5 && performance.now() < give_up_at_ms; revision++)
      await store.commit({ writes: [put('a', revision)], audit: [] });
    expect(ticks).toBeGreaterThan(5);
  });

  test('a writer that waits for the lock gives up after its time limit', async () => {
    const path = newStorePath();
    const queue = new WriterQueue(`${path}-writers`);
    onTestFinished(() => queue.close());
    const began_ms = performance.now();
    const acquired = queue.acquire(() => false, 300);
    await sleep(100);
    setClockBack();
    expect(await acquired).toBe(false);
    expect(performance.now() - began_ms).toBeLessThan(10_000);
  });

  test('a read that waits for a lock gives up after its time limit', async () => {
    const path = newStorePath();
    await openStore(path);
    const [other, blocked] = [new Driver(path), new Driver(path, { timeout: 0 })];
    onTestFinished(() => {
      other.close();
      blocked.close();
    });
    other.exec('BEGIN IMMEDIATE');
    let tries = 0;
    const attempt = () => {
      if (++tries === 2) setClockBack();
      blocked.exec('BEGIN IMMEDIATE');
    };
    const began_ms = performance.now();
    expect(() => retryWhileBusy(attempt, 200)).toThrow(/locked/);
    expect(performance.now() - began_ms).toBeLessThan(10_000);
  });
});
