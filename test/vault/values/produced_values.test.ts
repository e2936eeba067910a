/** Storing what is produced at use: references, one-time code secrets and commands. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Edge, localCaller } from '../../../src/contract/caller.ts';
import { newRequestId } from '../../../src/crypto/request_id.ts';
import { type CommandSource, commandOf } from '../../../src/vault/values/value_source.ts';
import { errorOf } from '../../kit/outcome.ts';
import { decryptStoredValues } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const SERVICE = {
  slug: 'login',
  name: 'Login',
  description: 'A service with codes.',
  category: 'other',
  fields: [
    {
      field_id: 'token',
      name: 'Token',
      description: 'It.',
      required: true,
      secret: true,
      max_length: 100,
      pattern: '^tok_\\d+$',
    },
    {
      field_id: 'account',
      name: 'Account',
      description: 'It.',
      required: false,
      secret: false,
      max_length: 100,
    },
    {
      field_id: 'code',
      name: 'Code',
      description: 'It.',
      required: false,
      secret: true,
      max_length: 500,
      kind: 'totp',
    },
  ],
  value_field: { bearer: 'token' },
  credential_types: ['bearer'],
  hosts: ['login.example.com'],
  injection: { in: 'header', headers: { Authorization: 'Bearer {token}' } },
};
const COMMAND: CommandSource = { program: '/usr/bin/printenv', args: ['canary-argument'], cache_seconds: 60 };
const commandFor = (field: string) => ({ commands: new Map([[field, COMMAND]]) });

async function openWith(references?: string) {
  const home = temporaryFolder();
  mkdirSync(join(home, 'services'), { mode: 0o700 });
  writeFileSync(join(home, 'services', 'login.json'), JSON.stringify(SERVICE), { mode: 0o600 });
  const opened = await openTestVault(
    home,
    references === undefined ? {} : { KEYHOLD_REFERENCES: references },
  );
  const update = (credentials: Record<string, string>) =>
    opened.vault.update(opened.caller(), { service_id: 'login', credentials });
  const stored = async () => {
    const { credential_id } = await opened.vault.status(opened.caller(), { service_id: 'login' });
    return credential_id === null ? undefined : decryptStoredValues(home, credential_id);
  };
  return { ...opened, update, stored };
}

describe('a reference is refused and nothing is stored', () => {
  test.each([
    ['if the operator allows none', undefined, { token: 'env://APP_TOKEN' }],
    ['if the operator allows others', 'OTHER', { token: 'env://APP_TOKEN' }],
    ['for a field that is not secret', 'APP_*', { token: 'tok_1', account: 'env://APP_TOKEN' }],
    ['to another vault that is not allowed', 'APP_*', { token: 'vault://secret/app#token' }],
    ['to a setting of Keyhold', '*', { token: 'env://KEYHOLD_PASSPHRASE' }],
    ['to another kind of store', '*', { token: 'op://vault/item/field' }],
  ])('%s', async (_what, references, credentials: Record<string, string>) => {
    const { update, stored } = await openWith(references);
    const error = await errorOf(update(credentials));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('reference') });
    expect(error.message).not.toContain('APP_TOKEN');
    expect(await stored()).toBeUndefined();
  });

  test('if the setting has an entry that cannot be one', async () => {
    const error = await errorOf(openWith('https://example.com'));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
  });
});

test('an allowed reference is stored as it is, also if a value would have another format', async () => {
  const { update, stored } = await openWith('APP_*, vault://secret/app/*');
  await update({ token: ' env://APP_TOKEN ', code: 'vault://secret/app/otp#seed' });
  expect(await stored()).toEqual({ token: 'env://APP_TOKEN', code: 'vault://secret/app/otp#seed' });
});

describe('a secret of one-time codes', () => {
  test.each([
    '123456',
    'not base32 at all!',
    'otpauth://hotp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1',
  ])('is not %j', async (code) => {
    const { update, stored } = await openWith();
    const error = await errorOf(update({ token: 'tok_1', code }));
    expect(error).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('one-time codes'),
    });
    expect(await stored()).toBeUndefined();
  });

  test.each([
    'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
    'otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8',
  ])('is stored as %j', async (code) => {
    const { update, stored } = await openWith();
    await update({ token: 'tok_1', code });
    expect(await stored()).toEqual({ token: 'tok_1', code });
  });
});

describe('a command as the source of a field', () => {
  test.each<Edge>(['mcp', 'rest', 'web', 'library'])('is refused for a caller of %s', async (edge) => {
    const { vault, stored } = await openWith();
    const caller = localCaller(edge, newRequestId());
    const refused = vault.update(caller, { service_id: 'login', credentials: {} }, commandFor('token'));
    expect(await errorOf(refused)).toMatchObject({ code: 'FORBIDDEN' });
    expect(await stored()).toBeUndefined();
  });

  test('is refused for an API key, whatever interface it claims', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({});
    const caller = { ...(await tenants.caller(key)), edge: 'cli' as const };
    const refused = tenants.vault.update(
      caller,
      { service_id: 'github', credentials: {} },
      commandFor('github_token'),
    );
    expect(await errorOf(refused)).toMatchObject({ code: 'FORBIDDEN' });
  });

  test.each([
    ['a field that is not secret', 'account', COMMAND],
    ['an unknown field', 'nothing', COMMAND],
    ['a relative program', 'token', { ...COMMAND, program: 'printenv' }],
  ])('is refused for %s', async (_what, field, command) => {
    const { vault, stored } = await openWith();
    const caller = localCaller('cli', newRequestId());
    const commands = new Map([[field, command]]);
    const refused = vault.update(caller, { service_id: 'login', credentials: {} }, { commands });
    expect(await errorOf(refused)).toMatchObject({ code: 'INVALID_INPUT' });
    expect(await stored()).toBeUndefined();
  });

  test('cannot be stored as a value', async () => {
    const { update, stored } = await openWith();
    const text = `\u0000command:${JSON.stringify(COMMAND)}`;
    for (const token of [text, ` ${text}`, `\ufeff${text}`])
      expect(await errorOf(update({ token }))).toMatchObject({ code: 'INVALID_INPUT' });
    expect(await stored()).toBeUndefined();
  });

  test('is stored by the local command line and replaced by a value', async () => {
    const { vault, update, stored } = await openWith();
    const caller = localCaller('cli', newRequestId());
    const output = await vault.update(caller, { service_id: 'login', credentials: {} }, commandFor('token'));
    expect(output).toMatchObject({ updated_fields: ['token'], status: 'active' });
    expect(commandOf((await stored())?.token ?? '')).toEqual(COMMAND);
    await update({ token: 'tok_2' });
    expect(await stored()).toEqual({ token: 'tok_2' });
  });
});
