/**
 * Writes a backup from a snapshot of the store: all rows as they are, in a secret stream under a random key. Nothing in it is
 * decrypted.
 */
import { VaultError } from '../../contract/errors.ts';
import { KEY_BYTES, rootKeyId } from '../../crypto/key_hierarchy.ts';
import type { RandomBytes } from '../../crypto/random.ts';
import { SecretStreamWriter } from '../../crypto/secret_stream.ts';
import type { LoadedSodium } from '../../crypto/sodium.ts';
import type { StoreSnapshot } from '../../store/store.ts';
import { keyPages, type OnRows, recordPages } from './copy_rows.ts';
import { encodeHeader } from './format.ts';
import { type BackupCounts, type BackupPart, encodePart } from './parts.ts';

/** Receives the bytes of a backup, in order. */
export type WriteBytes = (bytes: Buffer) => Promise<void>;

export interface BackupSource {
  readonly snapshot: StoreSnapshot;
  readonly sodium: LoadedSodium;
  readonly random: RandomBytes;
  readonly root_key: Buffer;
  readonly facts: { readonly id: string; readonly created_at: string; readonly vault: string };
  readonly passphrase: string | undefined;
}

/** Writes the backup and returns its number of bytes. `onRows`: called after each page, with the rows in all at first. */
export async function writeBackup(source: BackupSource, write: WriteBytes, onRows: OnRows): Promise<number> {
  const { snapshot, sodium, random, root_key, passphrase } = source;
  if (!rootKeyId(root_key).equals(snapshot.header.root_key_id)) {
    const message = 'The root key was rotated by another process, so no backup was made. Try again.';
    throw new VaultError('CONFLICT', message);
  }
  const counts = await snapshot.counts();
  const key = random(KEY_BYTES);
  const facts = { ...source.facts, header: snapshot.header, counts };
  const header = await encodeHeader({ sodium, random }, facts, key, root_key, passphrase);
  const stream = new SecretStreamWriter(sodium, key, header);
  let bytes = 0;
  const writeAll = async (part: Buffer) => {
    bytes += part.length;
    await write(part);
  };
  await writeAll(Buffer.concat([header, stream.header]));
  for await (const [part, rows] of partsOf(snapshot, counts)) {
    const sealed = stream.encrypt(encodePart(part), part.kind === 'end');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(sealed.length);
    await writeAll(Buffer.concat([length, sealed]));
    onRows(rows);
  }
  return bytes;
}

async function* partsOf(
  snapshot: StoreSnapshot,
  counts: BackupCounts,
): AsyncGenerator<readonly [BackupPart, number], void> {
  const written = { keys: 0, records: 0, entries: 0 };
  const heads = await snapshot.heads();
  yield [{ kind: 'heads', heads }, 0];
  for await (const keys of keyPages(snapshot)) {
    written.keys += keys.length;
    yield [{ kind: 'keys', keys }, keys.length];
  }
  for await (const records of recordPages(snapshot)) {
    written.records += records.length;
    yield [{ kind: 'records', records }, records.length];
  }
  for (const { organization } of heads) {
    let entries = await snapshot.entries(organization, 1);
    while (entries.length > 0) {
      written.entries += entries.length;
      yield [{ kind: 'entries', organization, entries }, entries.length];
      entries = await snapshot.entries(organization, (entries.at(-1)?.position ?? 0) + 1);
    }
  }
  const { keys, records, entries } = written;
  if (keys !== counts.keys || records !== counts.records || entries !== counts.entries) throw rowsMissing();
  yield [{ kind: 'end', counts: written }, 0];
}

function rowsMissing(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The vault has rows that no organization has, or that cannot be read, so the backup would be incomplete and none was made. Run `keyhold doctor`; copy the vault itself before you repair it.',
    { reason: 'record_damaged' },
  );
}
