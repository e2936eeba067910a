/** A store as the vault sees it, with records and audit entries whose bytes mean nothing to it. */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite/store.ts';
import type { AuditAppend, AuditHead, RecordWrite, StoredRecord } from '../../src/store/store.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const HEADER = {
  root_key_id: Buffer.alloc(16, 1),
  root_key_source: 'file',
  passphrase_salt: undefined,
  created_at: '2026-01-01T00:00:00.000Z',
};
const ID_BYTES = 16;

export function digest(...parts: readonly (string | Buffer)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest();
}

/** 16 bytes that stand for a name. */
export function bytesOf(name: string): Buffer {
  return digest(name).subarray(0, ID_BYTES);
}

/** The path of an empty file for a store. */
export function newStorePath(): string {
  const path = join(temporaryFolder(), 'store.db');
  closeSync(openSync(path, 'w', 0o600));
  return path;
}

/** Opens a connection of its own, which is closed when the test is over; makes the vault where there is none. */
export async function openStore(path: string = newStorePath()): Promise<SqliteStore> {
  const store = openSqlite(path);
  onTestFinished(() => store.close());
  if ((await store.header()) === undefined) await store.create(HEADER, { writes: [], audit: [] });
  return store;
}

/** A record called `name`; its bytes follow from name and revision, its index from `index`. */
export function record(name: string, revision: number, { index = name, scope = 'scope' } = {}): StoredRecord {
  return {
    kind: 'test',
    id: bytesOf(`id of ${name}`),
    scope: bytesOf(scope),
    index: bytesOf(`index of ${index}`),
    revision,
    key_version: 1,
    sealed_meta: Buffer.from(`meta of ${name}, revision ${revision}`),
    sealed_values: Buffer.from(`values of ${name}, revision ${revision}`),
  };
}

/** Writes revision `expected_revision + 1` of a record. */
export function put(
  name: string,
  expected_revision: number,
  options?: { readonly index?: string; readonly scope?: string },
): RecordWrite {
  return { do: 'put', expected_revision, record: record(name, expected_revision + 1, options) };
}

export function remove(name: string, expected_revision: number): RecordWrite {
  return { do: 'delete', expected_revision, id: record(name, 1).id };
}

/** That nothing is under the scope. */
export function none(scope: string): RecordWrite {
  return { do: 'check_none', scope: bytesOf(scope) };
}

function sealed(text: string, position: number, previous: Buffer | undefined) {
  const bytes = Buffer.from(`${text} at ${position}`);
  const link = digest('link', previous ?? '', String(position), bytes);
  return { sealed: bytes, link, end_seal: digest('end', link) };
}

/** An entry that chains itself by a plain hash, and refuses an end that was not made like that. */
export function entry(organization: string, text: string): AuditAppend {
  return {
    organization: bytesOf(organization),
    key_version: 1,
    checkHead: (end: AuditHead | undefined) => {
      if (end !== undefined && !end.end_seal.equals(digest('end', end.link))) throw new Error('not the end');
    },
    sealEntry: (position, previous) => sealed(text, position, previous),
  };
}

/** The texts of a whole chain in its order. Throws where a place, a link or the seal of the end is not right. */
export async function readChain(store: SqliteStore, organization: string): Promise<string[]> {
  const end = await store.auditHead(bytesOf(organization));
  const texts: string[] = [];
  let link: Buffer | undefined;
  for (const row of await store.auditEntries(bytesOf(organization), 1, 100_000)) {
    const [text = '', position] = row.sealed.toString().split(' at ');
    const expected = sealed(text, texts.length + 1, link);
    if (Number(position) !== row.position || row.position !== texts.length + 1)
      throw new Error('a wrong place');
    if (!row.link.equals(expected.link)) throw new Error('a broken link');
    link = row.link;
    texts.push(text);
  }
  if ((end?.position ?? 0) !== texts.length) throw new Error('the end is elsewhere');
  if (end !== undefined && !end.end_seal.equals(digest('end', end.link)))
    throw new Error('the end has no seal');
  return texts;
}
