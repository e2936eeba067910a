/**
 * Ids of another user, another organization or another kind of record get the same response as an unknown id, with
 * the same amount of work, and change nothing.
 */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES } from '../../src/contract/caller.ts';
import { errorOf, fullOutcomeOf, outcomeOf } from '../kit/outcome.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { countDecryptions } from '../kit/vault/decrypt_counter.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { openTenants, type Tenants, UNKNOWN_ID } from '../kit/vault/tenants.ts';

const BEARER = { service_id: 'linear', credential_type: 'bearer' } as const;
const NEW = { ...BEARER, credentials: { linear_api_key: 'new' } };

/** Ids of a user's records that others might guess. */
interface Belongings {
  readonly credential: string;
  readonly stack: string;
  readonly key: string;
  readonly user: string;
  readonly unit: string;
}

/** A user with a stack, a credential in it, one in the default stack, and a key. */
async function settle(tenants: Tenants, organization: string, user: string) {
  const { vault } = tenants;
  const made = await tenants.newKey({ organization, user, scopes: [...SCOPES] });
  const caller = await tenants.caller(made.key);
  const { stack_id } = await vault.stacks.create(caller, { stack_name: `stack of ${user}` });
  await vault.stacks.addService(caller, stack_id, 'linear', null);
  await vault.credentials.create(caller, { ...NEW, stack_id });
  const { id } = await vault.credentials.create(caller, { ...NEW, name: 'main' });
  const belongings: Belongings = {
    credential: id,
    stack: stack_id,
    key: made.id,
    user: made.user_id,
    unit: made.unit_id,
  };
  return { caller, belongings };
}

/** Ids that no record has. */
const UNKNOWN: Belongings = {
  credential: UNKNOWN_ID,
  stack: `stack_${UNKNOWN_ID}`,
  key: UNKNOWN_ID,
  user: UNKNOWN_ID,
  unit: UNKNOWN_ID,
};

type Attempt = (tenants: Tenants, caller: Caller, foreign: Belongings, own: Belongings) => Promise<unknown>;

/** Every operation that takes an id. */
const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  'credentials.get': ({ vault }, me, { credential }) => vault.credentials.get(me, credential),
  'credentials.replace': ({ vault }, me, { credential }) =>
    vault.credentials.replace(me, credential, { credential_type: 'bearer', credentials: { x: 'v' } }),
  'credentials.change': ({ vault }, me, { credential }) =>
    vault.credentials.change(me, credential, { name: 'renamed' }),
  'credentials.change of the service': ({ vault }, me, { credential }) =>
    vault.credentials.change(me, credential, { service_id: 'openai' }),
  'credentials.change to nothing': ({ vault }, me, { credential }) =>
    vault.credentials.change(me, credential, {}),
  'credentials.delete': ({ vault }, me, { credential }) => vault.credentials.delete(me, credential),
  'credentials.reveal': ({ vault }, me, { credential }) => vault.credentials.reveal(me, credential),
  'credentials.create in a stack': ({ vault }, me, { stack }) =>
    vault.credentials.create(me, { ...NEW, name: 'n', stack_id: stack }),
  'credentials.create for a user': ({ vault }, me, { user }) =>
    vault.credentials.create(me, { ...NEW, name: 'n', user_id: user }),
  'credentials.change to a user': ({ vault }, me, { user }, own) =>
    vault.credentials.change(me, own.credential, { user_id: user }),
  'stacks.get': ({ vault }, me, { stack }) => vault.stacks.get(me, stack),
  'stacks.update': ({ vault }, me, { stack }) => vault.stacks.update(me, stack, { stack_name: 'mine' }),
  'stacks.addService': ({ vault }, me, { stack }) => vault.stacks.addService(me, stack, 'notion', null),
  'stacks.setTools': ({ vault }, me, { stack }) => vault.stacks.setTools(me, stack, 'linear', []),
  'stacks.removeService': ({ vault }, me, { stack }) => vault.stacks.removeService(me, stack, 'linear'),
  'stacks.requireService': ({ vault }, me, { stack }) => vault.stacks.requireService(me, stack, 'linear'),
  'stacks.delete': ({ vault }, me, { stack }) => vault.stacks.delete(me, stack),
  store: ({ vault }, me, { stack }) => vault.store(me, { ...BEARER, credential_value: 'v', stack_id: stack }),
  update: ({ vault }, me, { stack }) =>
    vault.update(me, { service_id: 'linear', credentials: { linear_api_key: 'v' }, stack_id: stack }),
  status: ({ vault }, me, { stack }) => vault.status(me, { service_id: 'linear', stack_id: stack }),
  listCredentials: ({ vault }, me, { stack }) => vault.listCredentials(me, { stack_id: stack }),
  listServices: ({ vault }, me, { stack }) => vault.listServices(me, { stack_id: stack }),
  delete: ({ vault }, me, { stack }) => vault.delete(me, { service_id: 'linear', stack_id: stack }),
  'api_keys.rotate': ({ vault }, me, { key }) => vault.api_keys.rotate(me, key),
  'api_keys.revoke': ({ vault }, me, { key }) => vault.api_keys.revoke(me, key),
};

/** Ids that only another organization has: units are shared within one. */
const ATTEMPTS_ON_UNITS: Readonly<Record<string, Attempt>> = {
  'credentials.create in a unit': ({ vault }, me, { unit }) =>
    vault.credentials.create(me, { ...NEW, name: 'n', unit_id: unit }),
  'credentials.change to a unit': ({ vault }, me, { unit }, own) =>
    vault.credentials.change(me, own.credential, { unit_id: unit }),
  'credentials.list of a unit': ({ vault }, me, { unit }) => vault.credentials.list(me, { unit_id: unit }),
  'api_keys.create in a unit': ({ vault }, me, { unit }) => vault.api_keys.create(me, { unit }),
};

/** Caller and owner of the ids. */
const VICTIMS = {
  'another user of the organization': ['acme', 'bob'],
  'the user of that name in another organization': ['other', 'ann'],
  'who runs the installation': ['local', 'root'],
} as const;

async function expectAlike(
  attempts: Readonly<Record<string, Attempt>>,
  victim: readonly [string, string],
  mine?: 'org:admin',
) {
  const tenants = await openTenants();
  const { belongings: own } = await settle(tenants, 'acme', 'ann');
  const scopes = SCOPES.filter((scope) => scope !== 'org:admin' || mine === 'org:admin');
  const ann = await tenants.user('acme', 'ann', { scopes });
  const { belongings: foreign } = await settle(tenants, ...victim);
  await tenants.vault.credentials.list(ann);
  const admin = await tenants.admin('acme');
  const before = await readStoredRecords(tenants.home);
  const decryptions = countDecryptions();
  const newest = async () => (await tenants.vault.listAudit(admin, {}, 1)).entries[0]?.position ?? 0;
  for (const [name, attempt] of Object.entries(attempts)) {
    const tryWith = async (ids: Belongings) => {
      // An allowed operation ends the groups of equal denials.
      await tenants.vault.credentials.reveal(ann, own.credential);
      const last = await newest();
      decryptions();
      const end = await fullOutcomeOf(attempt(tenants, ann, ids, own));
      const opened = decryptions();
      const { entries } = await tenants.vault.listAudit(admin, {}, 3);
      const reported = entries
        .filter(({ position }) => position > last)
        .map(({ action, outcome: logged, reason, service_id, credential_id, record_id, stack_id }) => {
          const about = stack_id === ids.stack ? 'the stack' : stack_id;
          return [action, logged, reason, service_id, credential_id, record_id, about];
        });
      return { name, end, opened, reported: reported };
    };
    const unknown = await tryWith(UNKNOWN);
    if (name !== 'delete')
      expect([name, unknown.end]).toEqual([name, expect.stringContaining('"NOT_FOUND"')]);
    expect(await tryWith(foreign)).toEqual(unknown);
  }
  expect(await readStoredRecords(tenants.home)).toEqual(before);
  expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
}

describe.each(Object.entries(VICTIMS))('the id of %s', (_, victim) => {
  test("the id of another user's record is like an unknown id in every operation", async () => {
    await expectAlike(ATTEMPTS, victim);
  });
});

describe('an id of another organization', () => {
  test.each([VICTIMS['the user of that name in another organization'], VICTIMS['who runs the installation']])(
    'an id of another organization is like an unknown id for an administrator (%s)',
    async (organization, user) => {
      await expectAlike({ ...ATTEMPTS, ...ATTEMPTS_ON_UNITS }, [organization, user], 'org:admin');
    },
  );

  test('the unit id of another organization is like an unknown id', async () => {
    await expectAlike(ATTEMPTS_ON_UNITS, VICTIMS['the user of that name in another organization']);
  });
});

describe('an id of another kind of record', () => {
  test("the caller's own id of another kind is like an unknown id", async () => {
    const tenants = await openTenants();
    const { caller: ann, belongings: own } = await settle(tenants, 'acme', 'ann');
    const admin = await tenants.admin('acme');
    const uuid_of_stack = own.stack.slice('stack_'.length);
    const { organization_id } = await tenants.newKey({ organization: 'acme', user: 'zoe' });
    const ids = [own.credential, own.key, own.user, own.unit, uuid_of_stack, organization_id];
    await tenants.vault.credentials.list(ann);
    const before = await readStoredRecords(tenants.home);
    const decryptions = countDecryptions();
    const kinds = ['credential', 'key', 'user', 'unit'] as const;
    for (const kind of kinds) {
      for (const id of ids) {
        if (id === own[kind]) continue;
        const swapped: Belongings = { ...UNKNOWN, [kind]: id };
        for (const [name, attempt] of Object.entries({ ...ATTEMPTS, ...ATTEMPTS_ON_UNITS })) {
          decryptions();
          const expected = [await fullOutcomeOf(attempt(tenants, ann, UNKNOWN, own)), decryptions()];
          const seen = [await fullOutcomeOf(attempt(tenants, ann, swapped, own)), decryptions()];
          expect([name, kind, ...seen]).toEqual([name, kind, ...expected]);
        }
      }
    }
    expect(await readStoredRecords(tenants.home)).toEqual(before);
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test.each([
    ['in upper case', (id: string) => id.toUpperCase(), 'ok'],
    ['without dashes', (id: string) => id.replaceAll('-', ''), 'NOT_FOUND'],
    ['in braces', (id: string) => `{${id}}`, 'NOT_FOUND'],
    ['with a blank behind it', (id: string) => `${id} `, 'NOT_FOUND'],
    ['with a line end behind it', (id: string) => `${id}\n`, 'NOT_FOUND'],
    ['as a path', (id: string) => `../credentials/${id}`, 'NOT_FOUND'],
    ['cut off', (id: string) => id.slice(0, -1), 'NOT_FOUND'],
    ['empty', () => '', 'NOT_FOUND'],
    ['endless', (id: string) => id.repeat(30_000), 'NOT_FOUND'],
  ])('%s', async (_, spell, expected) => {
    const tenants = await openTenants();
    const { caller: ann, belongings: own } = await settle(tenants, 'acme', 'ann');
    expect(await outcomeOf(tenants.vault.credentials.get(ann, spell(own.credential)))).toBe(expected);
    expect(await outcomeOf(tenants.vault.credentials.reveal(ann, spell(own.credential)))).toBe(expected);
  });
});

describe('isolation of lists', () => {
  test("lists of credentials, stacks, API keys and connected services have the caller's own records only", async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const { caller: all, belongings: own } = await settle(tenants, 'acme', 'ann');
    for (const [where, who] of Object.values(VICTIMS)) await settle(tenants, where, who);
    const ann = { ...all, scopes: new Set(SCOPES.filter((scope) => scope !== 'org:admin')) };
    const users = new Set((await vault.credentials.list(ann)).map(({ user_id }) => user_id));
    expect(users).toEqual(new Set([own.user]));
    expect(await vault.credentials.list(ann)).toHaveLength(2);
    expect(await vault.credentials.list(ann, { unit_id: own.unit })).toHaveLength(2);
    expect((await vault.stacks.list(ann)).map(({ stack_id }) => stack_id)).toEqual([own.stack, 'default']);
    expect((await vault.api_keys.list(ann)).keys.map(({ user }) => user)).toEqual(['ann']);
    expect((await vault.listCredentials(ann, {})).credentials).toHaveLength(1);
    const fresh = await tenants.user('acme', 'new');
    expect(await vault.credentials.list(fresh, { unit_id: own.unit })).toEqual([]);
    expect((await vault.listServices(fresh, {})).filter(({ connected }) => connected)).toEqual([]);
    // An administrator sees all records of the organization and none of others.
    const seen = new Set((await vault.credentials.list(all, { unit_id: own.unit })).map(({ user }) => user));
    expect(seen).toEqual(new Set(['ann', 'bob']));
  });

  test("the audit list has the caller's own organization only", async () => {
    const tenants = await openTenants();
    const { caller: ann } = await settle(tenants, 'acme', 'ann');
    const { belongings: foreign } = await settle(tenants, 'other', 'bob');
    const { entries } = await tenants.vault.listAudit(ann);
    expect(entries.map(({ user }) => user)).not.toContain('bob');
    expect((await tenants.vault.listAudit(ann, { credential_id: foreign.credential })).entries).toEqual([]);
    expect((await tenants.vault.listAudit(ann, { record_id: foreign.key })).entries).toEqual([]);
    expect((await tenants.vault.verifyAudit(ann)).entries).toBe(entries.length);
  });
});

test('a value sealed to one organization is not decrypted in another', async () => {
  const tenants = await openTenants();
  const [ann, eve] = [await tenants.user('acme', 'ann'), await tenants.user('evil', 'eve')];
  const { vault } = tenants;
  const sealed = await sealFor(await vault.sealingKey(ann), 'lin_api_of_acme');
  const input = { service_id: 'linear', credential_type: 'api_key', credential_value: sealed } as const;
  const theft = await errorOf(vault.store(eve, input));
  expect([theft.code, theft.reason]).toEqual(['INVALID_INPUT', 'sealed_value_unreadable']);
  const free = { service_id: 'linear', credential_type: 'api_key', credentials: { note: sealed } } as const;
  expect((await errorOf(vault.credentials.create(eve, free))).reason).toBe('sealed_value_unreadable');
  expect((await vault.store(ann, input)).success).toBe(true);
});
