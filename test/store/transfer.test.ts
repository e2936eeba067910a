/** Copies of whole stores: snapshots while writes go on, receiving, and taking the name of the vault file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openSqlite } from '../../src/store/sqlite/store.ts';
import { SqliteTarget } from '../../src/store/sqlite/transfer/target.ts';
import type { RowReader, StoreSnapshot } from '../../src/store/store.ts';
import { copyRows, equalizeRows } from '../../src/vault/backup/copy_rows.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { bytesOf, entry, newStorePath, openStore, put, readChain, record, remove } from './store_kit.ts';

const ID = 'ab'.repeat(16);
const ALWAYS = { mayReplace: async () => undefined };

/** A store with records of two organizations, one of them changed and one deleted. */
async function filledStore() {
  const path = newStorePath();
  const store = await openStore(path);
  const key = (owner: string) => ({
    owner: bytesOf(owner),
    version: 1,
    wrapped: Buffer.from(`key of ${owner}`),
  });
  await store.commit({
    keys: [key('one'), key('two')],
    writes: [],
    audit: [entry('one', 'begin'), entry('two', 'begin')],
  });
  for (const name of ['a', 'b', 'c', 'd'])
    await store.commit({ writes: [put(name, 0)], audit: [entry('one', name)] });
  await store.commit({ writes: [put('b', 1), remove('c', 1)], audit: [entry('two', 'change')] });
  return { path, store };
}

async function snapshotOf(path: string): Promise<StoreSnapshot> {
  const store = openSqlite(path);
  const snapshot = await store.snapshot();
  onTestFinished(() => snapshot.close().then(() => store.close()));
  return snapshot;
}

/** All rows, as the interface returns them. */
async function contentOf(rows: RowReader) {
  const heads = await rows.heads();
  const entries = await Promise.all(heads.map(({ organization }) => rows.entries(organization, 1)));
  const byOrganization = [...heads.entries()].map(([at, head]) => ({ head, entries: entries[at] }));
  byOrganization.sort((a, b) => Buffer.compare(a.head.organization, b.head.organization));
  return { records: await rows.records(0), keys: await rows.keys(undefined), chains: byOrganization };
}

/** Copies the vault at `from` to the path `to` and returns the kept file. */
async function copyTo(from: string, to: string, former = ALWAYS) {
  const target = new SqliteTarget(to);
  const snapshot = await snapshotOf(from);
  const receiver = await target.receive(ID, snapshot.header);
  await copyRows(snapshot, receiver, () => undefined);
  await receiver.close();
  return target.publish(ID, former);
}

describe('a snapshot', () => {
  test('does not change while the store is written to', async () => {
    const { path, store } = await filledStore();
    const snapshot = await snapshotOf(path);
    const before = await contentOf(snapshot);
    await store.commit({
      writes: [put('e', 0), put('a', 1), remove('d', 1)],
      audit: [entry('one', 'later')],
    });
    expect(await contentOf(snapshot)).toEqual(before);
    expect(before.records.map(({ id }) => id)).toEqual(['a', 'b', 'd'].map((name) => record(name, 1).id));
    expect(await contentOf(await snapshotOf(path))).not.toEqual(before);
  });

  test('counts keys, records and entries', async () => {
    const { path } = await filledStore();
    const snapshot = await snapshotOf(path);
    expect(await snapshot.counts()).toEqual({ keys: 2, records: 3, entries: 7, last_seq: 4 });
  });
});

describe('a copy', () => {
  test('has the same keys, records in the same order, and chains that can be appended to', async () => {
    const { path } = await filledStore();
    const copy = join(temporaryFolder(), 'data', 'copy.db');
    expect(await copyTo(path, copy)).toEqual({ kept: undefined });
    const content = await contentOf(await snapshotOf(copy));
    expect(content).toEqual(await contentOf(await snapshotOf(path)));
    const store = await openStore(copy);
    await store.commit({ writes: [put('f', 0)], audit: [entry('one', 'next')] });
    expect(await readChain(store, 'one')).toEqual(['begin', 'a', 'b', 'c', 'd', 'next']);
    const { records } = await store.list(bytesOf('scope'), 10);
    expect(records.map(({ id }) => id)).toEqual(['f', 'd', 'b', 'a'].map((name) => record(name, 1).id));
    expect(fs.statSync(copy).mode & 0o777).toBe(0o600);
    expect(fs.readdirSync(dirname(copy)).filter((name) => name.includes('receiving'))).toEqual([]);
  });

  test('continues after a run that ended in the middle', async () => {
    const { path } = await filledStore();
    const copy = join(temporaryFolder(), 'copy.db');
    const snapshot = await snapshotOf(path);
    const first = await new SqliteTarget(copy).receive(ID, snapshot.header);
    const [one, two] = await snapshot.records(0);
    const [begin] = await snapshot.entries(bytesOf('one'), 1);
    if (one === undefined || two === undefined || begin === undefined) throw new Error('no rows');
    await first.write({ records: [one, two], entries: { organization: bytesOf('one'), entries: [begin] } });
    await first.close();
    let rows = 0;
    const second = await new SqliteTarget(copy).receive(ID, snapshot.header);
    await copyRows(snapshot, second, (count) => {
      rows += count;
    });
    expect(rows).toBe(2 + 1 + 6);
    expect(await contentOf(second)).toEqual(await contentOf(snapshot));
    await second.close();
  });

  test('becomes equal again to a store that was changed meanwhile', async () => {
    const { path, store } = await filledStore();
    const copy = join(temporaryFolder(), 'copy.db');
    const before = await snapshotOf(path);
    const receiver = await new SqliteTarget(copy).receive(ID, before.header);
    await copyRows(before, receiver, () => undefined);
    // `x` takes the index of `d`, and `d` that of `a`.
    await store.commit({
      writes: [remove('a', 1), put('d', 1, { index: 'a' }), put('x', 0, { index: 'd' })],
      audit: [entry('one', 'trade')],
    });
    await store.commit({
      keys: [{ owner: bytesOf('two'), version: 2, wrapped: Buffer.from('new') }],
      writes: [],
      audit: [],
    });
    const after = await snapshotOf(path);
    await copyRows(after, receiver, () => undefined);
    expect(await equalizeRows(after, receiver, true)).toBeGreaterThan(0);
    expect(await equalizeRows(after, receiver, false)).toBe(0);
    expect(await contentOf(receiver)).toEqual(await contentOf(after));
    await receiver.close();
  });
});

describe('the file of the vault', () => {
  test('is replaced only after `mayReplace`, and the former one is kept', async () => {
    const { path } = await filledStore();
    const other = newStorePath();
    const store = await openStore(other);
    await store.commit({ writes: [put('old', 0)], audit: [entry('one', 'old')] });
    await store.close();
    const refuse = { mayReplace: () => Promise.reject(new Error('no')) };
    await expect(copyTo(path, other, refuse)).rejects.toThrow('no');
    const before = await contentOf(await snapshotOf(other));
    expect(before.records).toHaveLength(1);
  });

  test('keeps the former vault under another name, which opens', async () => {
    const { path } = await filledStore();
    const other = newStorePath();
    const store = await openStore(other);
    await store.commit({ writes: [put('old', 0)], audit: [entry('one', 'old')] });
    await store.close();
    const seen: number[] = [];
    const { kept } = await copyTo(path, other, {
      mayReplace: async (rows?: RowReader) => void seen.push((await rows?.counts())?.records ?? -1),
    });
    expect(seen).toEqual([1]);
    expect((await contentOf(await snapshotOf(other))).records).toHaveLength(3);
    expect(kept).toBe(`${other}.replaced-1`);
    expect((await contentOf(await snapshotOf(kept ?? ''))).records[0]?.id).toEqual(record('old', 1).id);
    expect(fs.statSync(kept ?? '').mode & 0o777).toBe(0o600);
  });

  test('is not replaced while a connection has it open, also an idle one', async () => {
    const { path } = await filledStore();
    const other = newStorePath();
    const store = await openStore(other);
    await store.commit({ writes: [put('old', 0)], audit: [] });
    await expect(copyTo(path, other)).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'busy' });
    await store.commit({ writes: [put('new', 0)], audit: [] });
    await store.close();
    expect((await contentOf(await snapshotOf(other))).records).toHaveLength(2);
  });

  test('never meets the write-ahead log of the former vault', async () => {
    const { path } = await filledStore();
    const other = newStorePath();
    await crashAfterWrites(other);
    expect(fs.statSync(`${other}-wal`).size).toBeGreaterThan(0);
    // As after a backup of the file was copied over it.
    fs.copyFileSync(path, other);
    await copyTo(path, other);
    expect(fs.existsSync(`${other}-wal`)).toBe(false);
    expect((await contentOf(await snapshotOf(other))).records).toHaveLength(3);
    const missing = newStorePath();
    await crashAfterWrites(missing);
    fs.rmSync(missing);
    await copyTo(path, missing);
    expect((await contentOf(await snapshotOf(missing))).records).toHaveLength(3);
  });

  test('that is damaged is replaced if `mayReplace` permits it, and kept', async () => {
    const { path } = await filledStore();
    const other = join(temporaryFolder(), 'vault.db');
    fs.writeFileSync(other, 'This is no database.', { mode: 0o600 });
    const seen: unknown[] = [];
    const { kept } = await copyTo(path, other, {
      mayReplace: async (rows?: RowReader) => void seen.push(rows),
    });
    expect(seen).toEqual([undefined]);
    expect(fs.readFileSync(kept ?? '', 'utf8')).toBe('This is no database.');
    expect((await contentOf(await snapshotOf(other))).records).toHaveLength(3);
  });

  test('is received by one process at a time', async () => {
    const { path } = await filledStore();
    const copy = join(temporaryFolder(), 'copy.db');
    const { header } = await snapshotOf(path);
    const first = await new SqliteTarget(copy).receive(ID, header);
    for (const id of [ID, 'cd'.repeat(16)]) {
      const receive = new SqliteTarget(copy).receive(id, header);
      await expect(receive).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'busy' });
    }
    await first.close();
    const other = await new SqliteTarget(copy).receive('cd'.repeat(16), header);
    await other.close();
    expect(fs.readdirSync(dirname(copy))).toEqual([`copy.db.receiving-${'cd'.repeat(16)}`]);
  });
});

/** Writes to a new store in a process that is killed with its write-ahead log on disk. */
async function crashAfterWrites(path: string): Promise<void> {
  const store = await openStore(path);
  await store.close();
  const driver = createRequire(import.meta.url).resolve('better-sqlite3');
  const script = `const d = new (require(${JSON.stringify(driver)}))(${JSON.stringify(path)});
    d.pragma('journal_mode = WAL');
    d.exec("UPDATE wal_mark SET previous = mark, mark = randomblob(16); UPDATE vault SET created_at = 'crashed'");
    process.stdout.write('written'); setInterval(() => 0, 1000);`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
}
