/** Input of the operations on credentials by id: any JSON, stored without loss. */
import { describe, expect, test } from 'vitest';
import { serviceId } from '../../../src/services/definition.ts';
import { customService } from '../../kit/vault/custom_service.ts';
import { readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const SFTP = { service_id: 'sftp', credential_type: 'user_password' } as const;

function nested(levels: number): unknown {
  return levels === 0 ? 'x' : [nested(levels - 1)];
}

describe('values of a credential', () => {
  test.each([
    ['a field that objects do not take like others', JSON.parse('{"__proto__":"x","host":"h"}')],
    ['a list that is too deep', { x: nested(17) }],
    ['a list that is deeper than a stack', { x: nested(3_000) }],
    ['no number', { x: Number.NaN }],
    ['a number without end', { x: Number.POSITIVE_INFINITY }],
    ['a function', { x: () => 1 }],
    ['a large integer', { x: 1n }],
    ['undefined', { x: undefined }],
    ['no object', ['x']],
    ['null', null],
  ])('values are refused and nothing changes: %s', async (_, credentials) => {
    const { home, vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), { ...SFTP, credentials: { host: 'h' } });
    const before = await readCredentialRows(home);
    await expect(
      vault.credentials.create(caller(), { ...SFTP, name: 'other', credentials }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    await expect(
      vault.credentials.replace(caller(), id, { credential_type: 'user_password', credentials }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(await readCredentialRows(home)).toEqual(before);
  });

  test.each([
    ['more than is safe', '12345678901234567890'],
    ['round, and more than is safe', '100000000000000000000'],
    ['with an exponent', '1e21'],
    ['more than is safe by one', '9007199254740993'],
    ['negative', '-12345678901234567890'],
    ['16 digits', '1234567890123456'],
    ['too many behind the point', '0.1234567890123456789'],
    ['a fraction that went to 17 digits', '0.30000000000000004'],
    ['in a list in an object', '{"a":[1,{"b":12345678901234567890}]}'],
  ])('a number that may have lost digits is refused: %s', async (_, written) => {
    const { home, vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), { ...SFTP, credentials: { host: 'h' } });
    const before = await readCredentialRows(home);
    for (const [field, target] of [
      ['account', 'The value of account'],
      ['no/field', 'A value of credentials'],
    ] as const) {
      const credentials = JSON.parse(`{"host":"h","${field}":${written}}`);
      const refusal = {
        code: 'INVALID_INPUT',
        message: `${target} has a number of more than 15 digits, some of which may be lost. Send it as text, in quotes.`,
      };
      await expect(
        vault.credentials.create(caller(), { ...SFTP, name: 'other', credentials }),
      ).rejects.toMatchObject(refusal);
      await expect(
        vault.credentials.replace(caller(), id, { credential_type: 'user_password', credentials }),
      ).rejects.toMatchObject(refusal);
    }
    expect(await readCredentialRows(home)).toEqual(before);
  });

  test.each([
    ['123456789012345', '123456789012345'],
    ['-123456789012345', '-123456789012345'],
    ['0.123456789012345', '0.123456789012345'],
    ['0.00001234', '0.00001234'],
    ['0', '0'],
    ['22', '22'],
    ['"12345678901234567890"', '12345678901234567890'],
    ['["12345678901234567890",1.5]', '["12345678901234567890",1.5]'],
  ])('a number is kept if no digit is lost: %s', async (written, kept) => {
    const { vault, caller } = await openTestVault();
    const credentials = JSON.parse(`{"host":"h","account":${written}}`);
    const { id } = await vault.credentials.create(caller(), { ...SFTP, credentials });
    const reader = { ...caller(), scopes: new Set(['values:reveal'] as const) };
    expect((await vault.credentials.reveal(reader, id)).get('account')?.reveal()).toBe(kept);
  });

  test('JSON values are kept up to 16 levels', async () => {
    const { vault, caller } = await openTestVault();
    const credentials = { host: 'h', x: nested(16), constructor: 'c', toString: 't' };
    const { id, fields } = await vault.credentials.create(caller(), { ...SFTP, credentials });
    expect(fields).toEqual(['host', 'x', 'constructor', 'toString']);
    const reader = { ...caller(), scopes: new Set(['values:reveal'] as const) };
    const values = await vault.credentials.reveal(reader, id);
    expect(values.get('x')?.reveal()).toBe(JSON.stringify(nested(16)));
  });
});

describe('the name of a credential', () => {
  test('the service name means an unnamed credential, and any other name is kept exactly', async () => {
    const { vault, caller } = await openTestVault();
    const credentials = { host: 'h' };
    for (const [name, kept] of [
      ['SFTP', null],
      ['sftp', 'sftp'],
      ['Sftp', 'Sftp'],
    ] as const)
      expect(await vault.credentials.create(caller(), { ...SFTP, name, credentials })).toMatchObject({
        name: kept,
      });
  });

  test('renaming a credential to the name it is shown under keeps its name', async () => {
    const { vault, caller } = await openTestVault();
    const credentials = { host: 'h' };
    const unnamed = await vault.credentials.create(caller(), { ...SFTP, credentials });
    const change = (id: string, name: string) =>
      vault.credentials.change(caller(), id, { name, inactive: true });
    const replace = (id: string, name: string) =>
      vault.credentials.replace(caller(), id, { credential_type: 'user_password', credentials, name });
    expect(await replace(unnamed.id, 'SFTP')).toMatchObject({ id: unnamed.id, name: null });
    expect(await change(unnamed.id, 'SFTP')).toMatchObject({ id: unnamed.id, name: null });
    // Any other name is validated as for a new credential.
    expect(await change(unnamed.id, 'sftp')).toMatchObject({ id: unnamed.id, name: 'sftp' });
    expect(await replace(unnamed.id, 'SFTP')).toMatchObject({ id: unnamed.id, name: null });
    await change(unnamed.id, 'work');
    const other = await vault.credentials.create(caller(), { ...SFTP, name: 'Other', credentials });
    expect(await change(other.id, 'SFTP')).toMatchObject({ name: null });
  });
});

describe('the service given for a credential', () => {
  test('the given service must be the one of the credential, by any of its ids', async () => {
    const { home, vault, caller } = await openTestVault();
    const { id } = await vault.credentials.create(caller(), { ...SFTP, credentials: { host: 'h' } });
    for (const service_id of ['sftp', 'ssh', 'SFTP', serviceId('sftp'), serviceId('sftp').toUpperCase()])
      expect(await vault.credentials.change(caller(), id, { service_id })).toMatchObject({ id });
    const before = await readCredentialRows(home);
    for (const service_id of ['linear', serviceId('linear'), 'nonesuch', id])
      await expect(
        vault.credentials.change(caller(), id, { service_id, inactive: true }),
      ).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(await readCredentialRows(home)).toEqual(before);
  });

  test('a credential whose service was removed can be read, renamed, deactivated and deleted', async () => {
    const home = temporaryFolder();
    const { define, remove } = customService(home);
    define();
    const first = await openTestVault(home);
    const given = { service_id: 'acme', credential_type: 'api_key', credentials: { acme_key: 'k' } } as const;
    const { id } = await first.vault.credentials.create(first.caller(), given);
    await first.vault.close();
    remove();
    const { vault, caller } = await openTestVault(home);
    const change = { service_id: serviceId('acme'), name: 'old', inactive: true };
    expect(await vault.credentials.change(caller(), id, change)).toMatchObject({
      name: 'old',
      inactive: true,
    });
    expect(await vault.credentials.get(caller(), id)).toMatchObject({ service_id: 'acme' });
    expect(
      await vault.credentials.list(caller(), { includesService: (slug) => slug === 'acme' }),
    ).toHaveLength(1);
    expect(
      await vault.credentials.list(caller(), { includesService: (slug) => slug === 'linear' }),
    ).toHaveLength(0);
    await vault.credentials.delete(caller(), id);
    expect(await readCredentialRows(home)).toEqual([]);
  });
});

describe('a caller restricted to one stack', () => {
  test('a caller restricted to one stack moves no credential out of it', async () => {
    const { home, vault, caller } = await openTestVault();
    const { user_id } = await vault.api_keys.create(caller(), { user: 'colleague' });
    const held = () => ({ ...caller(), stack: 'work' });
    const given = { ...SFTP, stack_id: 'work', credentials: { host: 'h' } };
    const { id } = await vault.credentials.create(caller(), given);
    const before = await readCredentialRows(home);
    await expect(vault.credentials.change(held(), id, { user_id })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await readCredentialRows(home)).toEqual(before);
    expect(await vault.credentials.change(held(), id, { name: 'renamed' })).toMatchObject({
      stack_id: 'work',
    });
    expect(await vault.credentials.change(caller(), id, { user_id })).toMatchObject({
      user: 'colleague',
      stack_id: 'default',
    });
  });
});
