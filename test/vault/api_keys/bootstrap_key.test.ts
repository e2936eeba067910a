/** The bootstrap API key of a vault: created once, however many processes start at the same time. */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../../src/contract/caller.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { type RecordRow, readRowsOfKind } from '../../kit/vault/database.ts';
import { openTenants, withoutScopes } from '../../kit/vault/tenants.ts';

const child_processes = useVaultProcesses();

describe('the bootstrap key', () => {
  test('the bootstrap key has every scope but values:reveal, and no second one is created', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createBootstrapKey(tenants.operator());
    expect(first).toMatchObject({ name: 'admin', organization: 'local', user: 'me', expires_at: null });
    expect(first?.scopes).toEqual(SCOPES.filter((scope) => scope !== 'values:reveal'));
    expect((await tenants.caller(first?.key ?? '')).api_key_id).toBe(first?.id);
    expect(await vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
    const other = await openTenants(tenants.home);
    expect(await other.vault.api_keys.createBootstrapKey(other.operator())).toBeUndefined();
  });

  test('the bootstrap key is not created if the vault has or had another key', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const { id } = await tenants.newKey({ scopes: ['audit:read'] });
    expect(await vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
    await vault.api_keys.revoke(tenants.operator(), id);
    expect(await vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
  });

  test('the bootstrap key is not created again after it was revoked, however long the audit log is', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createBootstrapKey(tenants.operator());
    await vault.api_keys.revoke(tenants.operator(), first?.id ?? '');
    expect(await vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
    const value = {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'lin_api_1',
    } as const;
    for (let round = 0; round < 600; round++) await vault.store(tenants.operator(), value);
    const other = await openTenants(tenants.home);
    expect(await other.vault.api_keys.createBootstrapKey(other.operator())).toBeUndefined();
    expect(await readRowsOfKind(tenants.home, 'api_key')).toEqual([]);
    expect((await vault.verifyAudit(tenants.operator())).findings).toEqual([]);
  });

  test('the bootstrap key is created if another key was refused, or if another organization has keys', async () => {
    const tenants = await openTenants();
    const caller = withoutScopes(tenants.operator(), 'keys:write', 'org:admin');
    expect(await outcomeOf(tenants.vault.api_keys.create(caller, {}))).toBe('FORBIDDEN');
    await tenants.newKey({ organization: 'acme', user: 'ana' });
    expect(await tenants.vault.api_keys.createBootstrapKey(tenants.operator())).toBeDefined();
  });

  test('the bootstrap key is saved before it is committed, and is not created if saving fails', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const full = new Error('the disk is full');
    const failing = () => {
      throw full;
    };
    await expect(api_keys.createBootstrapKey(tenants.operator(), failing)).rejects.toBe(full);
    expect(await readRowsOfKind(tenants.home, 'api_key')).toEqual([]);
    const saved: [string, Promise<RecordRow[]>][] = [];
    const first = await api_keys.createBootstrapKey(tenants.operator(), (key) => {
      saved.push([key, readRowsOfKind(tenants.home, 'api_key')]);
      return key;
    });
    expect(saved.map(([key]) => key)).toEqual([first?.key]);
    expect(await saved[0]?.[1]).toEqual([]);
    expect((await tenants.caller(first?.key ?? '')).api_key_id).toBe(first?.id);
  });

  test('the bootstrap key is the one that was saved before, and never a text that is not an API key', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const kept: string[] = [];
    const keep = (key: string) => {
      kept.push(key);
      throw new Error('not now');
    };
    await expect(api_keys.createBootstrapKey(tenants.operator(), keep)).rejects.toThrow('not now');
    const saved = `${kept[0]?.slice(0, 'kh_'.length + 32)}_${'A'.repeat(43)}`;
    for (const text of ['', 'kh_', saved.slice(0, -1), `${saved}A`])
      expect(await outcomeOf(api_keys.createBootstrapKey(tenants.operator(), () => text))).toBe(
        'INVALID_INPUT',
      );
    const of_another_vault = `kh_${'0'.repeat(32)}_${'A'.repeat(43)}`;
    expect(await outcomeOf(api_keys.createBootstrapKey(tenants.operator(), () => of_another_vault))).toBe(
      'CONFLICT',
    );
    expect(await readRowsOfKind(tenants.home, 'api_key')).toEqual([]);
    const first = await api_keys.createBootstrapKey(tenants.operator(), () => saved);
    expect(first?.key).toBe(saved);
    expect((await tenants.caller(saved)).api_key_id).toBe(first?.id);
  });

  test('the bootstrap key is accepted until it is rotated or revoked', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const first = await api_keys.createBootstrapKey(tenants.operator());
    const { id, key } = first ?? { id: '', key: '' };
    expect((await tenants.caller(key)).api_key_id).toBe(id);
    for (const text of ['', 'kh_', key.slice(0, -1), `${key.slice(0, -2)}AA`])
      expect(await outcomeOf(tenants.caller(text))).toBe('UNAUTHENTICATED');
    const rotated = await api_keys.rotate({ ...tenants.operator(), edge: 'cli' }, id);
    expect(await outcomeOf(tenants.caller(key))).toBe('UNAUTHENTICATED');
    expect((await tenants.caller(rotated.key)).api_key_id).toBe(id);
    await api_keys.revoke(tenants.operator(), id);
    expect(await outcomeOf(tenants.caller(rotated.key))).toBe('UNAUTHENTICATED');
  });

  test('the bootstrap key can be rotated and stays the only one', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createBootstrapKey(tenants.operator());
    await vault.api_keys.rotate({ ...tenants.operator(), edge: 'cli' }, first?.id ?? '');
    expect(await vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
  });

  test('the bootstrap key is not created by a caller who may not create keys or may not grant all scopes', async () => {
    const tenants = await openTenants();
    for (const scope of ['keys:write', 'org:admin', 'audit:read'] as const) {
      const caller = withoutScopes(tenants.operator(), scope, 'org:admin');
      const first = tenants.vault.api_keys.createBootstrapKey(caller);
      expect([scope, await outcomeOf(first)]).toEqual([scope, 'FORBIDDEN']);
    }
    expect(await readRowsOfKind(tenants.home, 'api_key')).toEqual([]);
  });

  test('the bootstrap key is created once by two vaults and many concurrent calls', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const calls = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? first : second));
    const made = await Promise.all(
      calls.map((tenants) => tenants.vault.api_keys.createBootstrapKey(tenants.operator())),
    );
    expect(made.filter((one) => one !== undefined)).toHaveLength(1);
    expect(await readRowsOfKind(first.home, 'api_key')).toHaveLength(1);
    expect((await first.vault.verifyAudit(first.operator())).findings).toEqual([]);
  });

  test('the bootstrap key is created once by two processes that start at the same time', async () => {
    for (let round = 0; round < 4; round++) {
      const tenants = await openTenants();
      const processes = await Promise.all([
        child_processes.open(tenants.home),
        child_processes.open(tenants.home),
      ]);
      const results = await Promise.all(
        processes.map((process) => process.call('api_keys.createBootstrapKey', tenants.operator(), [])),
      );
      const made = results.flatMap(({ results }) => results).filter((one) => one !== null);
      expect([round, made.length]).toEqual([round, 1]);
      const { keys } = await tenants.vault.api_keys.list(tenants.operator());
      expect([round, keys.length]).toEqual([round, 1]);
      expect((await tenants.vault.verifyAudit(tenants.operator())).findings).toEqual([]);
    }
  });
});

describe('a new organization, user and unit', () => {
  test('a new organization, user and unit are created once by two vaults and two processes that create keys concurrently', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const processes = await Promise.all([child_processes.open(first.home), child_processes.open(first.home)]);
    for (let round = 0; round < 5; round++) {
      const input = { organization: `org-${round}`, user: `user-${round}` };
      const [results, ...keys] = await Promise.all([
        Promise.all(
          processes.map((process) => process.call('api_keys.create', first.operator(), [input], 3)),
        ),
        first.newKey(input),
        second.newKey(input),
      ]);
      const made = [...keys, ...results.flatMap(({ results }) => results as typeof keys)];
      expect(made).toHaveLength(8);
      expect(new Set(made.map(({ user_id }) => user_id)).size).toBe(1);
      expect(new Set(made.map(({ unit_id }) => unit_id)).size).toBe(1);
      expect(new Set(made.map(({ organization_id }) => organization_id)).size).toBe(1);
      for (const { key } of made) expect((await first.caller(key)).organization).toBe(`org-${round}`);
      const admin = await second.admin(`org-${round}`);
      expect((await first.vault.verifyAudit(admin)).findings).toEqual([]);
    }
    expect((await first.vault.verifyAudit(first.operator())).findings).toEqual([]);
  });
});
