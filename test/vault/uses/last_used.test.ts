/** When a credential was last used: shown by every interface, and deleted with the credential. */
import { describe, expect, test } from 'vitest';
import { keyholdJson, keyholdOk } from '../../kit/child/cli.ts';
import { damageRecords, readRowsOfKind } from '../../kit/vault/database.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const TOKEN = { ...GITHUB, credential_type: 'bearer', credential_value: 'ghp_secret' } as const;
const GET = { kind: 'http', method: 'GET', origin: 'https://api.github.com', path: '/', hash: 'h' } as const;

const recordsOf = ({ home }: Tenants) => readRowsOfKind(home, 'credential_use');

/** Stores a credential of a user in a stack and uses it once, with the record of its last use written. */
async function useOnce(tenants: Tenants, user = 'ann', stack_id = 'default') {
  const { vault } = tenants;
  const caller = await tenants.user('acme', user);
  const before = (await recordsOf(tenants)).length;
  const { credential_id } = await vault.store(caller, { ...TOKEN, stack_id });
  const credential = await vault.uses.find(caller, { ...GITHUB, stack_id });
  await vault.uses.begin(caller, credential, { ...GET, summary: 'GET https://api.github.com/' });
  await expect.poll(() => recordsOf(tenants)).toHaveLength(before + 1);
  return { caller, credential_id };
}

describe('last_used_at of a credential', () => {
  test('find and authorize do not change it, begin does, and a new value keeps it', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const caller = tenants.operator();
    await vault.store(caller, TOKEN);
    const credential = await vault.uses.find(caller, GITHUB);
    const request = { ...GET, summary: 'GET https://api.github.com/' };
    await vault.uses.authorize(caller, credential, request);
    expect((await vault.status(caller, GITHUB)).last_used_at).toBeNull();
    await vault.uses.begin(caller, credential, request);
    const shown = async () => (await vault.status(caller, GITHUB)).last_used_at;
    await expect.poll(shown).toBe(tenants.clock.in(0));
    tenants.clock.advance(60_000);
    await vault.store(caller, TOKEN);
    expect(await shown()).toBe(tenants.clock.in(-60_000));
    const { credentials } = await vault.listCredentials(caller, {});
    expect(credentials.map(({ last_used_at }) => last_used_at)).toEqual([tenants.clock.in(-60_000)]);
  });

  test('a refused use does not change it', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const caller = tenants.operator();
    await vault.store(caller, TOKEN);
    await vault.use_policies.set({ ...caller, edge: 'cli' }, { ...GITHUB, use_policy: { methods: ['PUT'] } });
    const credential = await vault.uses.find(caller, GITHUB);
    const begun = vault.uses.begin(caller, credential, { ...GET, summary: 'GET https://api.github.com/' });
    await expect(begun).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await vault.store(caller, TOKEN);
    expect(await recordsOf(tenants)).toEqual([]);
  });

  test('it is of the present credential after another process has deleted it and stored another one', async () => {
    const tenants = await openTenants();
    const used = await useOnce(tenants);
    const other = await openTenants(tenants.home, tenants.clock);
    const request = { ...GET, summary: 'GET https://api.github.com/' };
    const shown = async () => {
      const { credential_id, last_used_at } = await tenants.vault.status(used.caller, GITHUB);
      return { credential_id, last_used_at };
    };
    const { credential_id } = used;
    for (let again = 0; again < 2; again++)
      expect(await shown()).toEqual({ credential_id, last_used_at: tenants.clock.in(0) });
    await other.vault.delete(used.caller, GITHUB);
    expect(await shown()).toEqual({ credential_id: null, last_used_at: null });
    const stored = await other.vault.store(used.caller, TOKEN);
    for (let again = 0; again < 2; again++)
      expect(await shown()).toEqual({ credential_id: stored.credential_id, last_used_at: null });
    tenants.clock.advance(60_000);
    const credential = await other.vault.uses.find(used.caller, GITHUB);
    await other.vault.uses.begin(used.caller, credential, request);
    await expect
      .poll(shown)
      .toEqual({ credential_id: stored.credential_id, last_used_at: tenants.clock.in(0) });
  });

  test('it is null if its record is damaged, and the next use replaces the record', async () => {
    const tenants = await openTenants();
    const { caller } = await useOnce(tenants);
    await damageRecords(tenants.home, ({ kind }) => kind === 'credential_use');
    const shown = async () => (await tenants.vault.status(caller, GITHUB)).last_used_at;
    expect(await shown()).toBeNull();
    tenants.clock.advance(60_000);
    const credential = await tenants.vault.uses.find(caller, GITHUB);
    const request = { ...GET, summary: 'GET https://api.github.com/' };
    await tenants.vault.uses.begin(caller, credential, request);
    await expect.poll(shown).toBe(tenants.clock.in(0));
  });

  test('keyhold status prints it', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    await vault.store(tenants.operator(), TOKEN);
    const credential = await vault.uses.find(tenants.operator(), GITHUB);
    const request = { ...GET, summary: 'GET https://api.github.com/' };
    await vault.uses.begin(tenants.operator(), credential, request);
    await expect.poll(() => recordsOf(tenants)).toHaveLength(1);
    await vault.close();
    expect(await keyholdOk(tenants.home, ['status', 'github'])).toMatch(/^Last used (?:just now|\d+ s)/m);
    const status = await keyholdJson<{ last_used_at: string }>(tenants.home, ['status', 'github']);
    expect(status.last_used_at).toBe(tenants.clock.in(0));
  });
});

describe('the record of the last use is deleted with its credential', () => {
  test.each<[string, (tenants: Tenants, used: Awaited<ReturnType<typeof useOnce>>) => Promise<unknown>]>([
    ['by service', ({ vault }, { caller }) => vault.delete(caller, { ...GITHUB, stack_id: 'work' })],
    ['by id', ({ vault }, { caller, credential_id }) => vault.credentials.delete(caller, credential_id)],
    ['with its service', ({ vault }, { caller }) => vault.stacks.removeService(caller, 'work', 'github')],
    ['with its stack', ({ vault }, { caller }) => vault.stacks.delete(caller, 'work')],
    ['with its user', async (at) => at.vault.users.remove(await at.admin('acme'), 'ann')],
  ])('%s', async (_how, remove) => {
    const tenants = await openTenants();
    await useOnce(tenants, 'bob');
    const [other] = await recordsOf(tenants);
    const used = await useOnce(tenants, 'ann', 'work');
    await remove(tenants, used);
    expect(await recordsOf(tenants)).toEqual([other]);
    expect((await tenants.vault.verifyAudit(await tenants.admin('acme'))).findings).toEqual([]);
  });

  test('with the default stack', async () => {
    const tenants = await openTenants();
    const { caller } = await useOnce(tenants);
    await tenants.vault.stacks.delete(caller, 'default');
    expect(await recordsOf(tenants)).toEqual([]);
  });
});
