/** Operations on credentials by id across users and units: create, move, rename, reveal and delete. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { findTexts } from '../../kit/canary.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../../kit/outcome.ts';
import {
  damageRecords,
  readBytesAtRest,
  readCredentialRows,
  readStoredRecords,
  test_engine,
} from '../../kit/vault/database.ts';
import { createAcme, revealValues, UNKNOWN_ID, withoutScopes } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear', credential_type: 'bearer' } as const;
const NEW = { ...LINEAR, credentials: { linear_api_key: 'v' } };
const TAKEN = 'CONFLICT credential_exists';

describe('creating a credential', () => {
  test('create keeps custom fields: numbers, booleans, lists and objects as JSON; null fields are dropped', async () => {
    const { tenants, credentials, ann } = await createAcme();
    const given = {
      linear_api_key: 'v',
      'Client ID': 'blank',
      port: 5432,
      ratio: -1.5e-7,
      ssl: true,
      off: false,
      nothing: null,
      zero: 0,
      list: [1, 'two', null, { three: 3 }],
      tree: { a: { b: [] } },
      'größe.é': 'ü',
    };
    const { id, fields } = await credentials.create(ann, { ...LINEAR, credentials: given });
    expect(fields).toEqual(Object.keys(given).filter((field) => field !== 'nothing'));
    expect(await revealValues(tenants, ann, id)).toEqual({
      linear_api_key: 'v',
      'Client ID': 'blank',
      port: '5432',
      ratio: '-1.5e-7',
      ssl: 'true',
      off: 'false',
      zero: '0',
      list: '[1,"two",null,{"three":3}]',
      tree: '{"a":{"b":[]}}',
      'größe.é': 'ü',
    });
  });

  test.each<readonly [string, Record<string, unknown>]>([
    ['nothing', {}],
    ['nothing but null', { linear_api_key: null }],
    ['an empty text', { linear_api_key: '' }],
    ['blanks', { linear_api_key: ' \n' }],
    ['an empty field id', { '': 'v' }],
    ['a field id with a line end', { 'a\n': 'v' }],
    ['a field id that ends in a blank', { 'a ': 'v' }],
    ['a long field id', { [`f${'x'.repeat(64)}`]: 'v' }],
    ['65 fields', Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`f${at}`, 'v']))],
    ['a large value', { x: 'v'.repeat(64 * 1024 + 1) }],
    ['a list whose text is large', { x: ['v'.repeat(64 * 1024)] }],
    ['half a surrogate pair', { x: 'v\ud800' }],
  ])('create refuses %s and writes nothing', async (_, values) => {
    const { tenants, credentials, ann } = await createAcme();
    const before = await readStoredRecords(tenants.home);
    expect(await outcomeOf(credentials.create(ann, { ...LINEAR, credentials: values }))).toBe(
      'INVALID_INPUT',
    );
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });

  test('create refuses a name that is in use, including the service name for an unnamed credential', async () => {
    const { tenants, credentials, ann } = await createAcme();
    await credentials.create(ann, NEW);
    await credentials.create(ann, { ...NEW, name: 'work' });
    const before = await readStoredRecords(tenants.home);
    for (const name of [undefined, 'Linear', 'work']) {
      const input = name === undefined ? NEW : { ...NEW, name };
      expect(await outcomeOf(credentials.create(ann, input))).toBe(TAKEN);
    }
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    expect(await outcomeOf(credentials.create(ann, { ...NEW, stack_id: 'other' }))).toBe('ok');
  });

  test('a credential created for another user belongs to that user, and the audit entry names both', async () => {
    const { tenants, credentials, ann, bob, admin, ids } = await createAcme();
    const made = await credentials.create(admin, { ...NEW, user_id: ids.bob });
    expect(made).toMatchObject({ user: 'bob', user_id: ids.bob, modified_by: 'admin' });
    expect(await credentials.get(bob, made.id)).toEqual(made);
    expect((await tenants.vault.status(bob, { service_id: 'linear' })).credential_id).toBe(made.id);
    expect(await outcomeOf(credentials.get(ann, made.id))).toBe('NOT_FOUND');
    const [entry] = (await tenants.vault.listAudit(admin, {}, 1)).entries;
    expect(entry).toMatchObject({ action: 'store', user: 'admin', owner: 'bob', credential_id: made.id });
    // It creates no stack of another user.
    const elsewhere = credentials.create(admin, { ...NEW, user_id: ids.bob, stack_id: 'work' });
    expect(await outcomeOf(elsewhere)).toBe('NOT_FOUND stack_missing');
  });

  test('a credential belongs to the named unit, otherwise to the unit of its user', async () => {
    const { tenants, credentials, ann, admin, ids } = await createAcme();
    const sales = await tenants.vault.organizations.createUnit(admin, 'sales');
    expect((await credentials.create(ann, NEW)).unit_id).toBe(ids.unit);
    for (const unit_id of [sales.id, 'sales']) {
      const input = { ...NEW, name: `in ${unit_id}`, unit_id, user_id: ids.ann };
      const { unit_id: got } = await credentials.create(admin, input);
      expect(got).toBe(sales.id);
    }
    const zoe = await tenants.user('acme', 'zoe', { unit: 'sales' });
    expect((await credentials.create(zoe, NEW)).unit_id).toBe(sales.id);
    // A credential stored by name has no unit and counts to the unit of its user.
    await tenants.vault.store(zoe, { ...LINEAR, service_id: 'notion', credential_value: 'v' });
    const units = async (unit_id: string, caller: Caller) =>
      (await credentials.list(caller, { unit_id })).map(
        ({ user, name, service_id }) => `${user} ${service_id} ${name}`,
      );
    expect(await units(ids.unit, zoe)).toEqual([]);
    expect(await units(sales.id, zoe)).toEqual(['zoe notion null', 'zoe linear null']);
    expect(await units(ids.unit, admin)).toEqual(['ann linear null']);
    expect(await units(sales.id, admin)).toEqual([
      'zoe notion null',
      'zoe linear null',
      'ann linear in sales',
      `ann linear in ${sales.id}`,
    ]);
    // A moved credential keeps its unit, which an administrator can change.
    const [{ id = '' } = {}] = await credentials.list(zoe, { service_id: 'notion' });
    expect(await credentials.get(zoe, id)).toMatchObject({ unit_id: sales.id });
    expect(await credentials.change(zoe, id, { inactive: true })).toMatchObject({ unit_id: sales.id });
    expect(await credentials.change(admin, id, { unit_id: ids.unit })).toMatchObject({ unit_id: ids.unit });
    expect(await units(ids.unit, zoe)).toEqual(['zoe notion null']);
    for (const unit_id of [UNKNOWN_ID, 'no-such', ''])
      expect(await outcomeOf(credentials.list(admin, { unit_id }))).toBe('NOT_FOUND');
  });
});

describe('replacing a credential', () => {
  test('replace stores only the new values and removes the old ones from the database', async () => {
    const { tenants, credentials, ann } = await createAcme();
    const { id, virtual_key } = await credentials.create(ann, {
      ...LINEAR,
      credentials: { linear_api_key: 'v', extra: 'x' },
      inactive: true,
    });
    const sealed = (await readCredentialRows(tenants.home))[0]?.sealed_values.subarray(14) ?? Buffer.alloc(0);
    const after = await credentials.replace(ann, id, {
      credential_type: 'api_key',
      credentials: { other: 1 },
    });
    expect(after).toMatchObject({
      id,
      virtual_key,
      credential_type: 'api_key',
      fields: ['other'],
      inactive: true,
    });
    expect(await revealValues(tenants, ann, id)).toEqual({ other: '1' });
    // PostgreSQL keeps replaced rows.
    if (test_engine.is_remote) return;
    await tenants.vault.scrub();
    expect([...(await readBytesAtRest(tenants.home))].filter(([, bytes]) => bytes.includes(sealed))).toEqual(
      [],
    );
  });

  test('replace keeps the credential if the new values are refused', async () => {
    const { tenants, credentials, ann } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    const before = await readStoredRecords(tenants.home);
    const wrong = credentials.replace(ann, id, {
      credential_type: 'bearer',
      credentials: { a: 'v', '': 'v' },
    });
    expect(await outcomeOf(wrong)).toBe('INVALID_INPUT');
    expect(await readStoredRecords(tenants.home)).toEqual(before);
  });
});

describe('moving a credential', () => {
  test('a credential moved to another user keeps its id, values and virtual key, and leaves the first user', async () => {
    const { tenants, credentials, ann, bob, admin, ids } = await createAcme();
    const made = await credentials.create(ann, { ...NEW, name: 'work', stack_id: 'mine' });
    const moved = await credentials.change(admin, made.id, { user_id: ids.bob });
    expect(moved).toMatchObject({
      id: made.id,
      user: 'bob',
      user_id: ids.bob,
      stack_id: 'default',
      name: 'work',
    });
    expect(moved.virtual_key).toBe(made.virtual_key);
    expect(await outcomeOf(credentials.get(ann, made.id))).toBe('NOT_FOUND');
    expect((await tenants.vault.listCredentials(ann, { stack_id: 'mine' })).credentials).toEqual([]);
    expect(await revealValues(tenants, bob, made.id)).toEqual({ linear_api_key: 'v' });
    // The name that it left is free again.
    expect(await outcomeOf(credentials.create(ann, { ...NEW, name: 'work', stack_id: 'mine' }))).toBe('ok');
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a credential is not moved to a user who has one of that name, and neither changes', async () => {
    const { tenants, credentials, ann, bob, admin, ids } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    await credentials.create(bob, NEW);
    await credentials.create(ann, { ...NEW, name: 'work' });
    const before = await readStoredRecords(tenants.home);
    const began = performance.now();
    expect(await outcomeOf(credentials.change(admin, id, { user_id: ids.bob }))).toBe(TAKEN);
    expect(await outcomeOf(credentials.change(ann, id, { name: 'work' }))).toBe(TAKEN);
    expect(await outcomeOf(credentials.replace(ann, id, { ...without_service(NEW), name: 'work' }))).toBe(
      TAKEN,
    );
    // A retry would not help.
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    expect(await outcomeOf(credentials.change(admin, id, { user_id: ids.bob, name: 'from ann' }))).toBe('ok');
  });

  test('a user without org:admin cannot move a credential to another user', async () => {
    const { tenants, credentials, ann, ids } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    const before = await readStoredRecords(tenants.home);
    const unknown = await fullOutcomeOf(credentials.change(ann, id, { user_id: UNKNOWN_ID }));
    expect(await fullOutcomeOf(credentials.change(ann, id, { user_id: ids.bob }))).toBe(unknown);
    expect(await fullOutcomeOf(credentials.change(ann, id, { user_id: 'bob' }))).toBe(unknown);
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    expect(await outcomeOf(credentials.change(ann, id, { user_id: ids.ann }))).toBe('ok');
  });

  test('moving a credential to its own user changes nothing', async () => {
    const { credentials, ann } = await createAcme();
    const { id } = await credentials.create(ann, { ...NEW, name: 'work' });
    expect(await credentials.change(ann, id, { name: 'work' })).toMatchObject({ id, name: 'work' });
    expect(await credentials.change(ann, id, { name: 'Linear' })).toMatchObject({ id, name: null });
    expect(await credentials.change(ann, id, { name: 'Linear' })).toMatchObject({ id, name: null });
  });

  test('two credentials can swap names through a third name', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const [a, b] = [
      await credentials.create(ann, { ...NEW, name: 'a' }),
      await credentials.create(ann, { ...NEW, name: 'b' }),
    ];
    await credentials.change(ann, a.id, { name: 'c' });
    await credentials.change(ann, b.id, { name: 'a' });
    await credentials.change(ann, a.id, { name: 'b' });
    const { credentials: listed } = await tenants.vault.listCredentials(ann, {});
    expect(listed.map(({ name, credential_id }) => [name, credential_id]).toSorted()).toEqual([
      ['a', b.id],
      ['b', a.id],
    ]);
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });
});

describe('revealing values', () => {
  test('a reveal is in the audit log before values are returned, with field ids and without values', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const { id } = await credentials.create(ann, {
      ...LINEAR,
      credentials: { linear_api_key: 'sk-shown-once' },
    });
    expect(await revealValues(tenants, ann, id)).toEqual({ linear_api_key: 'sk-shown-once' });
    const [entry] = (await tenants.vault.listAudit(admin, { action: 'reveal' })).entries;
    expect(entry).toMatchObject({
      user: 'ann',
      credential_id: id,
      fields: ['linear_api_key'],
      outcome: 'allowed',
    });
    expect(JSON.stringify(await tenants.vault.listAudit(admin))).not.toContain('sk-shown-once');
    expect(findTexts(['sk-shown-once'], await readBytesAtRest(tenants.home))).toEqual([]);
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('reveal is refused without values:reveal, whatever other scopes the caller has', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    for (const caller of [withoutScopes(ann, 'values:reveal'), withoutScopes(admin, 'values:reveal')]) {
      const refusal = await errorOf(credentials.reveal(caller, id));
      expect([refusal.code, refusal.message]).toEqual([
        'FORBIDDEN',
        expect.stringContaining('values:reveal'),
      ]);
    }
    const { entries } = await tenants.vault.listAudit(admin, { action: 'reveal' });
    expect(entries.map(({ user, outcome: end }) => [user, end])).toEqual([
      ['admin', 'denied'],
      ['ann', 'denied'],
    ]);
  });
});

function without_service({ credential_type, credentials }: typeof NEW) {
  return { credential_type, credentials };
}

describe('a credential whose user has a damaged record', () => {
  test('the credential can be deleted by id, and a change that fails has changed nothing', async () => {
    const { tenants, credentials, ann } = await createAcme();
    const { home } = tenants;
    const { id } = await credentials.create(ann, {
      service_id: 'linear',
      credential_type: 'bearer',
      credentials: { linear_api_key: 'v' },
    });
    await damageRecords(home, ({ kind }) => kind === 'user');
    const before = await readCredentialRows(home);
    const replaced = { credential_type: 'bearer', credentials: { linear_api_key: 'other' } } as const;
    expect(await outcomeOf(credentials.replace(ann, id, replaced))).toBe('CORRUPT record_damaged');
    expect(await outcomeOf(credentials.change(ann, id, { inactive: true }))).toBe('CORRUPT record_damaged');
    expect(await readCredentialRows(home)).toEqual(before);
    expect(await outcomeOf(credentials.delete(ann, id))).toBe('ok');
    expect(await readCredentialRows(home)).toEqual([]);
  });
});
