/**
 * The guard: every operation without each of its scopes. A refusal changes nothing, and a refused write has an audit
 * entry.
 */
import { describe, expect, test } from 'vitest';
import type { Scope } from '../../src/contract/caller.ts';
import { errorOf, fullOutcomeOf } from '../kit/outcome.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { createOperationFixtures, listDenials, OPERATIONS } from '../kit/vault/operations.ts';
import { openTenants, withoutScopes } from '../kit/vault/tenants.ts';

describe('every operation of the vault', () => {
  test('the table of operations has every operation of the vault', async () => {
    const { vault } = await openTenants();
    const methods = (of: object, prefix: string) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(of))
        .filter((name) => !['constructor', 'publicKey', 'services', 'authentication'].includes(name))
        .map((name) => `${prefix}${name}`);
    const all = [
      ...methods(vault, ''),
      ...methods(vault.credentials, 'credentials.'),
      ...methods(vault.stacks, 'stacks.'),
      ...methods(vault.stack_shares, 'stack_shares.'),
      ...methods(vault.api_keys, 'api_keys.'),
      ...methods(vault.organizations, 'organizations.'),
      ...methods(vault.users, 'users.'),
      ...methods(vault.uses, 'uses.'),
      ...methods(vault.uses.findings, 'uses.findings.'),
      ...methods(vault.use_policies, 'use_policies.'),
      ...methods(vault.approvals, 'approvals.'),
      ...methods(vault.handles, 'handles.'),
      ...methods(vault.connections, 'connections.'),
      ...methods(vault.approvals.access, 'approvals.access.'),
      ...methods(vault.rotations, 'rotations.'),
    ];
    // Operations without a caller: they read and write no record of a user.
    const without_caller = [
      'health',
      'organizations.has',
      'organizations.keyringFor',
      // Of the operator.
      'organizations.names',
      'scrub',
      'close',
      'uses.close',
      'api_keys.authenticate',
      'api_keys.authentication',
      // For the removal of a user, which was authorized.
      'api_keys.revokeAllOf',
      'stack_shares.endAllWith',
      // For the signature of an interface.
      'handles.requestStateKey',
      // Of approvals, which were authorized.
      ...['accept', 'acceptedPolicy', 'deny', 'find', 'list', 'listDecided'].map(
        (name) => `approvals.access.${name}`,
      ),
      // Of connections that were found.
      ...['create', 'begin', 'end', 'save', 'findStarted'].map((name) => `connections.${name}`),
      // Public.
      'sealingKey',
    ];
    expect(all.filter((name) => !without_caller.includes(name)).toSorted()).toEqual(
      OPERATIONS.map(([name]) => name).toSorted(),
    );
  });

  test.each(OPERATIONS)(
    '%s needs the scope %s and is in the audit log as %s',
    async (_, scope, action, operation) => {
      const at = await createOperationFixtures();
      const before = await readStoredRecords(at.tenants.home);
      const refused_before = (await listDenials(at)).length;
      const refusal = await errorOf(operation(at, withoutScopes(at.ann, scope)));
      expect([refusal.code, refusal.message]).toEqual(['FORBIDDEN', expect.stringContaining(scope)]);
      expect(await readStoredRecords(at.tenants.home)).toEqual(before);
      const refused = await listDenials(at);
      expect(refused.slice(0, refused.length - refused_before)).toEqual(
        action === null ? [] : [[action, `missing scope ${scope}`, 'ann', 0]],
      );
    },
  );

  test.each(OPERATIONS)('%s needs only the scope %s', async (name, scope, _, operation) => {
    const at = await createOperationFixtures();
    const kept: Scope[] = [scope];
    // Some operations write several entries.
    if (name === 'stacks.removeService' || name === 'stacks.delete') kept.push('credentials:write');
    // A caller shares only with a role that its scopes include.
    if (name === 'stack_shares.share') kept.push('credentials:read', 'credentials:write', 'credentials:use');
    if (['api_keys.create', 'api_keys.rotate', 'api_keys.revoke'].includes(name))
      kept.push('credentials:read', 'credentials:write', 'credentials:use', 'stacks:write');
    // Of the operator.
    if (name === 'api_keys.createBootstrapKey' || /^rotations\..*(?:Roots?|Signing)$/.test(name)) return;
    const least = { ...at.ann, scopes: new Set(kept) };
    expect(await fullOutcomeOf(operation(at, least))).toBe('ok');
    expect((await at.tenants.vault.verifyAudit(at.admin)).findings).toEqual([]);
  });

  test('every operation in an unknown organization is NOT_FOUND and creates nothing', async () => {
    const at = await createOperationFixtures();
    const before = await readStoredRecords(at.tenants.home);
    for (const [name, , , operation] of OPERATIONS) {
      const outcome = await fullOutcomeOf(operation(at, { ...at.ann, organization: 'nowhere' }));
      expect([name, outcome]).toEqual([name, '["NOT_FOUND",null,"No such organization."]']);
      expect([name, await readStoredRecords(at.tenants.home)]).toEqual([name, before]);
    }
  });
});
