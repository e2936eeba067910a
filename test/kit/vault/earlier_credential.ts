/** Rewrites a stored credential as a version without bound destinations stored it. The values stay as they are. */
import { randomBytes } from 'node:crypto';
import { sealPart } from '../../../src/crypto/record_cipher.ts';
import { loadSodium } from '../../../src/crypto/sodium.ts';
import { readerPurposeKey, readSealedPart } from '../../vectors/independent_reader.ts';
import { readRowById, replaceRecords, unwrapDataKey } from './database.ts';

/** The vault must be closed: it keeps decrypted metadata in memory. */
export async function removeBoundDestination(home: string, credential_id: string): Promise<void> {
  const row = await readRowById(home, credential_id);
  if (row === undefined) throw new Error(`record ${credential_id} not found`);
  const context = { ...row, index: row.blind_index, part: 'meta' } as const;
  const key = readerPurposeKey(await unwrapDataKey(home), 'meta');
  const { destination, ...meta } = JSON.parse(readSealedPart(key, context, row.sealed_meta));
  if (destination === undefined) throw new Error('the credential is not bound');
  const sodium = await loadSodium();
  const sealed_meta = sealPart(sodium, randomBytes, 'aes-256-gcm', key, context, JSON.stringify(meta));
  await replaceRecords(home, [{ ...row, sealed_meta }]);
}
