/** Operations of callers with fewer scopes, and their audit entries. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import { errorOf } from '../../kit/outcome.ts';
import { readAuditEntryRows, readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

describe('the scopes of a caller', () => {
  const without = (caller: Caller, ...removed: Scope[]): Caller => ({
    ...caller,
    scopes: new Set(SCOPES.filter((scope) => !removed.includes(scope))),
  });

  test('a caller without credentials:write changes nothing, and each attempt is in the audit log', async () => {
    const { vault, caller, home } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'sk-canary' } as const;
    await vault.store(caller(), input);
    const before = await readCredentialRows(home);
    const reader = () => without(caller(), 'credentials:write');
    const attempts = [
      () => vault.store(reader(), { ...input, name: 'n' }),
      () => vault.update(reader(), { service_id: 'linear', credentials: { linear_api_key: 'sk-canary' } }),
      () => vault.delete(reader(), { service_id: 'linear' }),
    ];
    for (const attempt of attempts) {
      const error = await errorOf(attempt());
      expect([error.code, error.message]).toEqual([
        'FORBIDDEN',
        expect.stringContaining('credentials:write'),
      ]);
    }
    expect(await readCredentialRows(home)).toEqual(before);
    const { entries } = await vault.listAudit(caller(), { outcome: 'denied' });
    expect(entries.map(({ action, name, fields, reason }) => [action, name, fields, reason])).toEqual([
      ['delete', null, [], 'missing scope credentials:write'],
      ['update', null, [], 'missing scope credentials:write'],
      ['store', null, [], 'missing scope credentials:write'],
    ]);
    expect(JSON.stringify(entries)).not.toContain('canary');
    expect(await vault.status(reader(), { service_id: 'linear' })).toMatchObject({ status: 'active' });
  });

  test('a caller without credentials:read gets FORBIDDEN, without an audit entry for each read', async () => {
    const { vault, caller, home } = await openTestVault();
    await vault.store(caller(), { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' });
    const entries = (await readAuditEntryRows(home)).length;
    const writer = () => without(caller(), 'credentials:read');
    for (const attempt of [
      () => vault.status(writer(), { service_id: 'linear' }),
      () => vault.status(writer(), { service_id: 'notion' }),
      () => vault.listCredentials(writer(), {}),
      () => vault.listServices(writer(), {}),
    ]) {
      const error = await errorOf(attempt());
      expect([error.code, error.message]).toEqual(['FORBIDDEN', expect.stringContaining('credentials:read')]);
    }
    expect(await readAuditEntryRows(home)).toHaveLength(entries);
  });

  test('a caller without audit:read cannot list or verify the audit log', async () => {
    const { vault, caller } = await openTestVault();
    const blind = () => without(caller(), 'audit:read');
    expect((await errorOf(vault.listAudit(blind()))).code).toBe('FORBIDDEN');
    expect((await errorOf(vault.verifyAudit(blind()))).code).toBe('FORBIDDEN');
  });

  test('a caller of an unknown organization gets NOT_FOUND for every operation', async () => {
    const { vault, caller, home } = await openTestVault();
    const stranger = (): Caller => ({ ...caller(), organization: 'elsewhere' });
    for (const attempt of [
      () => vault.status(stranger(), { service_id: 'linear' }),
      () => vault.update(stranger(), { service_id: 'linear', credentials: { linear_api_key: 'v' } }),
      () => vault.listAudit(stranger()),
    ]) {
      expect((await errorOf(attempt())).code).toBe('NOT_FOUND');
    }
    expect(await readAuditEntryRows(home)).toHaveLength(1);
  });

  test('the local caller has every scope but values:reveal', async () => {
    const { caller } = await openTestVault();
    expect([...caller().scopes].sort()).toEqual(
      SCOPES.filter((scope) => scope !== 'values:reveal').toSorted(),
    );
  });
});
