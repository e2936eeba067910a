/** Uses of credentials: who may use which, what is logged before the values are opened, and what is opened. */
import { describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import { AUDITED_PATH_MAX_CHARACTERS } from '../../../src/contract/limits.ts';
import type { UseRequest } from '../../../src/vault/uses/use.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { countDecryptions } from '../../kit/vault/decrypt_counter.ts';
import { openTenants, type Tenants, withoutScopes } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const GET_REPO: UseRequest = {
  kind: 'http',
  method: 'GET',
  origin: 'https://api.github.com',
  path: '/repos/acme/web',
  hash: 'hash-of-the-request',
  summary: 'GET https://api.github.com/repos/acme/web',
  reason: 'Count the open issues.',
};

const storeToken = ({ vault, operator }: Tenants) =>
  vault.store(operator(), { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' });

async function stored() {
  const tenants = await openTenants();
  await storeToken(tenants);
  return { tenants, uses: tenants.vault.uses, caller: tenants.operator() };
}

const logged = async ({ vault, operator }: Tenants, action: string) =>
  (await vault.listAudit(operator(), { action })).entries;

describe('finding a credential to use', () => {
  test('a caller without the scope credentials:use is refused, and the refusal is logged', async () => {
    const { tenants, uses, caller } = await stored();
    const refused = uses.find(withoutScopes(caller, 'credentials:use'), GITHUB);
    expect(await outcomeOf(refused)).toBe('FORBIDDEN');
    const [entry] = await logged(tenants, 'use');
    expect(entry).toMatchObject({ outcome: 'denied', reason: 'missing scope credentials:use' });
  });

  test('a key limited to other services, stacks or tools finds no credential', async () => {
    const { tenants, uses } = await stored();
    const cases: readonly (readonly [CreateKeyInput, string])[] = [
      [{ allowed_services: ['linear'] }, 'FORBIDDEN'],
      [{ allowed_tools: ['get_credential_status'] }, 'FORBIDDEN'],
      [{ stack_id: 'work' }, 'NOT_FOUND stack_missing'],
    ];
    for (const [limits, outcome] of cases) {
      const { key } = await tenants.newKey(limits);
      const caller = await tenants.caller(key);
      expect(await outcomeOf(uses.find(caller, { ...GITHUB, stack_id: 'default' }))).toBe(outcome);
    }
  });

  test('the credential of another user or organization is not found', async () => {
    const { tenants, uses } = await stored();
    const missing = await errorOf(uses.find(await tenants.user('local', 'ann'), { service_id: 'linear' }));
    for (const caller of [await tenants.user('local', 'bob'), await tenants.user('acme', 'me')]) {
      const error = await errorOf(uses.find(caller, GITHUB));
      expect(error.code).toBe('NOT_FOUND');
      expect(error.message).toBe(missing.message.replace('linear', 'github'));
    }
    expect((await logged(tenants, 'use'))[0]).toMatchObject({ outcome: 'denied', reason: 'not found' });
  });

  test('an inactive credential and an incomplete one are refused with the next step', async () => {
    const { tenants, uses, caller } = await stored();
    const { credential_id } = await uses.find(caller, GITHUB);
    await tenants.vault.credentials.change(caller, credential_id, { inactive: true });
    expect((await errorOf(uses.find(caller, GITHUB))).code).toBe('INACTIVE');
    await tenants.vault.update(caller, { service_id: 'jira', credentials: { jira_email: 'a@example.com' } });
    const incomplete = await errorOf(uses.find(caller, { service_id: 'jira' }));
    expect(incomplete.code).toBe('INVALID_INPUT');
    expect(incomplete.message).toContain('keyhold update jira');
  });

  test('find returns the credential with its fields and destination, and decrypts no value', async () => {
    const { uses, caller } = await stored();
    expect(await uses.find(caller, GITHUB)).toMatchObject({
      service: { slug: 'github' },
      stack: 'default',
      name: null,
      revision: 1,
      fields: ['github_token'],
      destination: { origins: expect.arrayContaining(['https://api.github.com']) },
    });
  });
});

describe('beginning a use', () => {
  test('begin opens nothing if the credential was changed since it was found', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    await storeToken(tenants);
    expect(await outcomeOf(uses.begin(caller, credential, GET_REPO))).toBe('CONFLICT');
    expect(await logged(tenants, 'use')).toEqual([]);
  });

  test('begin refuses a caller whose key was revoked after it was authenticated', async () => {
    const { tenants, uses } = await stored();
    const { key, id } = await tenants.newKey({});
    const caller = await tenants.caller(key);
    const credential = await uses.find(caller, GITHUB);
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    expect(await outcomeOf(uses.begin(caller, credential, GET_REPO))).toBe('UNAUTHENTICATED');
  });

  test('begin logs origin, address, method, path and reason before it returns the values', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    const { values } = await uses.begin(caller, credential, GET_REPO, '192.0.2.7');
    expect([...values].map(([field, value]) => [field, value.reveal()])).toEqual([
      ['github_token', 'ghp_secret'],
    ]);
    const [entry] = await logged(tenants, 'use');
    expect(entry).toMatchObject({
      outcome: 'allowed',
      service_id: 'github',
      credential_id: credential.credential_id,
      fields: ['github_token'],
      use: {
        kind: 'http',
        origin: 'https://api.github.com',
        address: '192.0.2.7',
        method: 'GET',
        path: '/repos/acme/web',
        reason: 'Count the open issues.',
      },
    });
    expect(JSON.stringify(entry)).not.toContain('ghp_secret');
  });

  test('a very long path is cut in the audit log', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    await uses.begin(caller, credential, { ...GET_REPO, path: `/${'a'.repeat(10_000)}` });
    const [entry] = await logged(tenants, 'use');
    expect(entry?.use?.path).toHaveLength(AUDITED_PATH_MAX_CHARACTERS);
  });

  test('fields that the definition does not have are never opened', async () => {
    const { tenants, uses, caller } = await stored();
    const { id } = await tenants.vault.credentials.create(caller, {
      service_id: 'linear',
      credential_type: 'custom',
      credentials: { linear_api_key: 'lin_1', note: 'a free field' },
    });
    const credential = await uses.find(caller, { service_id: 'linear' });
    expect(credential).toMatchObject({ credential_id: id, fields: ['linear_api_key'] });
    const { values } = await uses.begin(caller, credential, GET_REPO);
    expect([...values.keys()]).toEqual(['linear_api_key']);
  });
});

describe('an audit log that cannot be written', () => {
  test('begin opens no value and rejects', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    const { values } = await uses.begin(caller, credential, GET_REPO);
    expect(values.size).toBe(1);
    await tenants.vault.close();
    const decryptions = countDecryptions();
    expect(await outcomeOf(uses.begin(caller, credential, GET_REPO))).toMatch(/^UNAVAILABLE/);
    expect(decryptions()).toBe(0);
  });
});

describe('the outcome of a use', () => {
  test('outcomes are logged once each, with status and bytes, when the vault is closed', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    const [successful, failed] = await Promise.all([
      uses.begin(caller, credential, GET_REPO),
      uses.begin(caller, credential, GET_REPO),
    ]);
    successful?.finish({ status: 200, bytes: 1_234 });
    successful?.finish({ status: 500 });
    failed?.finish({ reason: 'the connection was closed' });
    await tenants.vault.close();
    const reopened = await openTenants(tenants.home);
    const outcomes = await logged(reopened, 'use_outcome');
    expect(outcomes.map(({ use, reason }) => [use?.status, use?.bytes, reason])).toEqual([
      [null, null, 'the connection was closed'],
      [200, 1_234, null],
    ]);
    const uses_logged = await logged(reopened, 'use');
    expect(new Set(outcomes.map(({ use }) => use?.id))).toEqual(
      new Set(uses_logged.map(({ use }) => use?.id)),
    );
    expect((await reopened.vault.verifyAudit(reopened.operator())).findings).toEqual([]);
  });

  test('an outcome is in the log a second later, without a further call', async () => {
    const { tenants, uses, caller } = await stored();
    const { finish } = await uses.begin(caller, await uses.find(caller, GITHUB), GET_REPO);
    finish({ status: 204 });
    await expect.poll(() => logged(tenants, 'use_outcome'), { timeout: 5_000 }).toHaveLength(1);
  });
});

describe('a credential that the service refused', () => {
  test('a newer value is not marked by the refusal of the one before it', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    await storeToken(tenants);
    await uses.findings.reject(caller, credential, 401);
    expect(await outcomeOf(uses.find(caller, GITHUB))).toBe('ok');
    expect(await logged(tenants, 'reject')).toEqual([]);
  });

  test('it is refused until a secret is stored again, and marked once by concurrent calls', async () => {
    const { tenants, uses, caller } = await stored();
    const credential = await uses.find(caller, GITHUB);
    await Promise.all([1, 2, 3].map(() => uses.findings.reject(caller, credential, 401)));
    expect(await outcomeOf(uses.find(caller, GITHUB))).toBe('FORBIDDEN credential_rejected');
    expect(await logged(tenants, 'reject')).toHaveLength(1);
    await storeToken(tenants);
    expect(await outcomeOf(uses.find(caller, GITHUB))).toBe('ok');
    expect((await tenants.vault.verifyAudit(caller)).findings).toEqual([]);
  });
});
