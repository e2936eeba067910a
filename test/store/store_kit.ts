/** A store with records and audit entries whose bytes have no meaning: digests of names instead of ciphertext. */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { openSqlite, type SqliteStore } from '../../src/store/sqlite/store.ts';
import type { AuditAppend, ChainHead, RecordWrite, Store, StoredRecord } from '../../src/store/store.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

export const HEADER = {
  root_key_id: Buffer.alloc(16, 1),
  root_key_source: 'file',
  passphrase_salt: undefined,
  root_key_ref: undefined,
  root_key_sealed: undefined,
  created_at: '2026-01-01T00:00:00.000Z',
};
const ID_BYTES = 16;

export function digest(...parts: readonly (string | Buffer)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest();
}

/** 16 bytes derived from a name. */
export function bytesOf(name: string): Buffer {
  return digest(name).subarray(0, ID_BYTES);
}

/** The path of an empty file for a store. */
export function newStorePath(): string {
  const path = join(temporaryFolder(), 'store.db');
  closeSync(openSync(path, 'w', 0o600));
  return path;
}

/** Opens a connection that is closed at the end of the test. Creates the vault in an empty file. */
export async function openStore(path: string = newStorePath()): Promise<SqliteStore> {
  const store = openSqlite(path);
  onTestFinished(() => store.close());
  if ((await store.header()) === undefined) await store.create(HEADER, { writes: [], audit: [] });
  return store;
}

/** A record called `name`: its bytes are derived from name and revision, its index from `index`. */
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
  const { sealed_values, ...row } = record(name, expected_revision + 1, options);
  return { do: 'put', expected_revision, organization: bytesOf('organization'), row, sealed_values };
}

export function remove(name: string, expected_revision: number): RecordWrite {
  return { do: 'delete', expected_revision, id: record(name, 1).id };
}

/** Requires that the scope is empty. */
export function none(scope: string): RecordWrite {
  return { do: 'check_none', scope: bytesOf(scope) };
}

function sealed(text: string, position: number, previous: Buffer | undefined) {
  const bytes = Buffer.from(`${text} at ${position}`);
  const link = digest('link', previous ?? '', String(position), bytes);
  return { sealed: bytes, link, head_mac: digest('end', link) };
}

/** An entry chained with a plain hash, which refuses a head with another MAC. */
export function entry(organization: string, text: string): AuditAppend {
  return {
    organization: bytesOf(organization),
    key_version: 1,
    checkHead: (head: ChainHead | undefined) => {
      if (head !== undefined && !head.head_mac.equals(digest('end', head.link)))
        throw new Error('not the head');
    },
    sealEntry: (position, previous) => sealed(text, position, previous),
  };
}

/** The texts of a whole chain in order. Throws if a position, a link or the head MAC is wrong. */
export async function readChain(store: Store, organization: string): Promise<string[]> {
  const head = await store.auditHead(bytesOf(organization));
  const texts: string[] = [];
  let link: Buffer | undefined;
  for (const row of await store.auditEntries(bytesOf(organization), 1, 100_000)) {
    const [text = '', position] = row.sealed.toString().split(' at ');
    const expected = sealed(text, texts.length + 1, link);
    if (Number(position) !== row.position || row.position !== texts.length + 1)
      throw new Error('a wrong position');
    if (!row.link.equals(expected.link)) throw new Error('a broken link');
    link = row.link;
    texts.push(text);
  }
  if ((head?.position ?? 0) !== texts.length) throw new Error('the head has another position');
  if (head !== undefined && !head.head_mac.equals(digest('end', head.link)))
    throw new Error('the head has no MAC');
  return texts;
}
