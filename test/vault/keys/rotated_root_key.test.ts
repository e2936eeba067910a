/** The root key is opened while another process rotates it: the header and the key file are of different keys for a short time. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { rootKeyId } from '../../../src/crypto/key_hierarchy.ts';
import type { RootKeyHeader } from '../../../src/vault/keys/root_key.ts';
import { openRotatedRootKey } from '../../../src/vault/keys/rotated_root_key.ts';
import { errorOf } from '../../kit/outcome.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

interface Rotated {
  readonly home: string;
  readonly path: string;
  readonly former: string;
  readonly next: string;
}

/** A closed vault after a rotation of its root key, and the texts of both keys. */
async function rotatedVault(): Promise<Rotated> {
  const { home, vault, caller } = await openTestVault();
  const path = join(home, 'keys', 'root.key');
  const former = fs.readFileSync(path, 'utf8');
  await vault.rotations.rotateRoot(caller());
  await vault.close();
  return { home, path, former, next: fs.readFileSync(path, 'utf8') };
}

async function headerOf(home: string): Promise<RootKeyHeader> {
  const header = await openTestDatabase(home).header();
  if (header === undefined) throw new Error('the vault has no header');
  return {
    root_key_id: header.root_key_id,
    root_key_source: 'file',
    passphrase_salt: undefined,
    root_key_ref: undefined,
    root_key_sealed: undefined,
  };
}

function keyOf(text: string): Buffer {
  return Buffer.from(text, 'base64');
}

describe('the root key', () => {
  test.each([
    ['the former key', ({ former }: Rotated) => former],
    ['zeros', ({ former }: Rotated) => '\0'.repeat(former.length)],
  ])(
    'opens the vault if the key file had %s and is replaced before the folder is listed',
    async (_, textOf) => {
      const rotated = await rotatedVault();
      const { home, path, next } = rotated;
      const next_path = `${path}.next-${rootKeyId(keyOf(next)).toString('hex').slice(0, 16)}`;
      fs.renameSync(path, next_path);
      fs.writeFileSync(path, textOf(rotated), { mode: 0o600 });
      const { readdirSync } = fs;
      let listed = 0;
      const spy = vi.spyOn(fs, 'readdirSync').mockImplementation(((folder: string, options?: undefined) => {
        if (folder === dirname(path) && fs.existsSync(next_path)) fs.renameSync(next_path, path);
        listed++;
        return readdirSync(folder, options);
      }) as typeof fs.readdirSync);
      onTestFinished(() => spy.mockRestore());
      const { vault, caller } = await openTestVault(home, {}, 'no');
      expect(listed).toBeGreaterThan(0);
      expect((await vault.verifyAudit(caller())).findings).toEqual([]);
    },
  );

  test('is read again with the header if the rotation ends after the header was read', async () => {
    const { home, path, former, next } = await rotatedVault();
    const header = await headerOf(home);
    const before = { ...header, root_key_id: rootKeyId(keyOf(former)) };
    const readHeader = async () => header;
    expect(await openRotatedRootKey({ kind: 'file', path }, before, readHeader)).toEqual(keyOf(next));
  });

  test('of another vault is refused after three attempts', async () => {
    const { home, path } = await rotatedVault();
    fs.writeFileSync(path, `${randomBytes(32).toString('base64')}\n`);
    const header = await headerOf(home);
    const readHeader = vi.fn(async () => header);
    const error = await errorOf(openRotatedRootKey({ kind: 'file', path }, header, readHeader));
    expect(error.code).toBe('WRONG_KEY');
    expect(readHeader).toHaveBeenCalledTimes(2);
  });
});
