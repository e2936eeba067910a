/** The first API key of an installation: made once, however many processes start at the same moment. */
import { describe, expect, test } from 'vitest';
import { SCOPES } from '../../../src/contract/caller.ts';
import { useChildProcesses } from '../../kit/child/process.ts';
import { endOf } from '../../kit/vault/database.ts';
import { openTenants, rowsOfKind, without } from '../../kit/vault/tenants.ts';

const otherProcess = useChildProcesses();

describe('the first key', () => {
  test('has every scope but values:reveal, and there is no second', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createFirst(tenants.operator());
    expect(first).toMatchObject({ name: 'admin', organization: 'local', user: 'me', expires_at: null });
    expect(first?.scopes).toEqual(SCOPES.filter((scope) => scope !== 'values:reveal'));
    expect((await tenants.caller(first?.key ?? '')).api_key_id).toBe(first?.id);
    expect(await vault.api_keys.createFirst(tenants.operator())).toBeUndefined();
    const other = await openTenants(tenants.home);
    expect(await other.vault.api_keys.createFirst(other.operator())).toBeUndefined();
  });

  test('is not made where there is or was any other', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const { id } = await tenants.newKey({ scopes: ['audit:read'] });
    expect(await vault.api_keys.createFirst(tenants.operator())).toBeUndefined();
    await vault.api_keys.revoke(tenants.operator(), id);
    expect(await vault.api_keys.createFirst(tenants.operator())).toBeUndefined();
  });

  test('is not made again when it was revoked, however long the log has become', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createFirst(tenants.operator());
    await vault.api_keys.revoke(tenants.operator(), first?.id ?? '');
    expect(await vault.api_keys.createFirst(tenants.operator())).toBeUndefined();
    const value = {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'lin_api_1',
    } as const;
    for (let round = 0; round < 600; round++) await vault.store(tenants.operator(), value);
    const other = await openTenants(tenants.home);
    expect(await other.vault.api_keys.createFirst(other.operator())).toBeUndefined();
    expect(rowsOfKind(tenants.home, 'api_key')).toEqual([]);
    expect((await vault.auditVerify(tenants.operator())).findings).toEqual([]);
  });

  test('is made where one was refused, and where another organization has keys', async () => {
    const tenants = await openTenants();
    const caller = without(tenants.operator(), 'keys:write', 'org:admin');
    expect(await endOf(tenants.vault.api_keys.create(caller, {}))).toBe('FORBIDDEN');
    await tenants.newKey({ organization: 'acme', user: 'ana' });
    expect(await tenants.vault.api_keys.createFirst(tenants.operator())).toBeDefined();
  });

  test('is given away before it is made, and is not made where that fails', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const full = new Error('the disk is full');
    const failing = () => {
      throw full;
    };
    await expect(api_keys.createFirst(tenants.operator(), failing)).rejects.toBe(full);
    expect(rowsOfKind(tenants.home, 'api_key')).toEqual([]);
    const kept: [string, number][] = [];
    const first = await api_keys.createFirst(tenants.operator(), (key) =>
      kept.push([key, rowsOfKind(tenants.home, 'api_key').length]),
    );
    expect(kept).toEqual([[first?.key, 0]]);
    expect(await api_keys.isValid(first?.key ?? '')).toBe(true);
  });

  test('is known to be good until it is rotated or revoked, and asking is no use of it', async () => {
    const tenants = await openTenants();
    const { api_keys } = tenants.vault;
    const first = await api_keys.createFirst(tenants.operator());
    const { id, key } = first ?? { id: '', key: '' };
    expect(await api_keys.isValid(key)).toBe(true);
    expect((await api_keys.list(tenants.operator())).keys[0]?.last_used_at).toBeNull();
    for (const text of ['', 'kh_', key.slice(0, -1), `${key.slice(0, -2)}AA`])
      expect(await api_keys.isValid(text)).toBe(false);
    const rotated = await api_keys.rotate(tenants.operator(), id);
    expect([await api_keys.isValid(key), await api_keys.isValid(rotated.key)]).toEqual([false, true]);
    await api_keys.revoke(tenants.operator(), id);
    expect(await api_keys.isValid(rotated.key)).toBe(false);
  });

  test('may be given a new secret, and still is the only one', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const first = await vault.api_keys.createFirst(tenants.operator());
    await vault.api_keys.rotate(tenants.operator(), first?.id ?? '');
    expect(await vault.api_keys.createFirst(tenants.operator())).toBeUndefined();
  });

  test('is not made by who may not make keys, or may not give all scopes', async () => {
    const tenants = await openTenants();
    for (const scope of ['keys:write', 'org:admin', 'audit:read'] as const) {
      const caller = without(tenants.operator(), scope, 'org:admin');
      const first = tenants.vault.api_keys.createFirst(caller);
      expect([scope, await endOf(first)]).toEqual([scope, 'FORBIDDEN']);
    }
    expect(rowsOfKind(tenants.home, 'api_key')).toEqual([]);
  });

  test('is one, of two vaults and many calls at once', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const calls = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? first : second));
    const made = await Promise.all(
      calls.map((tenants) => tenants.vault.api_keys.createFirst(tenants.operator())),
    );
    expect(made.filter((one) => one !== undefined)).toHaveLength(1);
    expect(rowsOfKind(first.home, 'api_key')).toHaveLength(1);
    expect((await first.vault.auditVerify(first.operator())).findings).toEqual([]);
  });

  test('is one, of two processes that start at the same moment', async () => {
    for (let round = 0; round < 4; round++) {
      const tenants = await openTenants();
      const processes = await Promise.all([otherProcess(tenants.home), otherProcess(tenants.home)]);
      const answers = await Promise.all(
        processes.map((process) => process.call('api_keys.createFirst', tenants.operator(), [])),
      );
      const made = answers.flatMap(({ results }) => results).filter((one) => one !== null);
      expect([round, made.length]).toEqual([round, 1]);
      const { keys } = await tenants.vault.api_keys.list(tenants.operator());
      expect([round, keys.length]).toEqual([round, 1]);
      expect((await tenants.vault.auditVerify(tenants.operator())).findings).toEqual([]);
    }
  });
});

describe('an organization, a user and a unit that are new', () => {
  test('are made once, of two vaults and two processes that make keys in them at once', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const processes = await Promise.all([otherProcess(first.home), otherProcess(first.home)]);
    for (let round = 0; round < 5; round++) {
      const input = { organization: `org-${round}`, user: `user-${round}` };
      const [answers, ...keys] = await Promise.all([
        Promise.all(
          processes.map((process) => process.call('api_keys.create', first.operator(), [input], 3)),
        ),
        first.newKey(input),
        second.newKey(input),
      ]);
      const made = [...keys, ...answers.flatMap(({ results }) => results as typeof keys)];
      expect(made).toHaveLength(8);
      expect(new Set(made.map(({ user_id }) => user_id)).size).toBe(1);
      expect(new Set(made.map(({ unit_id }) => unit_id)).size).toBe(1);
      expect(new Set(made.map(({ organization_id }) => organization_id)).size).toBe(1);
      for (const { key } of made) expect((await first.caller(key)).organization).toBe(`org-${round}`);
      const admin = await second.admin(`org-${round}`);
      expect((await first.vault.auditVerify(admin)).findings).toEqual([]);
    }
    expect((await first.vault.auditVerify(first.operator())).findings).toEqual([]);
  });
});
