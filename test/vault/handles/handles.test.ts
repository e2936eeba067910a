/** Handles in the vault: who may use one, for which fields, how often and how long. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import type { HandleInput } from '../../../src/contract/handle.ts';
import {
  HANDLE_AGE_MS,
  HANDLE_KEPT_MS,
  HANDLES_PENDING_PER_USER_MAX,
  VALUE_MAX_BYTES,
} from '../../../src/contract/limits.ts';
import { filesUnder, findCanary, findCanaryInFiles, findTexts, newCanary } from '../../kit/canary.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { INTRANET } from '../../kit/vault/custom_service.ts';
import { readRowsOfKind } from '../../kit/vault/database.ts';
import { createAcme, openTenants, revealValues, withoutScopes } from '../../kit/vault/tenants.ts';

const LINEAR = { service_id: 'linear' };
const BEARER: HandleInput = { ...LINEAR, credential_type: 'bearer' };
const GRAFANA = { service_id: 'grafana' };
const GRAFANA_VALUES = { grafana_token: 'glsa_0123456789', grafana_host: 'a.grafana.net' };
const VALUE = { linear_api_key: 'lin_api_typed_by_a_person' };

/** The same user, at a page, without the API key of the agent. */
function personOf(caller: Caller): Caller {
  return { ...caller, edge: 'web', api_key_id: undefined, is_person: true };
}

async function openLocal() {
  const tenants = await openTenants();
  const agent: Caller = { ...tenants.operator(), edge: 'mcp', claimed_client: 'agent 1.0' };
  return { tenants, vault: tenants.vault, clock: tenants.clock, agent, person: personOf(agent) };
}

/** Writes the definition of a custom service, whose values are sent to `host`. */
function defineIntranet(home: string, host: string): void {
  mkdirSync(join(home, 'services'), { recursive: true });
  const definition = { ...INTRANET, hosts: [host] };
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify(definition));
}

describe('a handle of another caller', () => {
  test('is unknown to another user, another API key and another organization', async () => {
    const { tenants, ann, bob } = await createAcme();
    const { vault } = tenants;
    const { handle } = await vault.handles.create(ann, BEARER);
    const second_key = await tenants.user('acme', 'ann');
    const stranger = await tenants.user('other', 'ann');
    for (const caller of [bob, stranger, second_key, personOf(ann)])
      expect(await outcomeOf(vault.handles.status(caller, handle))).toBe('NOT_FOUND');
    for (const person of [personOf(bob), personOf(stranger)]) {
      expect(await outcomeOf(vault.handles.open(person, handle))).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.handles.complete(person, handle, VALUE))).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.handles.decline(person, handle))).toBe('NOT_FOUND');
    }
    expect(await vault.handles.status(ann, handle)).toMatchObject({ state: 'pending' });
    expect(await vault.status(ann, LINEAR)).toMatchObject({ status: 'missing' });
    expect(await vault.status(bob, LINEAR)).toMatchObject({ status: 'missing' });
  });

  test('that another user opens or completes is in the audit log', async () => {
    const { tenants, ann, bob, admin } = await createAcme();
    const { handle } = await tenants.vault.handles.create(ann, BEARER);
    await outcomeOf(tenants.vault.handles.complete(personOf(bob), handle, VALUE));
    const { entries } = await tenants.vault.listAudit(admin, { outcome: 'denied' });
    expect(entries).toMatchObject([
      { action: 'complete_handle', user: 'bob', reason: 'handle of another caller', fields: [] },
    ]);
  });

  test('an unknown handle, and a text that is not a handle, are NOT_FOUND', async () => {
    const { vault, agent, person } = await openLocal();
    for (const handle of ['', 'x', 'A'.repeat(22), 'A'.repeat(10_000), '../../etc/passwd', '__proto__']) {
      expect(await outcomeOf(vault.handles.status(agent, handle))).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.handles.open(person, handle))).toBe('NOT_FOUND');
      expect(await outcomeOf(vault.handles.complete(person, handle, VALUE))).toBe('NOT_FOUND');
    }
  });
});

describe('a handle that has ended', () => {
  test('is expired after ten minutes, stores nothing, and is deleted an hour later', async () => {
    const { vault, clock, agent, person, tenants } = await openLocal();
    const { handle, expires_at } = await vault.handles.create(agent, BEARER);
    expect(expires_at).toBe(clock.in(HANDLE_AGE_MS));
    clock.advance(HANDLE_AGE_MS - 1);
    expect(await vault.handles.open(person, handle)).toMatchObject({ service_id: 'linear' });
    clock.advance(1);
    expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'expired' });
    expect(await outcomeOf(vault.handles.open(person, handle))).toBe('EXPIRED handle_expired');
    expect(await outcomeOf(vault.handles.complete(person, handle, VALUE))).toBe('EXPIRED handle_expired');
    expect(await outcomeOf(vault.handles.decline(person, handle))).toBe('EXPIRED handle_expired');
    expect(await vault.status(agent, LINEAR)).toMatchObject({ status: 'missing' });
    clock.advance(HANDLE_KEPT_MS);
    // Another process sweeps with its first handle.
    const other = await openTenants(tenants.home, clock);
    await other.vault.handles.create(agent, BEARER);
    await expect.poll(() => outcomeOf(vault.handles.status(agent, handle))).toBe('NOT_FOUND');
    expect(await readRowsOfKind(tenants.home, 'handle')).toHaveLength(1);
  });

  test('is used once: a second completion changes nothing', async () => {
    const { vault, agent, person, tenants } = await openLocal();
    const { handle } = await vault.handles.create(agent, BEARER);
    const { credential_id } = await vault.handles.complete(person, handle, VALUE);
    expect(await outcomeOf(vault.handles.open(person, handle))).toBe('EXPIRED handle_used');
    const again = vault.handles.complete(person, handle, { linear_api_key: 'another' });
    expect(await outcomeOf(again)).toBe('EXPIRED handle_used');
    expect(await outcomeOf(vault.handles.decline(person, handle))).toBe('EXPIRED handle_used');
    const owner = { ...tenants.operator(), scopes: new Set([...agent.scopes, 'values:reveal' as const]) };
    expect(await revealValues(tenants, owner, credential_id)).toEqual(VALUE);
  });

  test('completed twice at the same time stores one of the values', async () => {
    const { vault, agent, person } = await openLocal();
    const { handle } = await vault.handles.create(agent, BEARER);
    const outcomes = await Promise.all(
      ['one', 'two', 'three'].map((linear_api_key) =>
        outcomeOf(vault.handles.complete(person, handle, { linear_api_key })),
      ),
    );
    expect(outcomes.sort()).toEqual(['EXPIRED handle_used', 'EXPIRED handle_used', 'ok']);
    expect((await vault.listAudit(agent, { action: 'store' })).entries).toHaveLength(1);
  });

  test('is declined by the person or by its caller, and stores nothing', async () => {
    const { vault, agent, person } = await openLocal();
    for (const who of [person, agent]) {
      const { handle } = await vault.handles.create(agent, BEARER);
      await vault.handles.decline(who, handle);
      expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'declined' });
      expect(await outcomeOf(vault.handles.complete(person, handle, VALUE))).toBe('EXPIRED handle_declined');
      expect(await outcomeOf(vault.handles.decline(who, handle))).toBe('EXPIRED handle_declined');
    }
    expect(await vault.status(agent, LINEAR)).toMatchObject({ status: 'missing' });
  });

  test('has expired when the API key that requested it is revoked', async () => {
    const { tenants } = await createAcme();
    const { vault } = tenants;
    const { key, id } = await tenants.newKey({ organization: 'acme', user: 'ann' });
    const agent = await tenants.caller(key);
    const { handle } = await vault.handles.create(agent, BEARER);
    const person = personOf(agent);
    await vault.handles.open(person, handle);
    await vault.api_keys.revoke(await tenants.admin('acme'), id);
    expect(await outcomeOf(vault.handles.open(person, handle))).toBe('EXPIRED handle_expired');
    expect(await outcomeOf(vault.handles.complete(person, handle, VALUE))).toBe('EXPIRED handle_expired');
    expect(await vault.status(person, LINEAR)).toMatchObject({ status: 'missing' });
    expect(await outcomeOf(vault.handles.create(agent, BEARER))).toBe('UNAUTHENTICATED');
  });
});

describe('the limits of a handle', () => {
  test('a caller requests only what it could store itself', async () => {
    const { tenants } = await createAcme();
    const { vault } = tenants;
    const limited = await tenants.user('acme', 'ann', { allowed_services: ['github'], stack_id: 'work' });
    expect(await outcomeOf(vault.handles.create(limited, BEARER))).toBe('FORBIDDEN');
    const other_stack = vault.handles.create(limited, { service_id: 'github', stack_id: 'default' });
    expect(await outcomeOf(other_stack)).toBe('NOT_FOUND stack_missing');
    const reader = withoutScopes(limited, 'credentials:write');
    expect(await outcomeOf(vault.handles.create(reader, { service_id: 'github' }))).toBe('FORBIDDEN');
    const { handle } = await vault.handles.create(limited, { service_id: 'github' });
    expect(await vault.handles.status(limited, handle)).toMatchObject({ stack_id: 'work' });
    // A page that was opened with a narrower key does not complete it.
    const program = await tenants.user('acme', 'ann', { allowed_services: ['linear'] });
    const narrow = { ...program, edge: 'web' } as const;
    const completed = vault.handles.complete(narrow, handle, { github_token: 'ghp_x' });
    expect(await outcomeOf(completed)).toBe('FORBIDDEN');
    expect(await outcomeOf(vault.handles.open(narrow, handle))).toBe('FORBIDDEN');
    // A program with another key does not see that it exists.
    expect(await outcomeOf(vault.handles.decline(program, handle))).toBe('NOT_FOUND');
  });

  test(`a user has at most ${HANDLES_PENDING_PER_USER_MAX} that wait; those that ended do not count`, async () => {
    const { vault, clock, agent, person } = await openLocal();
    let last = '';
    for (let count = 0; count < HANDLES_PENDING_PER_USER_MAX; count++)
      last = (await vault.handles.create(agent, BEARER)).handle;
    expect(await outcomeOf(vault.handles.create(agent, BEARER))).toBe('RATE_LIMITED');
    await vault.handles.decline(person, last);
    await vault.handles.create(agent, BEARER);
    expect(await outcomeOf(vault.handles.create(agent, BEARER))).toBe('RATE_LIMITED');
    clock.advance(HANDLE_AGE_MS);
    expect(await outcomeOf(vault.handles.create(agent, BEARER))).toBe('ok');
  });

  test('a request for a service, a type, a field, a stack or a name that there cannot be is refused', async () => {
    const { vault, agent } = await openLocal();
    const requests: readonly (readonly [HandleInput, string])[] = [
      [{ service_id: 'no-such-service' }, 'NOT_FOUND'],
      [{ ...LINEAR, credential_type: 'basic' }, 'INVALID_INPUT'],
      [{ ...LINEAR, fields: ['github_token'] }, 'INVALID_INPUT'],
      [{ ...BEARER, fields: ['linear_api_key'] }, 'INVALID_INPUT'],
      [{ ...LINEAR, fields: [] }, 'INVALID_INPUT'],
      [{ ...LINEAR, name: 'p\u0430ypal' }, 'INVALID_INPUT'],
      [{ ...LINEAR, name: 'a\u202eb' }, 'INVALID_INPUT'],
      [{ ...LINEAR, stack_id: 'stack_00000000000000000000000000000000' }, 'NOT_FOUND'],
    ];
    for (const [input, code] of requests)
      expect(await outcomeOf(vault.handles.create(agent, input))).toMatch(new RegExp(`^${code}`));
  });

  test('a person enters only the fields of the handle, and all required ones', async () => {
    const { vault, agent, person } = await openLocal();
    const { handle, fields } = await vault.handles.create(agent, GRAFANA);
    expect(fields).toEqual(['grafana_token', 'grafana_host']);
    const refused = async (values: Record<string, string>) =>
      (await errorOf(vault.handles.complete(person, handle, values))).message;
    expect(await refused({ ...GRAFANA_VALUES, other: 'x' })).toContain('Only these fields');
    expect(await refused({ grafana_token: 'glsa_0123456789', grafana_host: '  ' })).toBe(
      'Enter a value for Host.',
    );
    expect(await refused({})).toBe('Enter a value for Service account token, Host.');
    expect(await refused({ ...GRAFANA_VALUES, grafana_host: '127.0.0.1' })).not.toContain('127.0.0.1');
    expect(await refused({ ...GRAFANA_VALUES, grafana_token: 'x'.repeat(VALUE_MAX_BYTES + 1) })).toContain(
      'grafana_token',
    );
    expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'pending' });
    expect(await vault.handles.complete(person, handle, GRAFANA_VALUES)).toMatchObject({ fields });
  });

  test('a handle for one value writes no other field', async () => {
    const { vault, agent, person } = await openLocal();
    const { handle } = await vault.handles.create(agent, { ...GRAFANA, credential_type: 'bearer' });
    expect(await outcomeOf(vault.handles.complete(person, handle, GRAFANA_VALUES))).toBe('INVALID_INPUT');
    await vault.handles.complete(person, handle, { grafana_token: GRAFANA_VALUES.grafana_token });
    expect(await vault.status(agent, GRAFANA)).toMatchObject({ status: 'incomplete' });
  });
});

describe('a handle that a person completes', () => {
  test('stores the value as the person at the page, and its caller sees that it is done', async () => {
    const { vault, agent, person, tenants } = await openLocal();
    const created = await vault.handles.create(agent, { ...BEARER, name: 'work', stack_id: 'team' });
    expect(created.code).toMatch(/^[0-9A-HJKMNP-TV-Z]{3}-[0-9A-HJKMNP-TV-Z]{3}$/);
    const shown = await vault.handles.open(person, created.handle);
    expect(shown).toMatchObject({
      code: created.code,
      service_id: 'linear',
      stack_id: 'team',
      name: 'work',
      fields: [{ field_id: 'linear_api_key', required: true }],
      replaces: false,
      edge: 'mcp',
      claimed_client: 'agent 1.0',
      destination: ['https://api.linear.app', 'https://uploads.linear.app'],
    });
    const { credential_id } = await vault.handles.complete(person, created.handle, VALUE);
    const { state, stack_id, name } = await vault.handles.status(agent, created.handle);
    expect(state).toBe('done');
    const status = await vault.status(agent, { ...LINEAR, stack_id, name: name ?? undefined });
    expect(status).toMatchObject({ credential_id, status: 'active', modified_by: 'me' });
    const [stored, completed, , requested] = (await vault.listAudit(agent, { outcome: 'allowed' })).entries;
    expect(stored).toMatchObject({ action: 'store', edge: 'web', credential_id, fields: ['linear_api_key'] });
    expect(completed).toMatchObject({ action: 'complete_handle', edge: 'web', name: 'work' });
    expect(requested).toMatchObject({
      action: 'create_handle',
      edge: 'mcp',
      claimed_client: 'agent 1.0',
      record_id: completed?.record_id,
    });
    expect(await vault.verifyAudit(tenants.operator())).toMatchObject({ ok: true });
  });

  test('writes to a protected credential if a person does it, and not with an API key alone', async () => {
    const { vault, agent, person } = await openLocal();
    const command_line: Caller = { ...person, edge: 'cli' };
    const old = { ...LINEAR, credential_type: 'bearer', credential_value: 'old' } as const;
    await vault.store(command_line, old, { protect: true });
    const { handle } = await vault.handles.create(agent, BEARER);
    const program: Caller = { ...person, is_person: undefined };
    const refused = vault.handles.complete(program, handle, VALUE);
    expect(await outcomeOf(refused)).toBe('FORBIDDEN credential_protected');
    expect(await vault.status(agent, LINEAR)).toMatchObject({ pending_approval: null });
    await vault.handles.complete(person, handle, VALUE);
    expect(await vault.status(agent, LINEAR)).toMatchObject({ protected: true, pending_approval: null });
    expect(await vault.handles.status(agent, handle)).toMatchObject({ state: 'done' });
  });

  test('updates the missing fields; a missing host comes with the stored secrets', async () => {
    const { vault, agent, person } = await openLocal();
    await vault.update(agent, { ...GRAFANA, credentials: { grafana_token: 'glsa_0123456789' } });
    const { handle, fields } = await vault.handles.create(agent, GRAFANA);
    expect(fields).toEqual(['grafana_token', 'grafana_host']);
    expect(await vault.handles.open(person, handle)).toMatchObject({ replaces: true, destination: null });
    const only_host = vault.handles.complete(person, handle, { grafana_host: 'evil.example.com' });
    expect(await outcomeOf(only_host)).toBe('INVALID_INPUT');
    await vault.handles.complete(person, handle, GRAFANA_VALUES);
    expect(await vault.status(agent, GRAFANA)).toMatchObject({ destination: ['https://a.grafana.net'] });
    // Complete: all fields are offered, and none is required.
    const next = await vault.handles.create(agent, GRAFANA);
    expect(await vault.handles.open(person, next.handle)).toMatchObject({
      fields: [
        { field_id: 'grafana_token', required: false },
        { field_id: 'grafana_host', required: false },
      ],
    });
    const moved = vault.handles.complete(person, next.handle, { grafana_host: 'evil.example.com' });
    expect(await outcomeOf(moved)).toBe('INVALID_INPUT destination_changed');
    expect(await outcomeOf(vault.handles.complete(person, next.handle, {}))).toBe('INVALID_INPUT');
    await vault.handles.complete(person, next.handle, { grafana_token: 'glsa_9876543210' });
    const named = await vault.handles.create(agent, { ...GRAFANA, fields: ['grafana_host'] });
    expect(named.fields).toEqual(['grafana_token', 'grafana_host']);
  });

  test('has ended if the definition of a custom service has changed since', async () => {
    const { tenants, agent, person, clock } = await openLocal();
    defineIntranet(tenants.home, 'intranet.example.com');
    const first = await openTenants(tenants.home, clock);
    const { handle } = await first.vault.handles.create(agent, { service_id: 'intranet' });
    defineIntranet(tenants.home, 'evil.example.com');
    const second = await openTenants(tenants.home, clock);
    expect(await second.vault.handles.status(agent, handle)).toMatchObject({ state: 'expired' });
    const completed = second.vault.handles.complete(person, handle, { token: 'x' });
    expect(await outcomeOf(completed)).toBe('EXPIRED handle_expired');
  });

  test('keeps neither the value nor the handle in the files of the vault, in results or in the audit log', async () => {
    const { tenants, vault, agent, person } = await openLocal();
    const canary = newCanary();
    const { handle, ...created } = await vault.handles.create(agent, BEARER);
    const opened = await vault.handles.open(person, handle);
    const refused = await errorOf(
      vault.handles.complete(person, handle, { linear_api_key: `${canary.value}\n`.repeat(2) }),
    );
    const completed = await vault.handles.complete(person, handle, { linear_api_key: canary.value });
    const replayed = await errorOf(vault.handles.complete(person, handle, { linear_api_key: canary.value }));
    const shown = [
      created,
      opened,
      completed,
      await vault.handles.status(agent, handle),
      await vault.listAudit(tenants.operator()),
      refused.message,
      replayed.message,
    ];
    expect(findCanary(JSON.stringify(shown), canary)).toEqual([]);
    expect(JSON.stringify(shown)).not.toContain(handle);
    await vault.close();
    expect(findCanaryInFiles(tenants.home, canary)).toEqual([]);
    const files = new Map(filesUnder(tenants.home).map((path) => [path, readFileSync(path)]));
    expect(findTexts([handle], files)).toEqual([]);
  });
});
