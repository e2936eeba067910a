/** The built library: every method, misuse, several vaults in one process, and its errors. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

type Library = typeof import('../../src/index.ts');
type OpenOptions = import('../../src/index.ts').OpenOptions;

const library: Library = await import(new URL('../../dist/index.js', import.meta.url).href);
const { openVault, VaultError } = library;

const VALUE = 'lin_api_3b9f0c7d5a';
const LINEAR = { service_id: 'linear', credential_type: 'api_key', credential_value: VALUE } as const;

async function open(options: OpenOptions = {}) {
  const vault = await openVault({ home: temporaryFolder(), ...options });
  onTestFinished(() => vault.close());
  return vault;
}

/** Returns the VaultError that `act` throws. */
async function catchVaultError(act: () => Promise<unknown>): Promise<InstanceType<Library['VaultError']>> {
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(VaultError);
    if (error instanceof VaultError) return error;
  }
  throw new Error('the call succeeded');
}

describe('misuse of the library', () => {
  test('openVault with create: false throws NOT_FOUND and suggests init if there is no vault', async () => {
    const home = join(temporaryFolder(), 'home');
    const refused = await catchVaultError(() => openVault({ home, create: false }));
    expect(refused).toMatchObject({ code: 'NOT_FOUND', reason: 'vault_missing' });
    expect(refused.message).toContain('keyhold init');
    expect(existsSync(home)).toBe(false);
  });

  test.each([
    ['root_key', 'KEYHOLD_ROOT_KEY'],
    ['store', 'KEYHOLD_STORE'],
    ['home', 'KEYHOLD_HOME'],
  ])(
    'openVault throws INVALID_INPUT for an invalid %s, which names the setting %s and not its value',
    async (option, setting) => {
      const value = option === 'home' ? '' : 'hunter2';
      const refused = await catchVaultError(() => openVault({ home: temporaryFolder(), [option]: value }));
      expect(refused).toMatchObject({ code: 'INVALID_INPUT', reason: 'setting_invalid' });
      expect(refused.message).toContain(setting);
      expect(refused.message).not.toContain('hunter2');
    },
  );

  test('every method throws INVALID_INPUT for invalid input', async () => {
    const vault = await open();
    const methods = {
      storeCredential: vault.storeCredential,
      updateCredentials: vault.updateCredentials,
      getCredentialStatus: vault.getCredentialStatus,
      deleteCredential: vault.deleteCredential,
    };
    for (const [name, method] of Object.entries(methods)) {
      for (const input of [undefined, null, 7, 'linear', [], {}, { service_id: 7 }, { service_id: '' }]) {
        const refused = await catchVaultError(() => (method as (input: unknown) => Promise<unknown>)(input));
        expect(refused.code, `${name} ${JSON.stringify(input)}`).toBe('INVALID_INPUT');
      }
    }
    for (const input of [null, 7, 'linear', [], { stack_id: 7 }, { unknown: 1 }]) {
      const { listCredentials, listServices } = vault;
      for (const method of [listCredentials, listServices]) {
        const refused = await catchVaultError(() => (method as (input: unknown) => Promise<unknown>)(input));
        expect(refused.code, JSON.stringify(input)).toBe('INVALID_INPUT');
      }
    }
  });

  test('listAudit throws INVALID_INPUT for an invalid limit', async () => {
    const vault = await open();
    for (const limit of [-1, 0, 1.5, Number.NaN]) {
      expect((await catchVaultError(() => vault.listAudit({}, limit))).code, String(limit)).toBe(
        'INVALID_INPUT',
      );
    }
  });

  test('every method throws NOT_FOUND for an unknown service or credential, without repeating it', async () => {
    const vault = await open();
    const unknown_service = { service_id: 'no-such-service-3b9f' };
    for (const act of [
      () => vault.getCredentialStatus(unknown_service),
      () => vault.storeCredential({ ...LINEAR, ...unknown_service }),
      () => vault.updateCredentials({ ...unknown_service, credentials: { a: 'b' } }),
      () => vault.deleteCredential(unknown_service),
      () => vault.deleteCredential({ service_id: 'linear' }),
    ]) {
      const refused = await catchVaultError(act);
      expect(refused.code).toBe('NOT_FOUND');
      expect(refused.message).not.toContain('3b9f');
    }
  });

  test('no error contains the value, neither in inspect nor in JSON', async () => {
    const vault = await open();
    const refusals = [
      () => vault.storeCredential({ ...LINEAR, credential_value: `${VALUE} with blanks` }),
      () => vault.updateCredentials({ service_id: 'linear', credentials: { [VALUE]: VALUE } }),
      () => vault.updateCredentials({ service_id: VALUE, credentials: { linear_api_key: VALUE } }),
      () => vault.storeCredential({ ...LINEAR, credential_value: `sealed:${VALUE}` }),
      () => vault.storeCredential({ ...LINEAR, ...{ [VALUE]: VALUE } }),
    ];
    for (const refusal of refusals) {
      const refused = await catchVaultError(refusal);
      expect(inspect(refused, { depth: 20, showHidden: true })).not.toContain(VALUE);
      expect(JSON.stringify(refused)).not.toContain(VALUE);
    }
  });

  test('every method of a closed vault throws UNAVAILABLE, and close can be called twice', async () => {
    const vault = await open();
    await vault.storeCredential(LINEAR);
    await vault.close();
    await vault.close();
    for (const act of [
      () => vault.storeCredential(LINEAR),
      () => vault.updateCredentials({ service_id: 'linear', credentials: { linear_api_key: VALUE } }),
      () => vault.getCredentialStatus({ service_id: 'linear' }),
      () => vault.listCredentials(),
      () => vault.listServices(),
      () => vault.deleteCredential({ service_id: 'linear' }),
      () => vault.listAudit(),
      () => vault.verifyAudit(),
    ]) {
      expect((await catchVaultError(act)).code).toBe('UNAVAILABLE');
    }
  });

  test('openVault throws for a wrong or an empty passphrase, even if KEYHOLD_PASSPHRASE has the right one', async () => {
    const home = temporaryFolder();
    const vault = await open({ home, root_key: 'passphrase', passphrase: 'correct horse' });
    await vault.storeCredential(LINEAR);
    await vault.close();
    process.env.KEYHOLD_PASSPHRASE = 'correct horse';
    onTestFinished(() => {
      delete process.env.KEYHOLD_PASSPHRASE;
    });
    const wrong = { home, root_key: 'passphrase', passphrase: 'battery staple' };
    expect((await catchVaultError(() => openVault(wrong))).code).toBe('WRONG_KEY');
    expect(await catchVaultError(() => openVault({ ...wrong, passphrase: '' }))).toMatchObject({
      reason: 'passphrase_missing',
    });
    expect(await catchVaultError(() => openVault({ home }))).toMatchObject({
      reason: 'root_key_source_changed',
    });
    const again = await open({ home, root_key: 'passphrase' });
    expect((await again.getCredentialStatus({ service_id: 'linear' })).status).toBe('active');
  });
});

describe('use of the library', () => {
  test('every method returns its documented result', async () => {
    const vault = await open();
    const stored = await vault.storeCredential({ ...LINEAR, name: 'work' });
    expect(stored).toStrictEqual({
      success: true,
      service_id: 'linear',
      service_name: 'Linear',
      credential_type: 'api_key',
      credential_id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      status: 'stored',
      updated_fields: ['linear_api_key'],
      kept_fields: [],
      removed_fields: [],
    });
    const updated = await vault.updateCredentials({
      service_id: 'gmail',
      credentials: { gmail_oauth_token: VALUE },
      stack_id: 'team',
    });
    expect(updated).toMatchObject({ updated_fields: ['gmail_oauth_token'], status: 'incomplete' });
    const reference = { service_id: 'linear', name: 'work' };
    expect(await vault.getCredentialStatus(reference)).toMatchObject({
      credential_id: stored.credential_id,
      required_credentials: { linear_api_key: 'added' },
      status: 'active',
    });
    expect(await vault.listCredentials()).toMatchObject({
      credentials: [{ service_id: 'linear', name: 'work', status: 'active' }],
      more: false,
    });
    expect(await vault.listCredentials({ stack_id: 'team' })).toMatchObject({
      credentials: [{ service_id: 'gmail', name: null, status: 'incomplete' }],
    });
    const [linear] = await vault.listServices({ query: 'linear' });
    expect(linear).toMatchObject({ service_id: 'linear', connected: true });
    expect((await vault.listServices()).length).toBeGreaterThan(100);

    expect(await vault.deleteCredential(reference)).toBeUndefined();
    expect(await vault.getCredentialStatus(reference)).toMatchObject({
      status: 'missing',
      credential_id: null,
    });

    const { entries, next } = await vault.listAudit({}, 4);
    expect(entries.map(({ action, edge }) => `${action} ${edge}`)).toStrictEqual([
      'delete library',
      'update library',
      'create_stack library',
      'store library',
    ]);
    expect((await vault.listAudit({}, 4, next ?? 0)).entries).toMatchObject([
      { action: 'init', position: 1 },
    ]);
    expect((await vault.listAudit({ action: 'delete' })).entries).toHaveLength(1);
    expect(await vault.verifyAudit()).toStrictEqual({ ok: true, entries: 5, credentials: 1, findings: [] });
  });

  test('vault.tools are the tools of the MCP server and accept a sealed value', async () => {
    const vault = await open();
    expect(vault.tools.map(({ name }) => name)).toStrictEqual([
      'store_credential',
      'update_credentials',
      'get_credential_status',
      'list_services',
      'delete_credential',
      'test_credential',
      'call_service',
      'request_access',
    ]);
    for (const tool of vault.tools) {
      expect(tool).toMatchObject({
        title: expect.any(String),
        description: expect.any(String),
        annotations: { readOnlyHint: expect.any(Boolean), destructiveHint: expect.any(Boolean) },
        input_schema: { type: 'object', additionalProperties: false },
      });
      expect((await catchVaultError(() => tool.call(undefined))).code, tool.name).toBe('INVALID_INPUT');
    }
    const sealed = await runProgram(['seal', 'linear', '--key', vault.public_key, '--yes'], { input: VALUE });
    const store = vault.tools.find(({ name }) => name === 'store_credential');
    const result = await store?.call({ ...LINEAR, credential_value: sealed.stdout.trim() });
    expect(result).toMatchObject({
      structured: { status: 'stored' },
      text: expect.stringContaining('Stored'),
    });
    expect(result?.text).not.toContain('passed through this conversation');
  });

  test('two vaults in one process have separate keys and credentials', async () => {
    const [one, two] = [await open(), await open()];
    expect(one.public_key).not.toBe(two.public_key);
    await one.storeCredential(LINEAR);
    expect((await one.getCredentialStatus({ service_id: 'linear' })).status).toBe('active');
    expect((await two.getCredentialStatus({ service_id: 'linear' })).status).toBe('missing');
    await one.close();
    expect((await two.storeCredential(LINEAR)).status).toBe('stored');
  });

  test('a vault that is opened twice keeps all concurrent writes of both', async () => {
    const home = temporaryFolder();
    const [one, two] = [await open({ home }), await open({ home, create: false })];
    expect(one.public_key).toBe(two.public_key);
    const fields = ['oauth_token', 'client_id', 'client_secret', 'signature', 'refresh_token'].map(
      (name) => `gmail_${name}`,
    );
    await Promise.all(
      fields.flatMap((field) =>
        [one, two].map((vault) =>
          vault.updateCredentials({ service_id: 'gmail', credentials: { [field]: VALUE } }),
        ),
      ),
    );
    for (const vault of [one, two]) {
      expect(await vault.getCredentialStatus({ service_id: 'gmail' })).toMatchObject({
        all_credentials_added: true,
      });
      expect(await vault.verifyAudit()).toMatchObject({ ok: true, entries: 11, credentials: 1 });
    }
  });

  test('an option of openVault takes precedence over the environment, which does not change', async () => {
    const other_home = temporaryFolder();
    process.env.KEYHOLD_HOME = other_home;
    onTestFinished(() => {
      delete process.env.KEYHOLD_HOME;
    });
    const home = temporaryFolder();
    await open({ home });
    expect(readdirSync(other_home)).toStrictEqual([]);
    expect(readdirSync(home).sort()).toStrictEqual(['data', 'keys']);
    expect(process.env.KEYHOLD_HOME).toBe(other_home);
  });

  test('a vault does not print its content', async () => {
    const vault = await open();
    await vault.storeCredential(LINEAR);
    const printed = inspect(vault, { depth: 20, showHidden: true }) + JSON.stringify(vault);
    expect(printed).toContain(vault.public_key);
    expect(printed).not.toContain(VALUE);
  });
});
