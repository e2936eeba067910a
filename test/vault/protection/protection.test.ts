/** Protected credentials in the vault: what others may not change, values that wait, and the decision of a person. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import {
  PENDING_VALUES_AGE_MS,
  PENDING_VALUES_PER_USER_MAX,
  VALUE_MAX_BYTES,
} from '../../../src/contract/limits.ts';
import { findCanary, findCanaryInFiles, newCanary } from '../../kit/canary.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { readRowsOfKind } from '../../kit/vault/database.ts';
import { sealFor } from '../../kit/vault/sealed.ts';
import { ALL_SCOPES, openTenants } from '../../kit/vault/tenants.ts';

const GITHUB = { service_id: 'github' };
const OLD = 'ghp_stored_by_the_person';
const NEW = 'ghp_given_by_the_agent';
const bearer = (credential_value: string) =>
  ({ ...GITHUB, credential_type: 'bearer', credential_value }) as const;

const countPending = async (home: string) => (await readRowsOfKind(home, 'pending_values')).length;

/** A vault with a protected credential of GitHub, its person and an agent of the same user. */
async function protectedGithub(home?: string) {
  const tenants = home === undefined ? await openTenants() : await openTenants(home);
  const { vault, clock } = tenants;
  const person: Caller = { ...tenants.operator(), edge: 'cli' };
  const agent: Caller = { ...tenants.operator(), edge: 'mcp', claimed_client: 'agent 1.0' };
  if (home === undefined) await vault.store(person, bearer(OLD), { protect: true });
  const { credential_id } = await vault.status(person, GITHUB);
  const id = credential_id ?? '';
  const revealer: Caller = { ...person, scopes: new Set(ALL_SCOPES) };
  const token = async () => (await vault.credentials.reveal(revealer, id)).get('github_token')?.reveal();
  const status = () => vault.status(agent, GITHUB);
  const give = async (value = NEW, caller = agent) => {
    const { pending_approval } = await vault.store(caller, bearer(value));
    return pending_approval?.approval_id ?? '';
  };
  return { tenants, vault, clock, person, agent, id, token, status, give };
}

describe('a change of a protected credential by others than the person', () => {
  const OTHERS: readonly (readonly [name: string, change: Partial<Caller>])[] = [
    ['a model over MCP', { edge: 'mcp' }],
    ['a REST client', { edge: 'rest', api_key_id: undefined }],
    ['the library', { edge: 'library' }],
    ['the command line of a server', { edge: 'cli', api_key_id: '01890a5d-0000-7000-8000-0000000000aa' }],
  ];

  test.each(OTHERS.slice(0, 3))('%s changes nothing but values, and those wait', async (_, change) => {
    const { vault, person, id, token, tenants } = await protectedGithub();
    const other: Caller = { ...tenants.operator(), ...change };
    const before = await vault.status(person, GITHUB);
    const refused = 'FORBIDDEN credential_protected';
    const { credentials } = vault;
    expect(await outcomeOf(vault.delete(other, GITHUB))).toBe(refused);
    expect(await outcomeOf(credentials.delete(other, id))).toBe(refused);
    expect(await outcomeOf(credentials.change(other, id, { inactive: true }))).toBe(refused);
    expect(await outcomeOf(credentials.change(other, id, { name: 'mine' }))).toBe(refused);
    const replacement = { credential_type: 'bearer', credentials: { github_token: NEW } } as const;
    expect(await outcomeOf(credentials.replace(other, id, replacement))).toBe(refused);
    expect(await outcomeOf(vault.stacks.delete(other, 'default'))).toBe(refused);
    await vault.stacks.addService(other, 'default', 'github', null);
    expect(await outcomeOf(vault.stacks.removeService(other, 'default', 'github'))).toBe(refused);
    const policy = vault.use_policies.set(other, { ...GITHUB, use_policy: { methods: ['GET'] } });
    expect(await outcomeOf(policy)).toBe(refused);
    expect(await outcomeOf(vault.store(other, bearer(NEW), { refuse_protected: true }))).toBe(refused);
    const update = { ...GITHUB, credentials: { github_token: NEW } };
    expect(await outcomeOf(vault.update(other, update, { refuse_protected: true }))).toBe(refused);
    expect(await vault.status(person, GITHUB)).toEqual(before);
    expect(await token()).toBe(OLD);
    const { entries } = await vault.listAudit(person, { outcome: 'denied' });
    const denied = entries.filter(({ reason }) => reason === 'protected').map(({ action }) => action);
    expect([...new Set(denied)].sort()).toEqual(['delete', 'set_use_policy', 'store', 'update']);
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test.each(OTHERS)('%s neither protects a credential nor ends that', async (_, change) => {
    const { vault, person, tenants, status } = await protectedGithub();
    const other: Caller = { ...tenants.operator(), ...change };
    expect(await outcomeOf(vault.setProtected(other, GITHUB, false))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.store(other, bearer(NEW), { protect: false }))).toBe('FORBIDDEN');
    expect(await status()).toMatchObject({ protected: true, pending_approval: null });
    const { entries } = await vault.listAudit(person, { outcome: 'denied', action: 'set_protected' });
    expect(entries).toMatchObject([{ reason: 'not a person' }]);
  });

  test.each(OTHERS)('%s does not decide on values that wait', async (_, change) => {
    const { vault, tenants, give, token } = await protectedGithub();
    const other: Caller = { ...tenants.operator(), ...change };
    const id = await give();
    expect(await outcomeOf(vault.approvals.approve(other, id))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.approvals.deny(other, id))).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.approvals.list(other))).toBe('FORBIDDEN');
    expect(await token()).toBe(OLD);
  });

  test('values that could not be stored are refused at once and not kept', async () => {
    const { vault, agent, status } = await protectedGithub();
    const long = vault.store(agent, bearer('x'.repeat(VALUE_MAX_BYTES + 1)));
    expect(await outcomeOf(long)).toBe('INVALID_INPUT');
    const unknown = vault.update(agent, { ...GITHUB, credentials: { no_such_field: 'x' } });
    expect(await outcomeOf(unknown)).toBe('INVALID_INPUT');
    expect((await status()).pending_approval).toBeNull();
  });

  test('a host without the secrets is refused at once: the stored secrets would be sent there', async () => {
    const { vault, person, agent } = await protectedGithub();
    const grafana = { service_id: 'grafana' };
    const credentials = { grafana_host: 'a.grafana.net', grafana_token: 'glsa_0123456789' };
    await vault.update(person, { ...grafana, credentials }, { protect: true });
    const host = { ...grafana, credentials: { grafana_host: 'b.grafana.net' } };
    expect(await outcomeOf(vault.update(agent, host))).toBe('INVALID_INPUT destination_changed');
    const both = await vault.update(agent, {
      ...grafana,
      credentials: { ...host.credentials, grafana_token: 'glsa_9876543210' },
    });
    const approval = await vault.approvals.get(person, both.pending_approval?.approval_id ?? '');
    expect(approval.bound_origins).toEqual(['https://a.grafana.net']);
    expect(approval.new_origins).toEqual(['https://b.grafana.net']);
    await vault.approvals.approve(person, approval.id);
    expect(await vault.status(person, grafana)).toMatchObject({ destination: ['https://b.grafana.net'] });
  });

  test('more values than the limit are refused, and a newer one for the same credential is not', async () => {
    const { vault, person, agent, give } = await protectedGithub();
    for (let at = 1; at < PENDING_VALUES_PER_USER_MAX; at++) {
      await vault.store(person, { ...bearer(OLD), name: `n${at}` }, { protect: true });
      await vault.store(agent, { ...bearer(NEW), name: `n${at}` });
    }
    await give();
    await vault.store(person, { ...bearer(OLD), name: 'last' }, { protect: true });
    const { code, message } = await errorOf(vault.store(agent, { ...bearer(NEW), name: 'last' }));
    expect([code, message]).toEqual(['RATE_LIMITED', expect.stringContaining('keyhold approvals list')]);
    expect(await give()).not.toBe('');
    expect(await vault.approvals.list(person)).toHaveLength(PENDING_VALUES_PER_USER_MAX);
  });

  test('the key of a user who was removed gives no values', async () => {
    const { tenants, vault, person } = await protectedGithub();
    const made = await vault.api_keys.create(person, {});
    const caller = await tenants.caller(made.key);
    await vault.api_keys.revoke(person, made.id);
    expect(await outcomeOf(vault.store(caller, bearer(NEW)))).toBe('UNAUTHENTICATED');
    expect(await vault.approvals.list(person)).toEqual([]);
  });
});

describe('values that wait', () => {
  test('the response and the status name the approval and the command, and the credential is unchanged', async () => {
    const { vault, agent, status, token, id, clock } = await protectedGithub();
    const before = await status();
    const stored = await vault.store(agent, bearer(NEW));
    const approval_id = stored.pending_approval?.approval_id ?? '';
    const pending_approval = {
      approval_id,
      fields: ['github_token'],
      requested_at: clock.in(0),
      expires_at: clock.in(PENDING_VALUES_AGE_MS),
      command: `keyhold approvals approve ${approval_id}`,
    };
    expect(stored).toMatchObject({ status: 'pending_approval', credential_id: id, updated_fields: [] });
    expect(stored.pending_approval).toEqual(pending_approval);
    expect(await status()).toEqual({ ...before, protected: true, pending_approval });
    const { credentials } = await vault.listCredentials(agent, {});
    expect(credentials).toMatchObject([{ protected: true, pending_approval }]);
    expect(await token()).toBe(OLD);
    const updated = await vault.update(agent, { ...GITHUB, credentials: { github_token: NEW } });
    expect(updated).toMatchObject({
      message: 'The values wait for approval',
      status: 'pending_approval',
      updated_fields: [],
    });
  });

  test('an approval shows fields, service, stack and caller, and no value', async () => {
    const { vault, person, give, id } = await protectedGithub();
    const approval = await give();
    const [listed, ...others] = await vault.approvals.list(person);
    expect(others).toEqual([]);
    expect(listed).toMatchObject({
      id: approval,
      kind: 'stored_values',
      state: 'pending',
      service_id: 'github',
      stack_id: 'default',
      user: 'me',
      credential_id: id,
      requested_by: 'mcp, client agent 1.0',
      fields: ['github_token'],
      bound_origins: expect.arrayContaining(['https://api.github.com']),
      new_origins: listed?.bound_origins,
      summary: 'GitHub gets new values: github_token',
    });
    expect(await vault.approvals.get(person, approval)).toEqual(listed);
    expect(JSON.stringify(listed)).not.toContain(NEW);
  });

  test('approving stores them and deletes what waited', async () => {
    const { vault, person, give, token, status, id } = await protectedGithub();
    const approval = await give();
    expect(await vault.approvals.approve(person, approval)).toMatchObject({ state: 'approved' });
    expect(await token()).toBe(NEW);
    expect(await status()).toMatchObject({ credential_id: id, protected: true, pending_approval: null });
    expect(await outcomeOf(vault.approvals.approve(person, approval))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.approvals.deny(person, approval))).toBe('NOT_FOUND');
    const { entries } = await vault.listAudit(person, { credential_id: id });
    expect(entries.map(({ action, fields, edge }) => [action, fields, edge]).slice(0, 3)).toEqual([
      ['reveal', ['github_token'], 'cli'],
      ['approve_values', ['github_token'], 'cli'],
      ['request_values', ['github_token'], 'mcp'],
    ]);
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test('denying deletes them and changes nothing', async () => {
    const { vault, person, give, token, status } = await protectedGithub();
    const approval = await give();
    expect(await vault.approvals.deny(person, approval)).toMatchObject({ state: 'denied' });
    expect(await outcomeOf(vault.approvals.approve(person, approval))).toBe('NOT_FOUND');
    expect(await token()).toBe(OLD);
    expect((await status()).pending_approval).toBeNull();
    const { entries } = await vault.listAudit(person, { action: 'deny_values' });
    expect(entries).toMatchObject([{ outcome: 'allowed', record_id: approval, fields: ['github_token'] }]);
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test('newer ones replace the older, whose approval is unknown then', async () => {
    const { vault, person, give, token } = await protectedGithub();
    const first = await give('ghp_first');
    const second = await give('ghp_second');
    expect(await outcomeOf(vault.approvals.approve(person, first))).toBe('NOT_FOUND');
    expect((await vault.approvals.list(person)).map(({ id }) => id)).toEqual([second]);
    await vault.approvals.approve(person, second);
    expect(await token()).toBe('ghp_second');
  });

  test('expired ones are not shown, cannot be approved or denied, and are deleted', async () => {
    const { vault, person, give, clock, token, status, tenants } = await protectedGithub();
    const approval = await give();
    clock.advance(PENDING_VALUES_AGE_MS - 1);
    expect(await vault.approvals.list(person)).toHaveLength(1);
    clock.advance(1);
    expect(await vault.approvals.list(person)).toEqual([]);
    expect((await status()).pending_approval).toBeNull();
    expect(await outcomeOf(vault.approvals.approve(person, approval))).toBe('NOT_FOUND');
    expect(await outcomeOf(vault.approvals.deny(person, approval))).toBe('NOT_FOUND');
    expect(await token()).toBe(OLD);
    // Another process opens the vault: its first list deletes them.
    const other = await openTenants(tenants.home, clock);
    expect(await countPending(tenants.home)).toBe(1);
    await other.vault.approvals.list(person);
    await expect.poll(() => countPending(tenants.home)).toBe(0);
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test('a credential that the person has changed meanwhile keeps its values', async () => {
    const { vault, person, give, token } = await protectedGithub();
    const approval = await give();
    await vault.store(person, bearer('ghp_second_of_the_person'));
    const { code, message } = await errorOf(vault.approvals.approve(person, approval));
    expect([code, message]).toEqual(['CONFLICT', expect.stringContaining('has changed since')]);
    expect(await token()).toBe('ghp_second_of_the_person');
    expect(await outcomeOf(vault.approvals.deny(person, approval))).toBe('ok');
  });

  test('a refusal by the service does not count as a change', async () => {
    const { vault, agent, person, give, token, status } = await protectedGithub();
    const approval = await give();
    await vault.uses.findings.reject(agent, await vault.uses.find(agent, GITHUB), 401);
    expect((await status()).status).toBe('rejected');
    await vault.approvals.approve(person, approval);
    expect(await token()).toBe(NEW);
    expect((await status()).status).toBe('active');
  });

  test.each([
    ['deleting the credential', 'delete'],
    ['deleting its stack', 'delete_stack'],
    ['renaming it', 'rename'],
    ['ending its protection', 'unprotect'],
  ])('%s deletes them', async (_, how) => {
    const { vault, person, give, id, tenants } = await protectedGithub();
    const approval = await give();
    expect(await countPending(tenants.home)).toBe(1);
    if (how === 'delete') await vault.delete(person, GITHUB);
    if (how === 'delete_stack') await vault.stacks.delete(person, 'default');
    if (how === 'rename') await vault.credentials.change(person, id, { name: 'work' });
    if (how === 'unprotect') await vault.setProtected(person, GITHUB, false);
    expect(await countPending(tenants.home)).toBe(0);
    expect(await outcomeOf(vault.approvals.approve(person, approval))).toBe('NOT_FOUND');
    // A credential that takes the reference later inherits nothing.
    await vault.store(person, bearer('ghp_later'), { protect: true });
    expect((await vault.status(person, GITHUB)).pending_approval).toBeNull();
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test('a sealed value is used up when it is given, whatever the person decides', async () => {
    const { vault, agent, person, token } = await protectedGithub();
    const sealed = await sealFor(await vault.sealingKey(agent), NEW, {
      service: 'github',
      field: 'github_token',
    });
    const { pending_approval } = await vault.store(agent, bearer(sealed));
    expect(await outcomeOf(vault.store(agent, bearer(sealed)))).toBe('INVALID_INPUT sealed_value_unreadable');
    await vault.approvals.approve(person, pending_approval?.approval_id ?? '');
    expect(await token()).toBe(NEW);
  });

  test('storing keeps and removes the same fields as without protection', async () => {
    const { vault, agent, person } = await protectedGithub();
    const gmail = { service_id: 'gmail' };
    const fields = {
      gmail_oauth_token: 'ya29.old',
      gmail_refresh_token: '1//old',
      gmail_client_id: 'client',
    };
    await vault.update(person, { ...gmail, credentials: fields }, { protect: true });
    const given = { ...gmail, credential_type: 'bearer', credential_value: 'ya29.new' } as const;
    const stored = await vault.store(agent, given);
    expect(stored).toMatchObject({ kept_fields: Object.keys(fields), removed_fields: [] });
    await vault.approvals.approve(person, stored.pending_approval?.approval_id ?? '');
    const { entries } = await vault.listAudit(person, { action: 'approve_values' });
    expect(entries).toMatchObject([
      { kept_fields: ['gmail_client_id'], removed_fields: ['gmail_refresh_token'] },
    ]);
  });

  test('they are in no file, list, status or audit entry', async () => {
    const { vault, agent, person, give, tenants } = await protectedGithub();
    const canary = newCanary();
    const approval = await give(canary.value);
    const shown = [
      await vault.approvals.list(person),
      await vault.status(agent, GITHUB),
      await vault.listCredentials(agent, {}),
      await errorOf(vault.store(agent, bearer(canary.value), { refuse_protected: true })),
      await errorOf(vault.delete(agent, GITHUB)),
      await vault.approvals.deny(person, approval),
      await errorOf(vault.approvals.approve(person, approval)),
      await vault.listAudit(person),
    ];
    expect(findCanary(JSON.stringify(shown), canary)).toEqual([]);
    expect(findCanaryInFiles(tenants.home, canary)).toEqual([]);
  });
});

describe('the person', () => {
  test('changes a protected credential directly', async () => {
    const { vault, person, token, id } = await protectedGithub();
    expect((await vault.store(person, bearer('ghp_2'))).status).toBe('stored');
    expect(await token()).toBe('ghp_2');
    await vault.use_policies.set(person, { ...GITHUB, use_policy: { methods: ['GET'] } });
    await vault.credentials.change(person, id, { inactive: true });
    expect(await vault.status(person, GITHUB)).toMatchObject({ protected: true, status: 'inactive' });
    await vault.delete(person, GITHUB);
    expect((await vault.status(person, GITHUB)).status).toBe('missing');
  });

  test('ends the protection, and the agent changes the credential again', async () => {
    const { vault, person, agent, token } = await protectedGithub();
    expect(await vault.setProtected(person, GITHUB, false)).toMatchObject({ protected: false });
    expect((await vault.store(agent, bearer(NEW))).status).toBe('stored');
    expect(await token()).toBe(NEW);
    const { entries } = await vault.listAudit(person, { action: 'set_protected' });
    expect(entries[0]?.changes).toEqual([{ what: 'protection', from: 'protected', to: 'unprotected' }]);
    const missing = vault.setProtected(person, { service_id: 'linear' }, true);
    expect(await outcomeOf(missing)).toBe('NOT_FOUND');
  });
});

describe('two vaults on one file', () => {
  test.each([
    ['approve', 'deny'],
    ['deny', 'approve'],
    ['approve', 'approve'],
  ] as const)('of %s and %s at the same time one wins', async (first, second) => {
    const one = await protectedGithub();
    const other = await protectedGithub(one.tenants.home);
    const id = await one.give();
    const outcomes = await Promise.all([
      outcomeOf(one.vault.approvals[first](one.person, id)),
      outcomeOf(other.vault.approvals[second](other.person, id)),
    ]);
    expect(outcomes.toSorted()).toEqual(['NOT_FOUND', 'ok']);
    const winner = outcomes[0] === 'ok' ? first : second;
    expect(await one.token()).toBe(winner === 'approve' ? NEW : OLD);
    expect(await one.vault.verifyAudit(one.person)).toMatchObject({ ok: true });
  });

  test('values given while the person changes the credential are never stored unseen', async () => {
    const one = await protectedGithub();
    const other = await protectedGithub(one.tenants.home);
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => [
        one.vault.store(one.person, bearer(`ghp_person_${at}`)),
        other.give(`ghp_agent_${at}`),
      ]).flat(),
    );
    expect(await one.token()).toMatch(/^ghp_person_/);
    expect(await one.vault.approvals.list(one.person)).toHaveLength(1);
    expect(await one.vault.verifyAudit(one.person)).toMatchObject({ ok: true });
  });
});
