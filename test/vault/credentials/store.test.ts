/** Storing, deleting and listing credentials, through a real vault file. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { decryptStoredValues, readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const GMAIL = { service_id: 'gmail' };

describe('storing a credential', () => {
  const DANUBE = {
    service_id: 'svc_openai_001',
    credential_type: 'bearer',
    credential_value: 'sk-proj-abc123...',
  } as const;

  test('store without a value is INVALID_INPUT and names the ways that keep the value out of the conversation', async () => {
    const { vault, caller, home } = await openTestVault();
    const { credential_value: _, ...without } = DANUBE;
    const { code, message } = await errorOf(vault.store(caller(), without));
    expect([code, message]).toEqual([
      'INVALID_INPUT',
      expect.stringMatching(/keyhold seal.*keyhold store openai/s),
    ]);
    expect(await readCredentialRows(home)).toEqual([]);
  });

  test('store without a value by a caller without the scope is FORBIDDEN and is in the audit log as denied', async () => {
    const { vault, caller } = await openTestVault();
    const { credential_value: _, ...without } = DANUBE;
    const reader: Caller = { ...caller(), scopes: new Set(['credentials:read']) };
    expect(await outcomeOf(vault.store(reader, without))).toBe('FORBIDDEN');
    const [entry] = (await vault.listAudit(caller())).entries;
    expect(entry).toMatchObject({ action: 'store', outcome: 'denied', service_id: 'openai' });
  });

  test('the name of the service means the credential without a name', async () => {
    const { vault, caller } = await openTestVault();
    const { credential_id } = await vault.store(caller(), DANUBE);
    const named = { service_id: 'openai', name: 'OpenAI' };
    expect((await vault.store(caller(), { ...DANUBE, name: 'OpenAI' })).credential_id).toBe(credential_id);
    expect((await vault.status(caller(), named)).status).toBe('active');
    await vault.delete(caller(), named);
    expect((await vault.status(caller(), { service_id: 'openai' })).status).toBe('missing');
  });

  test('store of a type with several values is INVALID_INPUT and names the fields', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'gmail', credential_type: 'google_oauth', credential_value: 'v' } as const;
    const { code, message } = await errorOf(vault.store(caller(), input));
    expect([code, message]).toEqual([
      'INVALID_INPUT',
      expect.stringMatching(/Update its fields.*gmail_oauth_token/),
    ]);
  });

  test('store as Danube documents it returns the documented result, credential id and status', async () => {
    const { vault, caller, home } = await openTestVault();
    const stored = await vault.store(caller(), DANUBE);
    expect(stored).toEqual({
      success: true,
      service_id: 'svc_openai_001',
      service_name: 'OpenAI',
      credential_type: 'bearer',
      credential_id: expect.stringMatching(
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
      status: 'stored',
      updated_fields: ['openai_api_key'],
      kept_fields: [],
      removed_fields: [],
    });
    expect(await decryptStoredValues(home, stored.credential_id)).toEqual({
      openai_api_key: 'sk-proj-abc123...',
    });
  });

  test('store by slug, alias, UUID and in any case means the same service', async () => {
    const { vault, caller } = await openTestVault();
    const { id } = vault.services.get('openai');
    const ids = new Set<string>();
    for (const service_id of ['openai', 'OpenAI', 'svc_openai_001', id, id.toUpperCase()]) {
      const stored = await vault.store(caller(), { ...DANUBE, service_id });
      expect(stored.service_id).toBe(service_id);
      ids.add(stored.credential_id);
    }
    expect(ids.size).toBe(1);
  });

  test('storing the token of Gmail again keeps client id and secret, and the audit entry names what stayed', async () => {
    const { vault, caller, home } = await openTestVault();
    const credentials = { gmail_oauth_token: 'old', gmail_client_id: 'id', gmail_client_secret: 'secret' };
    const { credential_id } = await vault.update(caller(), { ...GMAIL, credentials });
    const token = { ...GMAIL, credential_type: 'bearer', credential_value: 'new' } as const;
    const expected = {
      updated_fields: ['gmail_oauth_token'],
      kept_fields: ['gmail_client_id', 'gmail_client_secret'],
      removed_fields: [],
    };
    expect(await vault.store(caller(), token)).toMatchObject({ credential_id, ...expected });
    expect(await decryptStoredValues(home, credential_id ?? '')).toEqual({
      ...credentials,
      gmail_oauth_token: 'new',
    });
    const [entry] = (await vault.listAudit(caller(), { action: 'store' })).entries;
    const { fields, kept_fields, removed_fields } = entry ?? {};
    expect({ updated_fields: fields, kept_fields, removed_fields }).toEqual(expected);
  });

  test.each([
    ['github', 'github_token', 'github_refresh_token', 'github_client_id'],
    ['google', 'access_token', 'refresh_token', 'client_id'],
    ['aws', 'aws_secret_access_key', 'aws_session_token', 'aws_access_key_id'],
  ])('storing the value of %s again removes what was issued with the old one', async (...names) => {
    const [service_id, value, issued, other] = names;
    const { vault, caller, home } = await openTestVault();
    const credentials = { [value]: 'a'.repeat(40), [issued]: 'issued', [other]: 'kept-by-the-next-store' };
    const { credential_id } = await vault.update(caller(), { service_id, credentials });
    const stored = await vault.store(caller(), {
      service_id,
      credential_type: 'api_key',
      credential_value: 'b'.repeat(40),
    });
    expect([stored.kept_fields, stored.removed_fields]).toEqual([[other], [issued]]);
    expect(await decryptStoredValues(home, credential_id ?? '')).toEqual({
      [value]: 'b'.repeat(40),
      [other]: 'kept-by-the-next-store',
    });
    const [entry] = (await vault.listAudit(caller(), { action: 'store' })).entries;
    expect([entry?.kept_fields, entry?.removed_fields]).toEqual([[other], [issued]]);
  });

  test('storing another value of a service with two values keeps the token', async () => {
    const { vault, caller } = await openTestVault();
    const service_id = 'sharepoint_client_secret';
    await vault.store(caller(), { service_id, credential_type: 'bearer', credential_value: 'token' });
    const input = { service_id, credential_type: 'api_key', credential_value: 'secret' } as const;
    const stored = await vault.store(caller(), input);
    expect([stored.updated_fields, stored.kept_fields]).toEqual([['client_secret'], ['access_token']]);
  });

  test('an update names the fields that it kept in the audit log, and a replacement those that it removed', async () => {
    const { vault, caller } = await openTestVault();
    const credentials = { gmail_oauth_token: 'old', gmail_client_id: 'id' };
    const made = await vault.credentials.create(caller(), {
      ...GMAIL,
      credential_type: 'bearer',
      credentials,
    });
    await vault.update(caller(), { ...GMAIL, credentials: { gmail_client_secret: 's' } });
    await vault.credentials.replace(caller(), made.id, {
      credential_type: 'bearer',
      credentials: { gmail_oauth_token: 'new' },
    });
    const { entries } = await vault.listAudit(caller(), { action: 'update' });
    expect(entries.map((entry) => [entry.fields, entry.kept_fields, entry.removed_fields])).toEqual([
      [['gmail_oauth_token'], [], ['gmail_client_id', 'gmail_client_secret']],
      [['gmail_client_secret'], ['gmail_oauth_token', 'gmail_client_id'], []],
    ]);
  });

  test('storing a credential again replaces its value and type, and keeps its id and other fields', async () => {
    const { vault, caller, home } = await openTestVault();
    const first = await vault.store(caller(), DANUBE);
    await vault.update(caller(), { service_id: 'openai', credentials: { openai_project_id: 'project' } });
    const again = await vault.store(caller(), {
      ...DANUBE,
      credential_type: 'api_key',
      credential_value: 'sk-new',
    });
    expect(again).toEqual({ ...first, credential_type: 'api_key', kept_fields: ['openai_project_id'] });
    expect(await decryptStoredValues(home, first.credential_id)).toEqual({
      openai_api_key: 'sk-new',
      openai_project_id: 'project',
    });
    const status = await vault.status(caller(), { service_id: 'openai' });
    expect([status.credential_type, status.optional_credentials.openai_project_id]).toEqual([
      'api_key',
      'added',
    ]);
  });

  test('store under another name, stack or user creates another credential', async () => {
    const { vault, caller, home } = await openTestVault();
    const other_user = (): Caller => ({ ...caller(), user: 'somebody' });
    const stored = [
      await vault.store(caller(), DANUBE),
      await vault.store(caller(), { ...DANUBE, name: 'work' }),
      await vault.store(caller(), { ...DANUBE, stack_id: 'other' }),
      await vault.store(caller(), { ...DANUBE, name: 'default' }),
      await vault.store(other_user(), { ...DANUBE, credential_value: 'sk-theirs' }),
    ];
    expect(new Set(stored.map(({ credential_id }) => credential_id)).size).toBe(5);
    expect(await decryptStoredValues(home, stored[0]?.credential_id ?? '')).toEqual({
      openai_api_key: DANUBE.credential_value,
    });
    // A user cannot read or delete credentials of another user, even under the same names.
    await vault.delete(other_user(), { service_id: 'openai' });
    expect((await vault.status(caller(), { service_id: 'openai' })).status).toBe('active');
    expect((await vault.listCredentials(other_user(), {})).credentials).toEqual([]);
    expect((await vault.listCredentials(caller(), {})).credentials.map(({ name }) => name)).toEqual([
      'default',
      'work',
      null,
    ]);
  });

  test('store in the stack "default" and without a stack is the same', async () => {
    const { vault, caller } = await openTestVault();
    const one = await vault.store(caller(), DANUBE);
    expect((await vault.store(caller(), { ...DANUBE, stack_id: 'default' })).credential_id).toBe(
      one.credential_id,
    );
  });
});

describe('deleting a credential', () => {
  test('delete of a missing credential is NOT_FOUND and is in the audit log as denied', async () => {
    const { vault, caller } = await openTestVault();
    const { code, message } = await errorOf(vault.delete(caller(), { service_id: 'linear', name: 'work' }));
    expect([code, message]).toEqual(['NOT_FOUND', expect.stringContaining('no such credential')]);
    const [entry] = (await vault.listAudit(caller())).entries;
    expect(entry).toMatchObject({
      action: 'delete',
      outcome: 'denied',
      reason: 'not found',
      service_id: 'linear',
      // A name that no credential has may be a misplaced value.
      name: null,
      credential_id: null,
      revision: null,
    });
  });

  test('delete for an unknown service is NOT_FOUND and records none of the input', async () => {
    const { vault, caller, home } = await openTestVault();
    const { code, message } = await errorOf(vault.delete(caller(), { service_id: 'sk-canary' }));
    expect([code, message]).toEqual(['NOT_FOUND', expect.not.stringContaining('canary')]);
    const { entries } = await vault.listAudit(caller());
    expect(JSON.stringify(entries)).not.toContain('canary');
    expect(entries[0]).toMatchObject({
      action: 'delete',
      outcome: 'denied',
      reason: 'not found',
      service_id: null,
    });
    expect(await readCredentialRows(home)).toEqual([]);
  });

  test('delete removes the credential, and the next one stored has another id', async () => {
    const { vault, caller, home } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'lin_api_1' } as const;
    const { credential_id } = await vault.store(caller(), input);
    await vault.delete(caller(), { service_id: 'linear' });
    expect(await readCredentialRows(home)).toEqual([]);
    expect((await vault.status(caller(), { service_id: 'linear' })).status).toBe('missing');
    expect((await errorOf(vault.delete(caller(), { service_id: 'linear' }))).code).toBe('NOT_FOUND');
    expect((await vault.store(caller(), input)).credential_id).not.toBe(credential_id);
    expect((await vault.verifyAudit(caller())).findings).toEqual([]);
  });
});

describe('lists of credentials and services', () => {
  test('the list of statuses is newest first, at most 100, and reports that more exist', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    for (let at = 1; at <= 101; at++) await vault.store(caller(), { ...input, name: `${at}` });
    const { credentials, more } = await vault.listCredentials(caller(), {});
    expect([credentials.length, more]).toEqual([100, true]);
    expect(credentials.map(({ name }) => name)).toEqual(
      Array.from({ length: 100 }, (_, at) => `${101 - at}`),
    );
    await vault.delete(caller(), { service_id: 'linear', name: '50' });
    const fewer = await vault.listCredentials(caller(), {});
    expect([fewer.credentials.length, fewer.more]).toEqual([100, false]);
    // A credential that is not on the first page is found by its name.
    expect((await vault.listCredentials(caller(), { name: '1' })).credentials).toHaveLength(1);
  });

  test('the list of services shows a service as connected once every required field is present', async () => {
    const { vault, caller } = await openTestVault();
    const connected = async (stack_id?: string) =>
      (await vault.listServices(caller(), stack_id === undefined ? {} : { stack_id }))
        .filter((service) => service.connected)
        .map(({ service_id }) => service_id);
    await vault.update(caller(), { ...GMAIL, credentials: { gmail_oauth_token: 'token' } });
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: 'v',
      name: 'work',
    });
    expect(await connected()).toEqual(['linear']);
    await vault.update(caller(), { ...GMAIL, credentials: { gmail_client_id: 'client' } });
    expect([await connected(), await connected('other')]).toEqual([['gmail', 'linear'], []]);
  });
});
