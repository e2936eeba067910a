/** What the vault's operations promise, one sentence each, through a real vault file. */
import { describe, expect, test } from 'vitest';
import type { Caller, Scope } from '../../src/contract/caller.ts';
import { SCOPES } from '../../src/contract/caller.ts';
import { VaultError } from '../../src/contract/errors.ts';
import { entryRows, recordRows, storedValues } from '../kit/database.ts';
import { openTestVault } from '../kit/temp_vault.ts';

const GMAIL = { service_id: 'gmail' };
const TOOLROUTER_VALUES = {
  gmail_oauth_token: 'ya29.a0AfH6SMC...',
  gmail_client_id: '123456789-abcdef.apps.googleusercontent.com',
  gmail_client_secret: 'GOCSPX-abc123def456',
  gmail_signature: 'Best regards,\nJohn Doe',
};

async function refusal(operation: Promise<unknown>): Promise<VaultError> {
  try {
    await operation;
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('updating', () => {
  test('a service that there is not is NOT_FOUND, with the nearest and without what was asked', async () => {
    const { vault, caller, home } = await openTestVault();
    const error = await refusal(vault.update(caller(), { service_id: 'gmial', credentials: { a: 'b' } }));
    expect([error.code, error.message]).toEqual([
      'NOT_FOUND',
      expect.stringMatching(/^No such service\. Nearest: .*gmail/),
    ]);
    expect(error.message).not.toContain('gmial');
    expect([recordRows(home), entryRows(home).length]).toEqual([[], 1]);
  });

  test('a field that the service does not have is INVALID_INPUT with the ones it has, and none is written', async () => {
    const { vault, caller, home } = await openTestVault();
    const credentials = { ...TOOLROUTER_VALUES, 'sk-canary': 'sk-canary-value' };
    const { code, message } = await refusal(vault.update(caller(), { ...GMAIL, credentials }));
    expect(code).toBe('INVALID_INPUT');
    expect(message).toContain('Gmail does not have. Its fields: gmail_oauth_token, gmail_client_id');
    expect(message).not.toContain('canary');
    expect(recordRows(home)).toEqual([]);
  });

  test.each([
    ['__proto__', '{"__proto__":"sk-canary","gmail_oauth_token":"t"}'],
    ['constructor', '{"constructor":"sk-canary","gmail_oauth_token":"t"}'],
    ['toString', '{"toString":"sk-canary"}'],
  ])('a field called %s is refused like any other that there is not', async (_, json) => {
    const { vault, caller, home } = await openTestVault();
    const { code, message } = await refusal(
      vault.update(caller(), { ...GMAIL, credentials: JSON.parse(json) }),
    );
    expect([code, message]).toEqual(['INVALID_INPUT', expect.not.stringContaining('canary')]);
    expect(recordRows(home)).toEqual([]);
  });

  test('no field at all, or more than there may be, is INVALID_INPUT', async () => {
    const { vault, caller } = await openTestVault();
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`field_${at}`, 'v']));
    const none = await refusal(vault.update(caller(), { ...GMAIL, credentials: {} }));
    expect([none.code, none.message]).toEqual(['INVALID_INPUT', 'credentials must name at least one field.']);
    const too_many = await refusal(vault.update(caller(), { ...GMAIL, credentials: many }));
    expect([too_many.code, too_many.message]).toEqual([
      'INVALID_INPUT',
      'credentials must have at most 64 fields.',
    ]);
  });

  test('one bad value among good ones leaves the credential as it was', async () => {
    const { vault, caller, home } = await openTestVault();
    const { credential_id } = await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const before = recordRows(home);
    const credentials = { gmail_oauth_token: 'new', gmail_client_secret: 'has a space' };
    expect((await refusal(vault.update(caller(), { ...GMAIL, credentials }))).code).toBe('INVALID_INPUT');
    expect(recordRows(home)).toEqual(before);
    expect(storedValues(home, credential_id ?? '')).toEqual(TOOLROUTER_VALUES);
  });

  test('some fields first says which are missing, and the rest later that all are added', async () => {
    const { vault, caller } = await openTestVault();
    const before = await vault.status(caller(), GMAIL);
    expect([before.status, before.required_credentials_added, before.credential_id]).toEqual([
      'missing',
      false,
      null,
    ]);
    expect(before.required_credentials).toEqual({ gmail_oauth_token: 'missing', gmail_client_id: 'missing' });

    const { gmail_oauth_token, ...rest } = TOOLROUTER_VALUES;
    const first = await vault.update(caller(), { ...GMAIL, credentials: { gmail_oauth_token } });
    expect(first).toMatchObject({
      message: 'Credentials updated successfully',
      updated_fields: ['gmail_oauth_token'],
      status: 'incomplete',
      required_credentials: { gmail_oauth_token: 'added', gmail_client_id: 'missing' },
      required_credentials_added: false,
    });

    const second = await vault.update(caller(), { ...GMAIL, credentials: rest });
    expect(second).toMatchObject({
      status: 'active',
      required_credentials: { gmail_oauth_token: 'added', gmail_client_id: 'added' },
      optional_credentials: { gmail_client_secret: 'added', gmail_signature: 'added' },
      required_credentials_added: true,
      all_credentials_added: true,
      credential_id: first.credential_id,
      modified_by: 'me',
    });
    const { message: _message, updated_fields: _fields, ...status } = second;
    expect(await vault.status(caller(), GMAIL)).toEqual(status);
  });

  test('the token alone leaves the other values as they were', async () => {
    const { vault, caller, home } = await openTestVault();
    const made = await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    expect(storedValues(home, made.credential_id ?? '')).toEqual(TOOLROUTER_VALUES);
    const gmail_oauth_token = 'ya29.a0AfH6SMC_new_token...';
    const updated = await vault.update(caller(), { ...GMAIL, credentials: { gmail_oauth_token } });
    expect([updated.credential_id, updated.updated_fields]).toEqual([
      made.credential_id,
      ['gmail_oauth_token'],
    ]);
    expect(storedValues(home, made.credential_id ?? '')).toEqual({ ...TOOLROUTER_VALUES, gmail_oauth_token });
  });

  test('with the same values again changes the ciphertext, so that nobody can tell that they are the same', async () => {
    const { vault, caller, home } = await openTestVault();
    await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const [before] = recordRows(home);
    await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const [after] = recordRows(home);
    expect(after?.sealed_values.equals(before?.sealed_values ?? Buffer.alloc(0))).toBe(false);
    expect(after?.revision).toBe(2);
  });

  test('keeps the type that the credential was stored with', async () => {
    const { vault, caller } = await openTestVault();
    await vault.store(caller(), { ...GMAIL, credential_type: 'bearer', credential_value: 'token' });
    const updated = await vault.update(caller(), { ...GMAIL, credentials: { gmail_client_id: 'client' } });
    expect([updated.credential_type, updated.status]).toEqual(['bearer', 'active']);
  });
});

describe('storing', () => {
  const DANUBE = {
    service_id: 'svc_openai_001',
    credential_type: 'bearer',
    credential_value: 'sk-proj-abc123...',
  } as const;

  test('without a value is INVALID_INPUT and names the ways that keep it out of the conversation', async () => {
    const { vault, caller, home } = await openTestVault();
    const { credential_value: _, ...without } = DANUBE;
    const { code, message } = await refusal(vault.store(caller(), without));
    expect([code, message]).toEqual([
      'INVALID_INPUT',
      expect.stringMatching(/keyhold seal.*keyhold store openai/s),
    ]);
    expect(recordRows(home)).toEqual([]);
  });

  test('a type that is not one value is INVALID_INPUT and names the fields to give instead', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'gmail', credential_type: 'google_oauth', credential_value: 'v' } as const;
    const { code, message } = await refusal(vault.store(caller(), input));
    expect([code, message]).toEqual([
      'INVALID_INPUT',
      expect.stringMatching(/update_credentials.*gmail_oauth_token/),
    ]);
  });

  test('as Danube documents it gives what Danube answers, and the credential’s id and status', async () => {
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
    });
    expect(storedValues(home, stored.credential_id)).toEqual({ openai_api_key: 'sk-proj-abc123...' });
  });

  test('by slug, alias, UUID and in any case is one and the same service', async () => {
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

  test('again replaces everything and keeps the id', async () => {
    const { vault, caller, home } = await openTestVault();
    const first = await vault.store(caller(), DANUBE);
    await vault.update(caller(), { service_id: 'openai', credentials: { openai_project_id: 'project' } });
    const again = await vault.store(caller(), {
      ...DANUBE,
      credential_type: 'api_key',
      credential_value: 'sk-new',
    });
    expect(again).toEqual({ ...first, credential_type: 'api_key' });
    expect(storedValues(home, first.credential_id)).toEqual({ openai_api_key: 'sk-new' });
    const status = await vault.status(caller(), { service_id: 'openai' });
    expect([status.credential_type, status.optional_credentials.openai_project_id]).toEqual([
      'api_key',
      'missing',
    ]);
  });

  test('under another name, in another stack or by another user is another credential', async () => {
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
    expect(storedValues(home, stored[0]?.credential_id ?? '')).toEqual({
      openai_api_key: DANUBE.credential_value,
    });
    // Nobody sees or removes another user's, not even under the same names.
    await vault.delete(other_user(), { service_id: 'openai' });
    expect((await vault.status(caller(), { service_id: 'openai' })).status).toBe('active');
    expect((await vault.statusList(other_user(), {})).credentials).toEqual([]);
    expect((await vault.statusList(caller(), {})).credentials.map(({ name }) => name)).toEqual([
      'default',
      'work',
      null,
    ]);
  });

  test('in the stack "default" and in none is the same', async () => {
    const { vault, caller } = await openTestVault();
    const one = await vault.store(caller(), DANUBE);
    expect((await vault.store(caller(), { ...DANUBE, stack_id: 'default' })).credential_id).toBe(
      one.credential_id,
    );
  });
});

describe('deleting', () => {
  test('what is not there is NOT_FOUND, and the log says that it was refused', async () => {
    const { vault, caller } = await openTestVault();
    const { code, message } = await refusal(vault.delete(caller(), { service_id: 'linear', name: 'work' }));
    expect([code, message]).toEqual(['NOT_FOUND', expect.stringContaining('no such credential')]);
    const [entry] = (await vault.auditList(caller())).entries;
    expect(entry).toMatchObject({
      action: 'delete',
      outcome: 'denied',
      reason: 'not found',
      service_id: 'linear',
      name: 'work',
      credential_id: null,
      revision: null,
    });
  });

  test('for a service that there is not is NOT_FOUND and leaves no trace of what was asked', async () => {
    const { vault, caller, home } = await openTestVault();
    const { code, message } = await refusal(vault.delete(caller(), { service_id: 'sk-canary' }));
    expect([code, message]).toEqual(['NOT_FOUND', expect.not.stringContaining('canary')]);
    expect(JSON.stringify((await vault.auditList(caller())).entries)).not.toContain('canary');
    expect(recordRows(home)).toEqual([]);
  });

  test('takes the credential away, and what is stored next has another id', async () => {
    const { vault, caller, home } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'lin_api_1' } as const;
    const { credential_id } = await vault.store(caller(), input);
    await vault.delete(caller(), { service_id: 'linear' });
    expect(recordRows(home)).toEqual([]);
    expect((await vault.status(caller(), { service_id: 'linear' })).status).toBe('missing');
    expect((await refusal(vault.delete(caller(), { service_id: 'linear' }))).code).toBe('NOT_FOUND');
    expect((await vault.store(caller(), input)).credential_id).not.toBe(credential_id);
    expect((await vault.auditVerify(caller())).findings).toEqual([]);
  });
});

describe('lists', () => {
  test('of statuses are newest first, 100 at most, and say that there are more', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    for (let at = 1; at <= 101; at++) await vault.store(caller(), { ...input, name: `${at}` });
    const { credentials, more } = await vault.statusList(caller(), {});
    expect([credentials.length, more]).toEqual([100, true]);
    expect(credentials.map(({ name }) => name)).toEqual(
      Array.from({ length: 100 }, (_, at) => `${101 - at}`),
    );
    await vault.delete(caller(), { service_id: 'linear', name: '50' });
    const fewer = await vault.statusList(caller(), {});
    expect([fewer.credentials.length, fewer.more]).toEqual([100, false]);
    // One that does not fit on the first page is found by its name.
    expect((await vault.statusList(caller(), { name: '1' })).credentials).toHaveLength(1);
  });

  test('of services say which are connected in this stack, once every required field is there', async () => {
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

describe('a caller', () => {
  const without = (caller: Caller, ...gone: Scope[]): Caller => ({
    ...caller,
    scopes: new Set(SCOPES.filter((scope) => !gone.includes(scope))),
  });

  test('without credentials:write changes nothing, and each attempt is in the log', async () => {
    const { vault, caller, home } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'sk-canary' } as const;
    await vault.store(caller(), input);
    const before = recordRows(home);
    const reader = () => without(caller(), 'credentials:write');
    const attempts = [
      () => vault.store(reader(), { ...input, name: 'n' }),
      () => vault.update(reader(), { service_id: 'linear', credentials: { linear_api_key: 'sk-canary' } }),
      () => vault.delete(reader(), { service_id: 'linear' }),
    ];
    for (const attempt of attempts) {
      const error = await refusal(attempt());
      expect([error.code, error.message]).toEqual([
        'FORBIDDEN',
        expect.stringContaining('credentials:write'),
      ]);
    }
    expect(recordRows(home)).toEqual(before);
    const { entries } = await vault.auditList(caller(), { outcome: 'denied' });
    expect(entries.map(({ action, name, fields, reason }) => [action, name, fields, reason])).toEqual([
      ['delete', null, [], 'missing scope credentials:write'],
      ['update', null, [], 'missing scope credentials:write'],
      ['store', 'n', [], 'missing scope credentials:write'],
    ]);
    expect(JSON.stringify(entries)).not.toContain('canary');
    expect(await vault.status(reader(), { service_id: 'linear' })).toMatchObject({ status: 'active' });
  });

  test('without credentials:read learns nothing, and that is not logged one by one', async () => {
    const { vault, caller, home } = await openTestVault();
    await vault.store(caller(), { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' });
    const entries = entryRows(home).length;
    const writer = () => without(caller(), 'credentials:read');
    for (const attempt of [
      () => vault.status(writer(), { service_id: 'linear' }),
      () => vault.status(writer(), { service_id: 'notion' }),
      () => vault.statusList(writer(), {}),
      () => vault.listServices(writer(), {}),
    ]) {
      const error = await refusal(attempt());
      expect([error.code, error.message]).toEqual(['FORBIDDEN', expect.stringContaining('credentials:read')]);
    }
    expect(entryRows(home)).toHaveLength(entries);
  });

  test('without audit:read neither lists nor verifies the log', async () => {
    const { vault, caller } = await openTestVault();
    const blind = () => without(caller(), 'audit:read');
    expect((await refusal(vault.auditList(blind()))).code).toBe('FORBIDDEN');
    expect((await refusal(vault.auditVerify(blind()))).code).toBe('FORBIDDEN');
  });

  test('of an organization that there is not gets NOT_FOUND for everything', async () => {
    const { vault, caller, home } = await openTestVault();
    const stranger = (): Caller => ({ ...caller(), organization: 'elsewhere' });
    for (const attempt of [
      () => vault.status(stranger(), { service_id: 'linear' }),
      () => vault.update(stranger(), { service_id: 'linear', credentials: { linear_api_key: 'v' } }),
      () => vault.auditList(stranger()),
    ]) {
      expect((await refusal(attempt())).code).toBe('NOT_FOUND');
    }
    expect(entryRows(home)).toHaveLength(1);
  });

  test('on this machine has every scope but the one that reveals values', async () => {
    const { caller } = await openTestVault();
    expect([...caller().scopes].sort()).toEqual(
      SCOPES.filter((scope) => scope !== 'values:reveal').toSorted(),
    );
  });
});

test('both ciphers read what the other wrote', async () => {
  const first = await openTestVault();
  const xchacha = { KEYHOLD_CIPHER: 'xchacha20-poly1305' };
  await first.vault.update(first.caller(), { ...GMAIL, credentials: { gmail_oauth_token: 'aes' } });
  await first.vault.close();
  const second = await openTestVault(first.home, xchacha);
  const { credential_id } = await second.vault.update(second.caller(), {
    ...GMAIL,
    credentials: { gmail_client_id: 'xchacha' },
  });
  expect(recordRows(first.home)[0]?.sealed_values[1]).toBe(2);
  await second.vault.close();
  const third = await openTestVault(first.home);
  await third.vault.update(third.caller(), { ...GMAIL, credentials: { gmail_signature: 'aes again' } });
  expect(recordRows(first.home)[0]?.sealed_values[1]).toBe(1);
  expect(storedValues(first.home, credential_id ?? '')).toEqual({
    gmail_oauth_token: 'aes',
    gmail_client_id: 'xchacha',
    gmail_signature: 'aes again',
  });
  expect((await third.vault.auditVerify(third.caller())).findings).toEqual([]);
});
