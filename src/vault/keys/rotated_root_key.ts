/**
 * Opens the root key while another process may be rotating it. A rotation commits the header, then renames the key file, then
 * overwrites the former one, so a header and a file that were read one after the other may not belong together.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VaultError } from '../../contract/errors.ts';
import { openRootKey, type RootKeyHeader, type RootKeySource } from './root_key.ts';

const ATTEMPTS = 3;
const RETRY_MS = 20;

/** As `openRootKey`. Reads header and key file again if they do not belong together. `header`: that of the first attempt. */
export async function openRotatedRootKey(
  source: RootKeySource,
  header: RootKeyHeader,
  readHeader: () => Promise<RootKeyHeader | undefined>,
): Promise<Buffer> {
  let current = header;
  for (let attempt = 1; ; attempt++) {
    try {
      return await openRootKey(source, current);
    } catch (error) {
      if (attempt === ATTEMPTS || source.kind !== 'file' || !mayBeRotating(error)) throw error;
    }
    await sleep(RETRY_MS);
    current = (await readHeader()) ?? current;
  }
}

function mayBeRotating(error: unknown): boolean {
  if (!(error instanceof VaultError)) return false;
  return error.code === 'WRONG_KEY' || ['root_key_invalid', 'root_key_missing'].includes(error.reason ?? '');
}
