/**
 * A write-ahead log that belongs to another copy of the vault file: opening is refused before SQLite applies it. A log that
 * a crash left is no such log, wherever a checkpoint was interrupted.
 */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Driver from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { STORE_FORMAT } from '../../src/store/sqlite/schema.ts';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite/store.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { entry, newStorePath, openStore, put, readChain } from './store_kit.ts';

/** Copies the files of a store that is open, as a crash leaves them. No other process may write. */
function crashed(path: string): string {
  const copy = join(temporaryFolder(), 'store.db');
  for (const end of ['', '-wal']) if (existsSync(path + end)) cpSync(path + end, copy + end);
  return copy;
}

const write = (store: SqliteStore, text: string) =>
  store.commit({ writes: [put(text, 0)], audit: [entry('o', text)] });

async function writeAll(store: SqliteStore, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await write(store, text);
}

function openExisting(path: string): SqliteStore {
  const store = openSqlite(path);
  onTestFinished(() => store.close());
  return store;
}

function bytesIn(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'hex')]),
  );
}

function expectRefused(path: string): void {
  const before = bytesIn(dirname(path));
  expect(() => openSqlite(path)).toThrow(
    expect.objectContaining({
      code: 'UNAVAILABLE',
      reason: 'wal_mismatch',
      message: expect.stringMatching(/another copy.*Move the files .*-wal and -shm away/),
    }),
  );
  expect(bytesIn(dirname(path))).toEqual(before);
}

type Backup = (path: string) => string;
const BACKUPS: readonly (readonly [string, Backup])[] = [
  [
    'a copy of the closed file',
    (path) => {
      const copy = join(temporaryFolder(), 'backup.db');
      cpSync(path, copy);
      return copy;
    },
  ],
  [
    'VACUUM INTO',
    (path) => {
      const copy = join(temporaryFolder(), 'backup.db');
      const database = new Driver(path);
      database.prepare('VACUUM INTO ?').run(copy);
      database.close();
      return copy;
    },
  ],
];

describe.each(BACKUPS)('a backup made by %s that is copied over the file after a crash', (_, backUp) => {
  test.each(['copied into', 'renamed to'])(
    'is refused while the log of the former file is there, %s its path, and opens without it',
    async (how) => {
      const path = newStorePath();
      const first = await openStore(path);
      await writeAll(first, 'a', 'b');
      await first.close();
      const backup = backUp(path);
      const store = openExisting(path);
      await writeAll(store, 'c', 'd');
      await store.scrub();
      await writeAll(store, 'e', 'f');
      const restored = crashed(path);
      if (how === 'copied into') cpSync(backup, restored);
      else renameSync(backup, restored);
      expectRefused(restored);
      rmSync(`${restored}-wal`);
      expect(await readChain(openExisting(restored), 'o')).toEqual(['a', 'b']);
    },
  );
});

test('a backup made by VACUUM INTO that is copied over the file after a crash is refused if it was made of the file and the same log, but with the pages in another order', async () => {
  const path = newStorePath();
  const store = await openStore(path);
  await writeAll(store, 'a', 'b', 'c');
  await store.scrub();
  await writeAll(store, 'd');
  const restored = crashed(path);
  // Made of the merged file, so it has the last mark in the log.
  const database = new Driver(restored);
  database.prepare('VACUUM INTO ?').run(`${restored}.vacuumed`);
  database.close();
  const again = crashed(path);
  cpSync(`${restored}.vacuumed`, again);
  expectRefused(again);
});

describe('a write-ahead log that a crash left', () => {
  test('opens after each write of a new vault', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    const texts: string[] = [];
    for (let at = 0; at < 20; at++) {
      const copy = crashed(path);
      const opened = openExisting(copy);
      expect(await readChain(opened, 'o')).toEqual(texts);
      await opened.close();
      texts.push(`${at}`);
      await write(store, `${at}`);
      if (at % 5 === 4) await store.scrub();
    }
  });

  test('opens after a checkpoint that was interrupted after any page', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await writeAll(store, 'a', 'b');
    await store.scrub();
    const before = readFileSync(crashed(path));
    await writeAll(store, 'c', 'd', 'e');
    const with_wal = crashed(path);
    const database = new Driver(path);
    database.pragma('wal_checkpoint(PASSIVE)');
    database.close();
    const after = readFileSync(crashed(path));
    const page = 4096;
    for (let pages = 0; pages * page <= after.length; pages++) {
      const copy = join(mkdtempSync(join(temporaryFolder(), 'copy-')), 'store.db');
      cpSync(`${with_wal}-wal`, `${copy}-wal`);
      const mixed = Buffer.concat([after.subarray(0, pages * page), before.subarray(pages * page)]);
      cpSync(with_wal, copy);
      truncateSync(copy, 0);
      writeFileSync(copy, mixed);
      const opened = openExisting(copy);
      expect(await readChain(opened, 'o')).toEqual(['a', 'b', 'c', 'd', 'e']);
      await opened.close();
    }
  });

  test('opens if the log was cut off or its last bytes were not written', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await writeAll(store, 'a', 'b');
    await store.scrub();
    await writeAll(store, 'c', 'd');
    const whole = crashed(path);
    const { length } = readFileSync(`${whole}-wal`);
    for (let cut = 0; cut < length; cut += 997) {
      const copy = crashed(path);
      truncateSync(`${copy}-wal`, cut);
      // A crash of the machine can leave the length without the bytes.
      if (cut % 2 === 0) truncateSync(`${copy}-wal`, length);
      const opened = openExisting(copy);
      expect((await readChain(opened, 'o')).slice(0, 2)).toEqual(['a', 'b']);
      await opened.close();
    }
  });

  test('opens if a tool has vacuumed the file or added an index within the log', async () => {
    for (const sql of [
      'VACUUM',
      'CREATE INDEX other ON record (kind)',
      `PRAGMA user_version = ${STORE_FORMAT}`,
    ]) {
      const path = newStorePath();
      const store = await openStore(path);
      await writeAll(store, 'a');
      await store.scrub();
      const database = new Driver(path);
      database.exec(sql);
      database.close();
      await writeAll(store, 'b');
      expect(await readChain(openExisting(crashed(path)), 'o')).toEqual(['a', 'b']);
      await store.close();
    }
  });

  test('opens if a version of Keyhold without marks wrote the log, or a part of it', async () => {
    const path = newStorePath();
    const store = await openStore(path);
    await writeAll(store, 'a');
    await store.close();
    const database = new Driver(path);
    database.pragma('secure_delete = ON');
    database.exec('DROP TABLE wal_mark');
    database.exec("UPDATE vault SET created_at = '2026-01-02T00:00:00.000Z'");
    const old = crashed(path);
    expect(await readChain(openExisting(old), 'o')).toEqual(['a']);
    database.close();
    const upgraded = openExisting(path);
    await writeAll(upgraded, 'b');
    expect(await readChain(openExisting(crashed(path)), 'o')).toEqual(['a', 'b']);
  });
});
