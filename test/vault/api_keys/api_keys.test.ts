/** Authentication with API keys: valid, expired, damaged and malformed ones. No refusal shows its cause. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { CreateKeyInput } from '../../../src/contract/api_key.ts';
import { NEW_KEY_SCOPES } from '../../../src/contract/caller.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import { flipBit, readRowById, readRowsOfKind, replaceRecords } from '../../kit/vault/database.ts';
import { countDecryptions } from '../../kit/vault/decrypt_counter.ts';
import { Clock, openTenants, UNKNOWN_ID, withoutScopes } from '../../kit/vault/tenants.ts';

const HOUR_MS = 3_600_000;
const REFUSED = '["UNAUTHENTICATED",null,"A valid API key is needed."]';

const secretOf = (key: string) => key.slice(36);
const headOf = (key: string) => key.slice(0, 36);

describe('an API key', () => {
  test('an API key is kh_, its id, an underscore and 43 characters of base64url', async () => {
    const tenants = await openTenants();
    const made = await tenants.newKey({ name: 'ci' });
    expect(made.key).toMatch(/^kh_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/);
    expect(made.key.slice(3, 35)).toBe(made.id.replaceAll('-', ''));
    expect(made.key_prefix).toBe(made.key.slice(0, 8));
    expect(made).toMatchObject({ name: 'ci', organization: 'local', user: 'me', last_used_at: null });
  });

  test('an API key authenticates its user with the scopes and restrictions it was created with', async () => {
    const tenants = await openTenants();
    const plain = await tenants.newKey({ organization: 'acme', user: 'ann' });
    expect(await tenants.caller(plain.key)).toEqual({
      organization: 'acme',
      user: 'ann',
      scopes: new Set(NEW_KEY_SCOPES),
      edge: 'rest',
      request_id: expect.any(String),
      api_key_id: plain.id,
      made_by: 'local/me',
    });
    const narrow: CreateKeyInput = {
      organization: 'acme',
      user: 'ann',
      scopes: ['credentials:read'],
      stack_id: 'work',
      allowed_services: ['linear'],
      allowed_tools: ['list_services'],
    };
    const ann = await tenants.user('acme', 'ann');
    await tenants.vault.store(ann, {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'lin_api_x',
      stack_id: 'work',
    });
    const { key } = await tenants.newKey(narrow);
    expect(await tenants.caller(key)).toMatchObject({
      scopes: new Set(['credentials:read']),
      stack: 'work',
      services: new Set(['linear']),
      tools: new Set(['list_services']),
    });
  });

  test('an API key is accepted by a vault that was open before it was created, and after a restart', async () => {
    const first = await openTenants();
    const second = await openTenants(first.home);
    const { key } = await first.newKey({ organization: 'acme', user: 'ann' });
    expect((await second.caller(key)).user).toBe('ann');
    await first.vault.close();
    await second.vault.close();
    const third = await openTenants(first.home);
    expect((await third.caller(key)).organization).toBe('acme');
  });
});

describe('an invalid API key', () => {
  const WRONG: readonly (readonly [string, (key: string, other: string) => string])[] = [
    ['nothing', () => ''],
    ['a blank', () => ' '],
    ['the prefix alone', () => 'kh_'],
    ['the id without a secret', headOf],
    ['the secret alone', secretOf],
    ['a key with a character less', (key) => key.slice(0, -1)],
    ['a key with a character more', (key) => `${key}A`],
    ['a key with a blank behind it', (key) => `${key} `],
    ['a key with a line end behind it', (key) => `${key}\n`],
    ['a key after a line end', (key) => `\n${key}`],
    ['a key on the second line', (key) => `x\n${key}`],
    ['a key and another', (key) => `${key},${key}`],
    ['a key in upper case', (key) => key.toUpperCase()],
    ['a key whose id is in upper case', (key) => `kh_${key.slice(3, 35).toUpperCase()}${key.slice(35)}`],
    ['a key with another prefix', (key) => `sk${key.slice(2)}`],
    ['a key with its id as a UUID', (key) => key.replace(/^kh_(.{8})(.{4})(.{4})(.{4})/, 'kh_$1-$2-$3-$4-')],
    ['the secret of another key', (key, other) => headOf(key) + secretOf(other)],
    ['the id of another key', (key, other) => headOf(other) + secretOf(key)],
    ["nobody's id", (key) => `kh_${UNKNOWN_ID.replaceAll('-', '')}_${secretOf(key)}`],
    ['an id of zeros, as the vault key has', (key) => `kh_${'0'.repeat(32)}_${secretOf(key)}`],
    ['an empty secret of the right length', (key) => `${headOf(key)}${'A'.repeat(43)}`],
    ['a secret with padding', (key) => `${key.slice(0, -1)}=`],
    ['a megabyte', (key) => key + 'A'.repeat(1024 * 1024)],
    ['a megabyte of ids', () => `kh_${'0'.repeat(1024 * 1024)}`],
    ['SQL', (key) => `${headOf(key)}' OR 1=1 --`],
    ['a zero byte', (key) => `${key}\0`],
    ['half a surrogate pair', (key) => `${key}\ud800`],
    // Base64url encodes the last two bits of 32 bytes in four ways; only the text that was returned is the key.
    ['another spelling of the same bytes', (key) => key.slice(0, -1) + nextLetter(key.slice(-1))],
  ];

  test.each(WRONG)('an invalid API key gets the same error as all others: %s', async (_, spoil) => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { key: other } = await tenants.newKey({ organization: 'other', user: 'bob' });
    expect(await fullOutcomeOf(tenants.caller(spoil(key, other)))).toBe(REFUSED);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe('ok');
  });

  test('an API key with any one character changed is refused', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({});
    for (let at = 0; at < key.length; at++) {
      const changed = key.slice(0, at) + (key[at] === 'a' ? 'b' : 'a') + key.slice(at + 1);
      expect([at, await fullOutcomeOf(tenants.caller(changed))]).toEqual([at, REFUSED]);
    }
  });

  test('an API key with the id of another record is refused', async () => {
    const tenants = await openTenants();
    const made = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const ann = await tenants.caller(made.key);
    const { stack_id } = await tenants.vault.stacks.create(ann, { stack_name: 's' });
    const { id } = await tenants.vault.credentials.create(ann, {
      service_id: 'linear',
      credential_type: 'bearer',
      credentials: { linear_api_key: 'v' },
    });
    for (const one of [made.user_id, made.organization_id, made.unit_id, id, stack_id.slice(6)]) {
      const key = `kh_${one.replaceAll('-', '')}_${secretOf(made.key)}`;
      expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
    }
  });

  test('every invalid API key costs one decryption; only a valid key that was used repeatedly costs none', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { key: revoked, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    await tenants.vault.api_keys.revoke(tenants.operator(), id);
    for (let time = 0; time < 2; time++) await tenants.caller(key);
    const tried = [
      key,
      revoked,
      headOf(key) + secretOf(revoked),
      `kh_${randomBytes(16).toString('hex')}_${secretOf(key)}`,
      'no key at all',
    ];
    const decryptions = countDecryptions();
    for (const one of tried) {
      await fullOutcomeOf(tenants.caller(one));
      expect([tried.indexOf(one), decryptions()]).toEqual([tried.indexOf(one), one === key ? 0 : 1]);
    }
  });
});

describe('an API key with an expiry time', () => {
  test('an API key is accepted until its expiry time and refused from then on', async () => {
    const tenants = await openTenants();
    const { key, expires_at } = await tenants.newKey({ expires_at: tenants.clock.in(HOUR_MS) });
    expect(expires_at).toBe(tenants.clock.in(HOUR_MS));
    tenants.clock.advance(HOUR_MS - 1);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe('ok');
    tenants.clock.advance(1);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
  });

  test('the expiry time of an API key may have an offset and is returned in UTC', async () => {
    const tenants = await openTenants(undefined, new Clock(Date.UTC(2026, 0, 1)));
    const { expires_at } = await tenants.newKey({ expires_at: '2026-01-01T02:00:00+01:00' });
    expect(expires_at).toBe('2026-01-01T01:00:00.000Z');
  });

  test.each([
    ['now', (clock: Clock) => clock.in(0)],
    ['in the past', (clock: Clock) => clock.in(-1)],
    ['without an offset', () => '2999-01-01T00:00:00'],
    ['on no day of the calendar', () => '2999-02-31T00:00:00Z'],
    ['a number', () => '4102444800'],
    ['beyond the year 9999 by its offset', () => '9999-12-31T23:59:59-12:00'],
  ])('an API key is not created if its expiry time is %s', async (_, when) => {
    const tenants = await openTenants();
    const making = tenants.newKey({ organization: 'acme', user: 'ann', expires_at: when(tenants.clock) });
    expect((await errorOf(making)).code).toBe('INVALID_INPUT');
    expect(await readRowsOfKind(tenants.home, 'organization')).toEqual([]);
  });

  test('an expired API key is not rotated', async () => {
    const tenants = await openTenants();
    const { id } = await tenants.newKey({ expires_at: tenants.clock.in(HOUR_MS) });
    tenants.clock.advance(HOUR_MS);
    const refusal = await errorOf(tenants.vault.api_keys.rotate(tenants.operator(), id));
    expect([refusal.code, refusal.message]).toEqual([
      'EXPIRED',
      'This API key has expired. Create a new one.',
    ]);
  });
});

describe('a damaged API key', () => {
  const DAMAGES = ['sealed_meta', 'scope', 'blind_index'] as const;
  test.each(DAMAGES)('an API key with a damaged %s is refused, and other keys still work', async (column) => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { key: other } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const row = await readRowById(tenants.home, id);
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, [column]: flipBit(row[column], 77) }]);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
    expect(await fullOutcomeOf(tenants.caller(other))).toBe('ok');
    const admin = await tenants.admin('acme');
    const listed = (await tenants.vault.api_keys.list(admin)).keys.map((one) => one.id);
    expect(listed).not.toContain(id);
    expect(listed).toHaveLength(2);
    const report = await tenants.vault.verifyAudit(admin);
    expect(report.findings.map(({ kind, record_id }) => [kind, record_id])).toEqual([['record_damaged', id]]);
  });

  test('a damaged API key still counts as a key when the bootstrap key is requested', async () => {
    const tenants = await openTenants();
    const first = await tenants.vault.api_keys.createBootstrapKey(tenants.operator());
    const row = await readRowById(tenants.home, first?.id ?? '');
    if (row === undefined) throw new Error('no row');
    await replaceRecords(tenants.home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 77) }]);
    expect(await tenants.vault.api_keys.createBootstrapKey(tenants.operator())).toBeUndefined();
  });

  test('an API key record moved from another organization is refused', async () => {
    const tenants = await openTenants();
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const { id: in_local } = await tenants.newKey({});
    const [row, local] = [await readRowById(tenants.home, id), await readRowById(tenants.home, in_local)];
    if (row === undefined || local === undefined) throw new Error('no rows');
    await replaceRecords(tenants.home, [{ ...row, scope: local.scope }]);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
    await replaceRecords(tenants.home, [{ ...row, scope: local.scope, sealed_meta: local.sealed_meta }]);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe(REFUSED);
    await replaceRecords(tenants.home, [row]);
    expect(await fullOutcomeOf(tenants.caller(key))).toBe('ok');
  });
});

describe('malformed API key ids', () => {
  test.each([
    '',
    'x',
    'kh_',
    '../../..',
    'a'.repeat(1_000_000),
    `${UNKNOWN_ID}\n`,
    UNKNOWN_ID.replaceAll('-', ''),
  ])('malformed API key id %# gets the same error as an unknown one', async (id) => {
    const tenants = await openTenants();
    const unknown = await fullOutcomeOf(tenants.vault.api_keys.revoke(tenants.operator(), UNKNOWN_ID));
    expect(unknown).toBe('["NOT_FOUND",null,"No such API key."]');
    expect(await fullOutcomeOf(tenants.vault.api_keys.revoke(tenants.operator(), id))).toBe(unknown);
    expect(await fullOutcomeOf(tenants.vault.api_keys.rotate(tenants.operator(), id))).toBe(unknown);
  });

  test('a malformed API key id is FORBIDDEN without the scope keys:write', async () => {
    const tenants = await openTenants();
    const caller = withoutScopes(tenants.operator(), 'keys:write');
    expect(await outcomeOf(tenants.vault.api_keys.revoke(caller, UNKNOWN_ID))).toBe('FORBIDDEN');
    expect(await outcomeOf(tenants.vault.api_keys.rotate(caller, 'x'))).toBe('FORBIDDEN');
  });
});

function nextLetter(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return letters[letters.indexOf(letter) ^ 1] ?? 'A';
}
