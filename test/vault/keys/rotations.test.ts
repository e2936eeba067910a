/** Rotations of keys: their effects, their refusals, and other processes that have the vault open meanwhile. */
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { bindMount, NO_DISKS } from '../../kit/file_system.ts';
import { errorOf } from '../../kit/outcome.ts';
import { runSize } from '../../kit/run_size.ts';
import { openTestDatabase, readCredentialRows, readWrappedKeyRows } from '../../kit/vault/database.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { copyHome, openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const processes = useVaultProcesses();
const LINEAR = { service_id: 'linear', credential_type: 'api_key' as const };

function keyFile(home: string): string {
  return join(home, 'keys', 'root.key');
}

function storeNamed({ vault, caller }: TestVault, name: string) {
  return vault.store(caller(), { ...LINEAR, name, credential_value: `lin_api_${name}` });
}

async function vaultWith(names: readonly string[]): Promise<TestVault> {
  const opened = await openTestVault();
  for (const name of names) await storeNamed(opened, name);
  return opened;
}

async function findingsOf({ vault, caller }: TestVault) {
  return (await vault.verifyAudit(caller())).findings;
}

describe('rotating the root key', () => {
  test('is refused for a key file that exists, a symbolic link, a weak key and the present key', async () => {
    const at = await vaultWith(['a']);
    const { home, vault, caller } = at;
    const other = join(home, 'keys', 'other.key');
    writeFileSync(other, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const before = await readWrappedKeyRows(home);
    const { Secret } = await import('../../../src/contract/secret.ts');
    const env = (text: string) => ({ kind: 'env', name: 'X', value: new Secret(text) }) as const;
    const refused = [
      { kind: 'file', path: other } as const,
      env(Buffer.alloc(32).toString('base64')),
      env(readFileSync(keyFile(home), 'utf8')),
      env('no key'),
    ];
    for (const to of refused)
      expect(['INVALID_INPUT', 'LOCKED']).toContain(
        (await errorOf(vault.rotations.rotateRoot(caller(), to))).code,
      );
    const moved = join(home, 'keys', 'moved.key');
    renameSync(keyFile(home), moved);
    symlinkSync(moved, keyFile(home));
    expect((await errorOf(vault.rotations.rotateRoot(caller()))).message).toContain('symbolic link');
    expect(await readWrappedKeyRows(home)).toEqual(before);
    expect(readdirSync(join(home, 'keys')).filter((name) => name.includes('next'))).toEqual([]);
    expect(await findingsOf(at)).toEqual([]);
  });

  test('makes the former key useless, and leaves only the new key file', async () => {
    const at = await vaultWith(['a', 'b']);
    const { home, vault, caller } = at;
    const copy = join(temporaryFolder(), 'former.key');
    copyFileSync(keyFile(home), copy);
    expect(await vault.rotations.rotateRoot(caller())).toMatchObject({ keys: 2, not_removed: undefined });
    await storeNamed(at, 'c');
    await vault.close();
    expect((await revealCredentials(home)).size).toBe(3);
    expect(readdirSync(join(home, 'keys')).toSorted()).toEqual(['anchor', 'root.key']);
    copyFileSync(copy, keyFile(home));
    expect((await errorOf(openTestVault(home, {}, 'no'))).code).toBe('WRONG_KEY');
  });

  test('whose rename of the new key file was undone by a power failure is finished by the next open', async () => {
    const at = await vaultWith(['a']);
    await at.vault.rotations.rotateRoot(at.caller());
    await at.vault.close();
    const id = (await openTestDatabase(at.home).header())?.root_key_id.toString('hex');
    const text = readFileSync(keyFile(at.home));
    writeFileSync(`${keyFile(at.home)}.next-${id?.slice(0, 16)}`, text, { mode: 0o600 });
    writeFileSync(keyFile(at.home), Buffer.alloc(text.length));
    expect((await revealCredentials(at.home)).size).toBe(1);
    expect(readFileSync(keyFile(at.home))).toEqual(text);
    expect(readdirSync(join(at.home, 'keys')).toSorted()).toEqual(['anchor', 'root.key']);
  });

  test('is complete with a key file that is a bind mount, and reports where the new key is', async ({
    skip,
  }) => {
    const at = await vaultWith(['a']);
    const mounted = join(temporaryFolder(), 'mounted.key');
    copyFileSync(keyFile(at.home), mounted);
    const unmount = bindMount(mounted, keyFile(at.home)) ?? skip(NO_DISKS);
    onTestFinished(unmount);
    for (let round = 0; round < 2; round++) {
      const { not_removed } = await at.vault.rotations.rotateRoot(at.caller());
      const next = readdirSync(join(at.home, 'keys')).filter((name) => name.includes('.next-'));
      expect(next).toHaveLength(1);
      expect(not_removed).toContain(`${join(at.home, 'keys', next[0] ?? '')}, because`);
    }
    await at.vault.close();
    expect((await revealCredentials(at.home)).size).toBe(1);
    unmount();
    expect((await revealCredentials(at.home)).size).toBe(1);
    expect(readdirSync(join(at.home, 'keys')).toSorted()).toEqual(['anchor', 'root.key']);
  });

  test('refuses a wrapped key from a copy of the vault before it', async () => {
    const at = await vaultWith(['a']);
    const former = await readWrappedKeyRows(at.home);
    await at.vault.rotations.rotateRoot(at.caller());
    await at.vault.close();
    await openTestDatabase(at.home).replaceWrappedKeys(former);
    expect((await errorOf(openTestVault(at.home, {}, 'no'))).code).toBe('CORRUPT');
  });

  test('to another file or a variable opens with the new source only', async () => {
    const at = await vaultWith(['a']);
    const { home, vault, caller } = at;
    const path = join(home, 'keys', 'second.key');
    await vault.rotations.rotateRoot(caller(), { kind: 'file', path });
    await vault.close();
    expect(existsSync(keyFile(home))).toBe(false);
    const second = await openTestVault(home, { KEYHOLD_ROOT_KEY: `file:${path}` }, 'no');
    const { Secret } = await import('../../../src/contract/secret.ts');
    const key = randomBytes(32).toString('base64');
    await second.vault.rotations.rotateRoot(caller(), { kind: 'env', name: 'K', value: new Secret(key) });
    await second.vault.close();
    expect(existsSync(path)).toBe(false);
    const third = await openTestVault(home, { KEYHOLD_ROOT_KEY: 'env:K', K: key }, 'no');
    expect(await findingsOf(third)).toEqual([]);
    const { credentials } = await third.vault.listCredentials(third.caller(), {});
    expect(credentials).toHaveLength(1);
  });

  test('at the same time in two processes succeeds in one, and gives CONFLICT or a further key in the other', {
    repeats: runSize({ quick: 0, ci: 5, slow: 60 }),
  }, async () => {
    const at = await vaultWith(['a']);
    const other = await openTestVault(at.home, {}, 'no');
    const outcomes = await Promise.allSettled(
      [at, other].map(({ vault, caller }) => vault.rotations.rotateRoot(caller())),
    );
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ code: 'CONFLICT', reason: 'key_rotated' });
    await at.vault.close();
    await other.vault.close();
    expect((await revealCredentials(at.home)).size).toBe(1);
    expect(readdirSync(join(at.home, 'keys')).filter((name) => name.includes('next'))).toEqual([]);
  });

  test('leaves another process working, which then reads the new key for an organization it has not used', async () => {
    const tenants = await openTenants();
    const { vault, home } = tenants;
    const ann = await tenants.user('acme', 'ann');
    const bob = await tenants.user('beta', 'bob');
    const process = await processes.open(home);
    const input = { ...LINEAR, credential_value: 'v', name: 'n#' };
    const load = process.call('store', ann, [input], 200);
    const admin = await tenants.admin('local');
    for (let round = 0; round < 3; round++) await vault.rotations.rotateRoot({ ...admin, edge: 'cli' });
    expect(await load).toMatchObject({ results: expect.objectContaining({ length: 200 }) });
    expect(await process.call('store', bob, [input])).toMatchObject({ results: [{ success: true }] });
    const report = await vault.verifyAudit({ ...admin }, { organization: 'acme' });
    expect(report.findings).toEqual([]);
  });
});

describe('rotating a data key', () => {
  test('encrypts all records again with the same revisions, and the audit log stays intact', async () => {
    const at = await vaultWith(['a', 'b', 'c']);
    const before = await readCredentialRows(at.home);
    const report = await at.vault.rotations.rotateData(at.caller());
    expect(report).toMatchObject({ key_version: 2, resumed: false });
    const after = await readCredentialRows(at.home);
    const credentials = after.filter(({ id }) => before.some((row) => row.id.equals(id)));
    expect(credentials.map(({ revision }) => revision)).toEqual(before.map(({ revision }) => revision));
    expect(new Set(credentials.map(({ key_version }) => key_version))).toEqual(new Set([2]));
    await storeNamed(at, 'd');
    expect(await findingsOf(at)).toEqual([]);
    await at.vault.close();
    expect((await revealCredentials(at.home)).size).toBe(4);
  });

  test('is followed at once by another process that writes meanwhile', async () => {
    const at = await vaultWith(['a']);
    const process = await processes.open(at.home);
    const me = at.caller();
    const input = { ...LINEAR, credential_value: 'v', name: 'n#' };
    const load = process.call('store', me, [input], 300);
    for (let round = 0; round < 3; round++) await at.vault.rotations.rotateData(at.caller());
    expect(await load).toMatchObject({ results: expect.objectContaining({ length: 300 }) });
    expect(
      await process.call('update', me, [
        { service_id: 'linear', name: 'a', credentials: { linear_api_key: 'w' } },
      ]),
    ).toMatchObject({ results: [{ message: expect.any(String) }] });
    expect(await findingsOf(at)).toEqual([]);
    expect(await readCredentialRows(at.home)).toHaveLength(301);
    await at.vault.close();
    // A list has 100.
    expect((await revealCredentials(at.home)).size).toBe(100);
  });

  test('leaves readable what a process stores next that knew the former key only', async () => {
    const writes: ((at: TestVault) => Promise<unknown>)[] = [
      ({ vault, caller }) => vault.stacks.create(caller(), { stack_name: 'Shared' }),
      ({ vault, caller }) => vault.api_keys.create(caller(), { user: 'colleague' }),
      ({ vault, caller }) =>
        vault.store(caller(), { ...LINEAR, stack_id: 'other', credential_value: 'lin_api_b' }),
    ];
    for (const write of writes) {
      const at = await vaultWith(['a']);
      const other = await openTestVault(at.home, {}, 'no');
      await other.vault.status(other.caller(), { service_id: 'linear', name: 'a' });
      await at.vault.rotations.rotateData(at.caller());
      await write(other);
      for (const opened of [at, other]) expect(await findingsOf(opened)).toEqual([]);
      await at.vault.rotations.rotateData(at.caller());
      expect(await findingsOf(other)).toEqual([]);
    }
  });

  test('at the same time in two processes succeeds in both', async () => {
    const at = await vaultWith(['a', 'b']);
    const other = await openTestVault(at.home, {}, 'no');
    await Promise.all([at, other].map(({ vault, caller }) => vault.rotations.rotateData(caller())));
    expect(await findingsOf(at)).toEqual([]);
    expect(await findingsOf(other)).toEqual([]);
  });

  test('is missed by the verification neither at the end of the log nor between entries', async () => {
    const at = await vaultWith(['a']);
    const former = await copyHome(at.home);
    const old_entries = await openTestDatabase(former).auditEntries();
    await at.vault.rotations.rotateData(at.caller());
    const entries = await openTestDatabase(at.home).auditEntries();
    expect(entries.map(({ key_version }) => key_version)).toEqual([...old_entries.map(() => 1), 2, 2]);
    await at.vault.close();
    // The log of before, with its own head: consistent in itself.
    await openTestDatabase(at.home).replaceAuditEntries(old_entries);
    const reopened = await openTestVault(at.home);
    const kinds = (await findingsOf(reopened)).map(({ kind }) => kind);
    expect(kinds).toContain('log_truncated');
  });
});

describe('rotating the key for sealed values', () => {
  test('keeps values that are sealed to former keys usable until they are retired', async () => {
    const at = await vaultWith([]);
    const { sealFor } = await sealing(at);
    const first = await at.vault.publicKey(at.caller());
    const [kept, refused] = [sealFor(first), sealFor(first)];
    const second = await at.vault.rotations.rotateBox(at.caller());
    expect(second).not.toBe(first);
    expect(await at.vault.publicKey(at.caller())).toBe(second);
    const store = (value: string) => at.vault.store(at.caller(), { ...LINEAR, credential_value: value });
    await store(kept);
    expect(await at.vault.rotations.retireBoxes(at.caller())).toBe(second);
    expect((await errorOf(store(refused))).reason).toBe('sealed_value_unreadable');
    await store(sealFor(second));
    expect(await findingsOf(at)).toEqual([]);
  });

  async function sealing({ caller }: TestVault) {
    const [{ loadSodium }, { sealValue }, { systemRandom }] = await Promise.all([
      import('../../../src/crypto/sodium.ts'),
      import('../../../src/crypto/sealed_value.ts'),
      import('../../../src/crypto/random.ts'),
    ]);
    const sodium = await loadSodium();
    const { organization, user } = caller();
    const expires_at = new Date(Date.now() + 60_000).toISOString();
    const bound = { organization, user, service: 'linear', field: 'linear_api_key', expires_at };
    return { sealFor: (key: string) => sealValue(sodium, systemRandom, key, bound, 'lin_api_sealed') };
  }
});

describe('a caller', () => {
  test('over MCP rotates no key, and an administrator of an organization only those of the organization', async () => {
    const at = await vaultWith([]);
    const model = { ...at.caller(), edge: 'mcp' as const };
    const { rotations } = at.vault;
    const all = [
      rotations.rotateRoot(model),
      rotations.rotateData(model),
      rotations.rotateBox(model),
      rotations.retireBoxes(model),
      rotations.rotateSigning(model),
    ];
    for (const one of all) expect((await errorOf(one)).code).toBe('FORBIDDEN');
    const tenants = await openTenants();
    const admin = await tenants.admin('acme');
    expect((await errorOf(tenants.vault.rotations.rotateRoot(admin))).code).toBe('FORBIDDEN');
    expect((await errorOf(tenants.vault.rotations.rotateSigning(admin))).code).toBe('FORBIDDEN');
    expect((await errorOf(tenants.vault.rotations.rotateData(admin, 'local'))).code).toBe('FORBIDDEN');
    expect(await tenants.vault.rotations.rotateData(admin)).toMatchObject({ resumed: false });
  });
});
