/** The write-ahead log is truncated when writes pause, also after an attempt that failed. */
import { statSync } from 'node:fs';
import Driver from 'better-sqlite3';
import { afterEach, expect, test, vi } from 'vitest';
import { Checkpointer } from '../../src/store/sqlite/file/checkpointer.ts';
import { ReadSnapshot } from '../../src/store/sqlite/read_snapshot.ts';
import { newStorePath } from './store_kit.ts';

afterEach(() => {
  vi.useRealTimers();
});

test('the log is truncated after an attempt that failed', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const path = newStorePath();
  const database = new Driver(path);
  database.pragma('journal_mode = WAL');
  const checkpointer = new Checkpointer(database, new ReadSnapshot(database));
  database.exec('CREATE TABLE t (a)');
  checkpointer.schedule();
  // A checkpoint inside a transaction fails.
  database.exec('BEGIN IMMEDIATE; INSERT INTO t VALUES (1)');
  vi.advanceTimersByTime(1_000);
  database.exec('COMMIT');
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(0);
  vi.advanceTimersByTime(20_000);
  expect(statSync(`${path}-wal`).size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  checkpointer.close(true);
  database.close();
});
