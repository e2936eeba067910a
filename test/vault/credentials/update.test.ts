/** Updating the fields of a credential, through a real vault file. */
import { describe, expect, test } from 'vitest';
import { errorOf } from '../../kit/outcome.ts';
import { decryptStoredValues, readAuditEntryRows, readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const GMAIL = { service_id: 'gmail' };
const TOOLROUTER_VALUES = {
  gmail_oauth_token: 'ya29.a0AfH6SMC...',
  gmail_client_id: '123456789-abcdef.apps.googleusercontent.com',
  gmail_client_secret: 'GOCSPX-abc123def456',
  gmail_signature: 'Best regards,\nKeyhold',
};

describe('updating a credential', () => {
  test('update of an unknown service is NOT_FOUND with the nearest services and without the input', async () => {
    const { vault, caller, home } = await openTestVault();
    const error = await errorOf(vault.update(caller(), { service_id: 'gmial', credentials: { a: 'b' } }));
    expect([error.code, error.message]).toEqual([
      'NOT_FOUND',
      expect.stringMatching(/^No such service\. Nearest: .*gmail/),
    ]);
    expect(error.message).not.toContain('gmial');
    expect([await readCredentialRows(home), (await readAuditEntryRows(home)).length]).toEqual([[], 1]);
  });

  test('update with require_service_in_stack is NOT_FOUND unless the service is in the stack, before the input is validated', async () => {
    const { vault, caller, home } = await openTestVault();
    const required = { require_service_in_stack: true };
    const wrong = { ...GMAIL, credentials: { no_such_field: 'v' } };
    for (const [input, reason] of [
      [wrong, undefined],
      [{ ...wrong, service_id: 'x'.repeat(200) }, undefined],
      [{ ...wrong, stack_id: 'other' }, 'stack_missing'],
    ] as const) {
      const error = await errorOf(vault.update(caller(), input, required));
      expect([error.code, error.reason]).toEqual(['NOT_FOUND', reason]);
    }
    expect([await readCredentialRows(home), (await readAuditEntryRows(home)).length]).toEqual([[], 3]);
    await vault.stacks.addService(caller(), 'default', 'gmail', []);
    expect((await errorOf(vault.update(caller(), wrong, required))).code).toBe('INVALID_INPUT');
    const input = { service_id: 'GMAIL', credentials: TOOLROUTER_VALUES };
    const { updated_fields } = await vault.update(caller(), input, required);
    expect(updated_fields).toEqual(Object.keys(TOOLROUTER_VALUES));
  });

  test('update of an unknown field is INVALID_INPUT with the known fields, and nothing is written', async () => {
    const { vault, caller, home } = await openTestVault();
    const credentials = { ...TOOLROUTER_VALUES, 'sk-canary': 'sk-canary-value' };
    const { code, message } = await errorOf(vault.update(caller(), { ...GMAIL, credentials }));
    expect(code).toBe('INVALID_INPUT');
    expect(message).toContain('Gmail does not have. Its fields: gmail_oauth_token, gmail_client_id');
    expect(message).not.toContain('canary');
    expect(await readCredentialRows(home)).toEqual([]);
  });

  test.each([
    ['__proto__', '{"__proto__":"sk-canary","gmail_oauth_token":"t"}'],
    ['constructor', '{"constructor":"sk-canary","gmail_oauth_token":"t"}'],
    ['toString', '{"toString":"sk-canary"}'],
  ])('update of a field called %s is refused like any unknown field', async (_, json) => {
    const { vault, caller, home } = await openTestVault();
    const { code, message } = await errorOf(
      vault.update(caller(), { ...GMAIL, credentials: JSON.parse(json) }),
    );
    expect([code, message]).toEqual(['INVALID_INPUT', expect.not.stringContaining('canary')]);
    expect(await readCredentialRows(home)).toEqual([]);
  });

  test('update of no fields, or of too many, is INVALID_INPUT', async () => {
    const { vault, caller } = await openTestVault();
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`field_${at}`, 'v']));
    const none = await errorOf(vault.update(caller(), { ...GMAIL, credentials: {} }));
    expect([none.code, none.message]).toEqual(['INVALID_INPUT', 'credentials must name at least one field.']);
    const too_many = await errorOf(vault.update(caller(), { ...GMAIL, credentials: many }));
    expect([too_many.code, too_many.message]).toEqual([
      'INVALID_INPUT',
      'credentials must have at most 64 fields.',
    ]);
  });

  test('update with one invalid value leaves the credential unchanged', async () => {
    const { vault, caller, home } = await openTestVault();
    const { credential_id } = await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const before = await readCredentialRows(home);
    const credentials = { gmail_oauth_token: 'new', gmail_client_secret: 'has a space' };
    expect((await errorOf(vault.update(caller(), { ...GMAIL, credentials }))).code).toBe('INVALID_INPUT');
    expect(await readCredentialRows(home)).toEqual(before);
    expect(await decryptStoredValues(home, credential_id ?? '')).toEqual(TOOLROUTER_VALUES);
  });

  test('update reports the missing fields first and all_credentials_added after the rest', async () => {
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

    const credentials = { ...rest, gmail_refresh_token: 'refresh' };
    const second = await vault.update(caller(), { ...GMAIL, credentials });
    expect(second).toMatchObject({
      status: 'active',
      required_credentials: { gmail_oauth_token: 'added', gmail_client_id: 'added' },
      optional_credentials: {
        gmail_client_secret: 'added',
        gmail_signature: 'added',
        gmail_refresh_token: 'added',
      },
      required_credentials_added: true,
      all_credentials_added: true,
      credential_id: first.credential_id,
      modified_by: 'me',
    });
    const { message: _message, updated_fields: _fields, ...status } = second;
    expect(await vault.status(caller(), GMAIL)).toEqual(status);
  });

  test('update of the token leaves the other values unchanged', async () => {
    const { vault, caller, home } = await openTestVault();
    const made = await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    expect(await decryptStoredValues(home, made.credential_id ?? '')).toEqual(TOOLROUTER_VALUES);
    const gmail_oauth_token = 'ya29.a0AfH6SMC_new_token...';
    const updated = await vault.update(caller(), { ...GMAIL, credentials: { gmail_oauth_token } });
    expect([updated.credential_id, updated.updated_fields]).toEqual([
      made.credential_id,
      ['gmail_oauth_token'],
    ]);
    expect(await decryptStoredValues(home, made.credential_id ?? '')).toEqual({
      ...TOOLROUTER_VALUES,
      gmail_oauth_token,
    });
  });

  test('update with the same values changes the ciphertext', async () => {
    const { vault, caller, home } = await openTestVault();
    await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const [before] = await readCredentialRows(home);
    await vault.update(caller(), { ...GMAIL, credentials: TOOLROUTER_VALUES });
    const [after] = await readCredentialRows(home);
    expect(after?.sealed_values.equals(before?.sealed_values ?? Buffer.alloc(0))).toBe(false);
    expect(after?.revision).toBe(2);
  });

  test('update keeps the type of the credential', async () => {
    const { vault, caller } = await openTestVault();
    await vault.store(caller(), { ...GMAIL, credential_type: 'bearer', credential_value: 'token' });
    const updated = await vault.update(caller(), { ...GMAIL, credentials: { gmail_client_id: 'client' } });
    expect([updated.credential_type, updated.status]).toEqual(['bearer', 'active']);
  });
});

test('a vault with either cipher reads values written with the other', async () => {
  const first = await openTestVault();
  const xchacha = { KEYHOLD_CIPHER: 'xchacha20-poly1305' };
  await first.vault.update(first.caller(), { ...GMAIL, credentials: { gmail_oauth_token: 'aes' } });
  await first.vault.close();
  const second = await openTestVault(first.home, xchacha);
  const { credential_id } = await second.vault.update(second.caller(), {
    ...GMAIL,
    credentials: { gmail_client_id: 'xchacha' },
  });
  expect((await readCredentialRows(first.home))[0]?.sealed_values[1]).toBe(2);
  await second.vault.close();
  const third = await openTestVault(first.home);
  await third.vault.update(third.caller(), { ...GMAIL, credentials: { gmail_signature: 'aes again' } });
  expect((await readCredentialRows(first.home))[0]?.sealed_values[1]).toBe(1);
  expect(await decryptStoredValues(first.home, credential_id ?? '')).toEqual({
    gmail_oauth_token: 'aes',
    gmail_client_id: 'xchacha',
    gmail_signature: 'aes again',
  });
  expect((await third.vault.verifyAudit(third.caller())).findings).toEqual([]);
});
