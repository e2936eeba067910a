/**
 * A vault file that is not in WAL mode, as after VACUUM INTO or `journal_mode=DELETE` by a tool: it is set to WAL mode as
 * soon as no other process reads, and until then a COMMIT that fails with SQLITE_BUSY is repeated.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite/store.ts';
import { entry, newStorePath, openStore, put, readChain, record } from './store_kit.ts';

/** Byte 18 of the header: 2 is WAL (https://sqlite.org/fileformat2.html). The file must not be open in this process. */
const isWal = (path: string) => readFileSync(path)[18] === 2;

async function newFile(): Promise<string> {
  const path = newStorePath();
  const store = await openStore(path);
  await store.commit({ writes: [put('first', 0)], audit: [entry('o', 'first')] });
  await store.close();
  return path;
}

const TOOLS: readonly (readonly [string, (path: string) => void])[] = [
  [
    'restored with VACUUM INTO',
    (path) => {
      const database = new Driver(path);
      database.prepare('VACUUM INTO ?').run(`${path}.copy`);
      database.close();
      renameSync(`${path}.copy`, path);
    },
  ],
  [
    'set to journal_mode=DELETE by a tool',
    (path) => {
      const database = new Driver(path);
      database.pragma('journal_mode = DELETE');
      database.close();
    },
  ],
];

/**
 * A process that reads the file again and again: `hold_ms` in a transaction, then `pause_ms` outside of one. Resolves when
 * it is in its first transaction.
 */
async function startReader(path: string, hold_ms: number, pause_ms: number): Promise<ChildProcess> {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3');
  const program = `
    const database = new (require(${JSON.stringify(driver)}))(${JSON.stringify(path)}, { timeout: 5000 });
    const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    for (let round = 0; ; round++) {
      database.exec('BEGIN; SELECT count(*) FROM record');
      if (round === 0) require('node:fs').writeSync(1, 'reading');
      wait(${hold_ms});
      database.exec('COMMIT');
      wait(${pause_ms});
    }`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

async function store300(store: SqliteStore): Promise<void> {
  const texts = Array.from({ length: 300 }, (_, at) => `${at}`);
  for (const text of texts) await store.commit({ writes: [put(text, 0)], audit: [entry('o', text)] });
  expect(await readChain(store, 'o')).toEqual(['first', ...texts]);
}

function openExisting(path: string): SqliteStore {
  const store = openSqlite(path);
  onTestFinished(() => store.close());
  return store;
}

describe.each(TOOLS)('a file %s', (_, change) => {
  test('is set to WAL mode when it is opened', async () => {
    const path = await newFile();
    change(path);
    expect(isWal(path)).toBe(false);
    await openExisting(path).close();
    expect(isWal(path)).toBe(true);
  });

  test('is set to WAL mode, and takes 300 writes, while another process reads it again and again', async () => {
    const path = await newFile();
    change(path);
    const reader = await startReader(path, 20, 5);
    const store = openExisting(path);
    await store300(store);
    reader.kill('SIGKILL');
    await once(reader, 'exit');
    await store.close();
    expect(isWal(path)).toBe(true);
  });

  test('is set to WAL mode when it is closed if a reader prevented that until the last write', async () => {
    const path = await newFile();
    change(path);
    const reader = new Driver(path);
    reader.exec('BEGIN; SELECT count(*) FROM record');
    const store = openExisting(path);
    const write = store.commit({ writes: [put('second', 0)], audit: [] });
    await sleep(200);
    reader.exec('COMMIT');
    reader.close();
    await write;
    await store.close();
    expect(isWal(path)).toBe(true);
  });

  test('takes writes after a reader that was there before it was opened has ended, and is then set to WAL mode', async () => {
    const path = await newFile();
    change(path);
    const reader = await startReader(path, 600_000, 0);
    const store = openExisting(path);
    let is_done = false;
    const write = store.commit({ writes: [put('second', 0)], audit: [] }).finally(() => {
      is_done = true;
    });
    await sleep(200);
    expect(is_done).toBe(false);
    // Reads do not see what is not committed.
    expect(await store.get(record('second', 1).id)).toBeUndefined();
    expect(await store.find(record('second', 1).index)).toBeUndefined();
    expect(await store.get(record('first', 1).id)).toBeDefined();
    reader.kill('SIGKILL');
    await write;
    expect(await store.find(record('second', 1).index)).toBeDefined();
    await expect.poll(() => modeOf(path), { timeout: 10_000 }).toBe('wal');
  });
});

test('a read without WAL waits for a program with an exclusive lock, and does not block the event loop', async () => {
  const path = await newFile();
  TOOLS[1]?.[1](path);
  const reader = await startReader(path, 600_000, 0);
  const store = openExisting(path);
  reader.kill('SIGKILL');
  await once(reader, 'exit');
  const other = new Driver(path);
  other.exec('BEGIN EXCLUSIVE');
  let is_done = false;
  const read = store.get(record('first', 1).id).finally(() => {
    is_done = true;
  });
  const ready = store.isReady();
  await sleep(200);
  expect(is_done).toBe(false);
  other.exec('COMMIT');
  other.close();
  expect(await read).toBeDefined();
  expect(await ready).toBe(true);
});

/** Through a second connection: reading the file would drop the locks of the first one. */
function modeOf(path: string): unknown {
  const database = new Driver(path, { readonly: true });
  try {
    return database.pragma('journal_mode', { simple: true });
  } finally {
    database.close();
  }
}

test.skipIf(process.env.SLOW === undefined)(
  'a write without WAL fails with reason busy if another process reads for longer than the time limit',
  { timeout: 60_000 },
  async () => {
    const path = await newFile();
    TOOLS[1]?.[1](path);
    const reader = await startReader(path, 600_000, 0);
    const store = openExisting(path);
    const began_ms = performance.now();
    await expect(store.commit({ writes: [put('second', 0)], audit: [] })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'busy',
    });
    expect(performance.now() - began_ms).toBeLessThan(20_000);
    reader.kill('SIGKILL');
    await store.commit({ writes: [put('second', 0)], audit: [] });
  },
);
