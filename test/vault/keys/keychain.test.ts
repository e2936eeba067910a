/** A root key in a keychain: the built program with a real Secret Service, unlocked, locked, emptied, and without one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { type KeychainSession, NO_KEYCHAIN, startSession } from '../../kit/key_services/keychain.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { temporaryFolder } from '../../kit/vault/temp_vault.ts';

const LOCKED_EXIT_CODE = 10;

function keyhold(session: Pick<KeychainSession, 'env'>, home: string, ...args: string[]) {
  const env = { ...session.env, KEYHOLD_HOME: home, KEYHOLD_ROOT_KEY: 'keychain' };
  return runProgram(args, { env });
}

/** Reason and message of the error that a command with --json printed. */
function errorIn({ stderr }: { readonly stderr: string }) {
  const line = stderr.split('\n').find((one) => one.startsWith('{"error"')) ?? '{}';
  return (JSON.parse(line) as { error?: { code: string; reason: string; message: string } }).error;
}

describe('a keychain', () => {
  test('has a separate entry with the root key of each vault, and the home has no key file', async ({
    skip,
  }) => {
    if (NO_KEYCHAIN !== undefined) skip(NO_KEYCHAIN);
    const session = await startSession();
    await session.start('unlocked');
    const home = temporaryFolder();
    expect(await keyhold(session, home, 'init')).toMatchObject({ code: 0 });
    expect(await keyhold(session, home, 'status', '--json')).toMatchObject({ code: 0 });
    const header = await openTestDatabase(home).header();
    expect(header?.root_key_source).toBe('keychain');
    expect(header?.root_key_ref).toMatch(/^vault\.[0-9a-f]{16}$/);
    expect(header?.root_key_sealed).toBeNull();
    expect(existsSync(join(home, 'keys', 'root.key'))).toBe(false);
    // Other vaults get entries of their own.
    const other = temporaryFolder();
    expect(await keyhold(session, other, 'init')).toMatchObject({ code: 0 });
    expect((await openTestDatabase(other).header())?.root_key_ref).not.toBe(header?.root_key_ref);
    // The daemon keeps the entries.
    await session.start('unlocked');
    expect(await keyhold(session, home, 'status', '--json')).toMatchObject({ code: 0 });
  });
});

describe('a keychain that cannot be used', () => {
  test.each([
    ['a session without a bus', async () => ({ env: { HOME: '/nonexistent' } })],
    ['a keychain without a collection', startSession],
    [
      'a locked keychain',
      async () => {
        const session = await startSession();
        await session.start('unlocked');
        await session.start('locked');
        return session;
      },
    ],
  ] as const)('%s creates no vault and is reported as unavailable', async (_, start) => {
    if (NO_KEYCHAIN !== undefined) return;
    const session = await start();
    const home = temporaryFolder();
    const run = await keyhold(session, home, 'init', '--json');
    expect(errorIn(run)).toMatchObject({ code: 'LOCKED', reason: 'keychain_unavailable' });
    expect(run.code).toBe(LOCKED_EXIT_CODE);
    expect(await openTestDatabase(home).exists()).toBe(false);
  });

  test('a locked keychain and one without the entry do not open the vault, and have different reasons', async ({
    skip,
  }) => {
    if (NO_KEYCHAIN !== undefined) skip(NO_KEYCHAIN);
    const session = await startSession();
    await session.start('unlocked');
    const home = temporaryFolder();
    expect(await keyhold(session, home, 'init')).toMatchObject({ code: 0 });
    await session.start('locked');
    expect(errorIn(await keyhold(session, home, 'status', '--json'))).toMatchObject({
      reason: 'keychain_unavailable',
    });
    // Another user's keychain can be used, but has no such entry.
    const other = await startSession();
    await other.start('unlocked');
    const missing = errorIn(await keyhold(other, home, 'init', '--json'));
    expect(missing).toMatchObject({ code: 'LOCKED', reason: 'root_key_missing' });
    expect(missing?.message).toContain((await openTestDatabase(home).header())?.root_key_ref);
    await session.start('unlocked');
    expect(await keyhold(session, home, 'status', '--json')).toMatchObject({ code: 0 });
  });
});
