/** The expiry of a credential: who may set it, how long it stays, and what is refused after it. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const BEARER = { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_0123456789' } as const;
const DAY_MS = 24 * 60 * 60_000;

async function open() {
  const tenants = await openTenants();
  return { tenants, vault: tenants.vault, clock: tenants.clock, caller: () => tenants.operator() };
}

const statusOf = ({ vault, operator }: Tenants) => vault.status(operator(), GITHUB);
const expiryOf = async (tenants: Tenants) => (await statusOf(tenants)).expires_at;
const auditOf = async (tenants: Tenants) =>
  (await tenants.vault.listAudit(tenants.operator(), {})).entries.map(({ action, changes }) => [
    action,
    changes,
  ]);

describe('the expiry of a credential', () => {
  test('store and update with a past or malformed expires_at are INVALID_INPUT and change nothing', async () => {
    const { tenants, vault, clock, caller } = await open();
    for (const expires_at of [clock.in(-1), clock.in(0), 'tomorrow', '2030-01-31', '']) {
      expect(await outcomeOf(vault.store(caller(), { ...BEARER, expires_at }))).toBe('INVALID_INPUT');
      const input = { ...GITHUB, credentials: { github_token: 'ghp_1' }, expires_at };
      expect(await outcomeOf(vault.update(caller(), input))).toBe('INVALID_INPUT');
    }
    expect((await statusOf(tenants)).status).toBe('missing');
  });

  test('update with only expires_at is NOT_FOUND without a credential and creates none', async () => {
    const { tenants, vault, clock, caller } = await open();
    const update = vault.update(caller(), { ...GITHUB, credentials: {}, expires_at: clock.in(DAY_MS) });
    expect(await outcomeOf(update)).toBe('NOT_FOUND');
    expect((await statusOf(tenants)).status).toBe('missing');
  });

  test('update without values and without expires_at is INVALID_INPUT', async () => {
    const { vault, caller } = await open();
    await vault.store(caller(), BEARER);
    expect(await outcomeOf(vault.update(caller(), { ...GITHUB, credentials: {} }))).toBe('INVALID_INPUT');
  });

  test('the expiry of a protected credential is changed only by a person', async () => {
    const { tenants, vault, clock, caller } = await open();
    const person: Caller = { ...caller(), edge: 'cli' };
    await vault.store(person, BEARER, { protect: true });
    const expires_at = clock.in(DAY_MS);
    for (const credentials of [{}, { github_token: 'ghp_other' }]) {
      const error = await errorOf(vault.update(caller(), { ...GITHUB, credentials, expires_at }));
      expect([error.code, error.reason]).toEqual(['FORBIDDEN', 'credential_protected']);
    }
    expect(await expiryOf(tenants)).toBeNull();
    await vault.update(person, { ...GITHUB, credentials: {}, expires_at });
    expect(await expiryOf(tenants)).toBe(expires_at);
  });

  test('expires_at is stored in UTC, kept by a use policy, changed and cleared by update, and audited', async () => {
    const { tenants, vault, caller } = await open();
    await vault.store(caller(), { ...BEARER, expires_at: '2099-01-31T02:00:00+02:00' });
    const first = '2099-01-31T00:00:00.000Z';
    expect(await expiryOf(tenants)).toBe(first);
    await vault.use_policies.set(
      { ...caller(), edge: 'cli' },
      { ...GITHUB, use_policy: { methods: ['GET'] } },
    );
    expect(await expiryOf(tenants)).toBe(first);
    const second = '2099-02-01T00:00:00.000Z';
    await vault.update(caller(), { ...GITHUB, credentials: {}, expires_at: second });
    expect(await expiryOf(tenants)).toBe(second);
    const cleared = await vault.update(caller(), { ...GITHUB, credentials: {}, expires_at: null });
    expect([cleared.expires_at, cleared.updated_fields, cleared.status]).toEqual([null, [], 'active']);
    const changes = await auditOf(tenants);
    expect(changes).toContainEqual(['update', [{ what: 'expires_at', from: first, to: second }]]);
    expect(changes).toContainEqual(['update', [{ what: 'expires_at', from: second, to: null }]]);
  });

  test('storing or updating a secret without expires_at clears the expiry, which was of the old secret', async () => {
    const { tenants, vault, clock, caller } = await open();
    const expires_at = clock.in(DAY_MS);
    await vault.store(caller(), { ...BEARER, expires_at });
    await vault.store(caller(), { ...BEARER, credential_value: 'ghp_other' });
    expect(await expiryOf(tenants)).toBeNull();
    expect(await auditOf(tenants)).toContainEqual([
      'store',
      [{ what: 'expires_at', from: expires_at, to: null }],
    ]);
    await vault.update(caller(), { ...GITHUB, credentials: {}, expires_at });
    await vault.update(caller(), { ...GITHUB, credentials: { github_token: 'ghp_third' } });
    expect(await expiryOf(tenants)).toBeNull();
  });

  test('updating a field that is not secret keeps the expiry', async () => {
    const { vault, clock, caller } = await open();
    const gmail = { service_id: 'gmail' };
    const expires_at = clock.in(DAY_MS);
    await vault.update(caller(), { ...gmail, credentials: { gmail_oauth_token: 'ya29.a' }, expires_at });
    const updated = await vault.update(caller(), { ...gmail, credentials: { gmail_signature: 'Regards' } });
    expect(updated.expires_at).toBe(expires_at);
  });

  test('calls and tests of an expired credential are EXPIRED until a new secret is stored', async () => {
    const { tenants, vault, clock, caller } = await open();
    await vault.store(caller(), { ...BEARER, expires_at: clock.in(DAY_MS) });
    expect((await vault.uses.find(caller(), GITHUB)).service.slug).toBe('github');
    clock.advance(DAY_MS);
    expect((await statusOf(tenants)).status).toBe('expired');
    expect(await outcomeOf(tenants.calls.call(caller(), { ...GITHUB, method: 'GET', path: '/user' }))).toBe(
      'EXPIRED',
    );
    expect(await outcomeOf(tenants.tests.test(caller(), GITHUB))).toBe('EXPIRED');
    await vault.store(caller(), { ...BEARER, credential_value: 'ghp_new' });
    expect((await statusOf(tenants)).status).toBe('active');
    expect((await vault.uses.find(caller(), GITHUB)).service.slug).toBe('github');
  });
});
