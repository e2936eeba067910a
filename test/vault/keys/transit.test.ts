/** A root key that a transit engine encrypts: its settings, its requests, and a vault whose engine is stopped or refuses. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../src/contract/secret.ts';
import { parseSettings } from '../../../src/settings/settings.ts';
import { TransitKey, type TransitLogin } from '../../../src/vault/keys/transit.ts';
import { newSendRequest } from '../../kit/key_services/send_request.ts';
import { startTransit, type TransitServer } from '../../kit/key_services/transit.ts';
import { errorOf } from '../../kit/outcome.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const TOKEN = 'hvs.test-token-0123456789';
const VALUE = { credential_type: 'api_key' as const, credential_value: 'lin_api_0123456789' };
const RETRY_MS = 1_500;

function keyOf(transit: TransitServer, login: TransitLogin, retry_ms = RETRY_MS): TransitKey {
  const [, origin = ''] = /^transit:(http:\/\/[^/]+)/.exec(transit.setting()) ?? [];
  const settings = { origin, mount: 'team/transit', name: 'keyhold', namespace: undefined, login };
  return new TransitKey(settings, newSendRequest(), retry_ms);
}

const withToken: TransitLogin = { kind: 'token', token: new Secret(TOKEN) };
const ID = Buffer.alloc(16, 7);
const ROOT_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7));

describe('the setting', () => {
  const parse = (KEYHOLD_ROOT_KEY: string) =>
    parseSettings({ KEYHOLD_HOME: '/srv/k', KEYHOLD_ROOT_KEY }).root_key;
  test.each([
    'transit:',
    'transit:openbao.internal/transit/keyhold',
    'transit:http://openbao.internal:8200/transit/keyhold',
    'transit:https://user:password@openbao.internal/transit/keyhold',
    'transit:https://openbao.internal/keyhold',
    'transit:https://openbao.internal/transit/../keyhold/x y',
    'transit:https://openbao.internal/transit/keyhold?token=1',
    'keychain:',
    'keychain:a b',
    'aws-kms:alias/keyhold',
    'aws-kms:arn:aws:s3:eu-west-1:111122223333:key/1',
    'kms:x',
  ])('%s is refused', (text) => {
    expect(() => parse(text)).toThrow(/^The setting KEYHOLD_ROOT_KEY must be file:PATH/);
  });

  test('a mount may have slashes, and http is for this machine only', () => {
    expect(parse('transit:https://openbao.internal:8200/team/transit/keyhold')).toEqual({
      kind: 'transit',
      origin: 'https://openbao.internal:8200',
      mount: 'team/transit',
      name: 'keyhold',
    });
    expect(parse('transit:http://127.0.0.1:8200/transit/keyhold')).toMatchObject({ mount: 'transit' });
  });
});

describe('requests to the engine', () => {
  test('a wrong token, a token that may only encrypt and another root key id are refused at once', async () => {
    const transit = await startTransit(TOKEN);
    const key = keyOf(transit, withToken);
    const sealed = await key.seal(ROOT_KEY, ID);
    const denied = { code: 'LOCKED', reason: 'kms_denied' };
    const wrong = keyOf(transit, { kind: 'token', token: new Secret('hvs.wrong') });
    expect(await errorOf(wrong.open(sealed, ID))).toMatchObject(denied);
    expect(await errorOf(key.open(sealed, Buffer.alloc(16, 8)))).toMatchObject(denied);
    transit.tokens.set(TOKEN, ['encrypt']);
    const { message } = await errorOf(key.open(sealed, ID));
    expect(message).toContain('KEYHOLD_TRANSIT_TOKEN');
    expect(message).not.toContain(TOKEN);
    expect(await errorOf(key.check())).toMatchObject(denied);
    transit.tokens.set(TOKEN, ['encrypt', 'decrypt']);
    expect(await key.open(sealed, ID)).toEqual(ROOT_KEY);
    expect(sealed.sealed?.includes(ROOT_KEY)).toBe(false);
  });

  test('requests to a sealed server are repeated, and a server that is unsealed in time opens the key', async () => {
    const transit = await startTransit(TOKEN);
    const key = keyOf(transit, withToken, 20_000);
    const sealed = await key.seal(ROOT_KEY, ID);
    transit.sealed = true;
    const before = transit.requests.length;
    const opened = key.open(sealed, ID);
    await expect.poll(() => transit.requests.length, { timeout: 15_000 }).toBeGreaterThan(before + 1);
    transit.sealed = false;
    expect(await opened).toEqual(ROOT_KEY);
  });

  test('a server that stays sealed or does not run is unreachable after the deadline', async () => {
    const transit = await startTransit(TOKEN);
    const key = keyOf(transit, withToken);
    const sealed = await key.seal(ROOT_KEY, ID);
    const unreachable = { code: 'UNAVAILABLE', reason: 'kms_unreachable' };
    transit.sealed = true;
    const started_ms = performance.now();
    expect(await errorOf(key.open(sealed, ID))).toMatchObject(unreachable);
    expect(performance.now() - started_ms).toBeLessThan(RETRY_MS + 3_000);
    await transit.stop();
    expect(await errorOf(key.open(sealed, ID))).toMatchObject(unreachable);
    transit.sealed = false;
    await transit.start();
    expect(await key.open(sealed, ID)).toEqual(ROOT_KEY);
  });

  test('the token file is read for each request, and a service account logs in', async () => {
    const transit = await startTransit(TOKEN);
    const path = join(temporaryFolder(), 'token');
    const key = keyOf(transit, { kind: 'file', path });
    expect(await errorOf(key.check())).toMatchObject({ reason: 'kms_denied' });
    writeFileSync(path, 'hvs.expired');
    expect(await errorOf(key.check())).toMatchObject({ reason: 'kms_denied' });
    writeFileSync(path, `${TOKEN}\n`);
    await key.check();
    const pod = keyOf(transit, { kind: 'kubernetes', role: 'keyhold', path });
    transit.kubernetes.set('keyhold', TOKEN);
    await pod.check();
  });

  test('a login with a service account that is refused names the role and the account, and not the settings of tokens', async () => {
    const transit = await startTransit(TOKEN);
    const path = join(temporaryFolder(), 'token');
    const pod = keyOf(transit, { kind: 'kubernetes', role: 'keyhold', path });
    const expectDenied = async (...texts: readonly string[]) => {
      const error = await errorOf(pod.check());
      expect(error).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
      for (const text of texts) expect(error.message).toContain(text);
      expect(error.message).not.toMatch(/KEYHOLD_TRANSIT_TOKEN |VAULT_TOKEN/);
      expect(error.message).not.toContain('account-token');
    };
    await expectDenied('automountServiceAccountToken');
    writeFileSync(path, 'account-token');
    await expectDenied('(403)', 'auth/kubernetes', 'KEYHOLD_TRANSIT_KUBERNETES_ROLE', 'namespace');
    transit.has_kubernetes = false;
    await expectDenied('the status 404', 'is enabled at auth/kubernetes');
    transit.has_kubernetes = true;
    transit.kubernetes.set('keyhold', 'account-token');
    transit.login_policy = ['encrypt'];
    await expectDenied('the policies of the role of KEYHOLD_TRANSIT_KUBERNETES_ROLE');
    transit.login_policy = ['encrypt', 'decrypt'];
    await pod.check();
  });
});

describe('a vault', () => {
  const envOf = (transit: TransitServer, name?: string) => ({
    KEYHOLD_ROOT_KEY: transit.setting(name),
    KEYHOLD_TRANSIT_TOKEN: TOKEN,
  });

  test('is created and opened with a key that only the engine decrypts, and stores no root key', async () => {
    const transit = await startTransit(TOKEN);
    const env = { ...envOf(transit), KEYHOLD_TRANSIT_NAMESPACE: 'team' };
    const { home, vault, caller } = await openTestVault(undefined, env, 'yes');
    const { credential_id } = await vault.store(caller(), { service_id: 'linear', ...VALUE });
    await vault.close();
    const header = await openTestDatabase(home).header();
    expect(header).toMatchObject({ root_key_source: 'transit', root_key_ref: 'team/transit/keyhold' });
    expect(header?.root_key_sealed?.toString()).toMatch(/^vault:v1:/);
    const again = await openTestVault(home, env, 'no');
    expect(await again.vault.status(again.caller(), { service_id: 'linear' })).toMatchObject({
      credential_id,
    });
    await again.vault.close();
    expect(transit.requests.every((request) => request.endsWith(' team'))).toBe(true);
  });

  test('does not open with another key, another source, a wrong token or a damaged header, and then with the right one', async () => {
    const transit = await startTransit(TOKEN);
    const env = envOf(transit);
    const { home, vault } = await openTestVault(undefined, env, 'yes');
    await vault.close();
    const open = (other: NodeJS.ProcessEnv) => errorOf(openTestVault(home, other, 'yes'));
    const changed = { code: 'LOCKED', reason: 'root_key_source_changed' };
    expect(await open(envOf(transit, 'other'))).toMatchObject(changed);
    expect(await open({})).toMatchObject(changed);
    expect(await open({ ...env, KEYHOLD_TRANSIT_TOKEN: 'hvs.wrong' })).toMatchObject({
      reason: 'kms_denied',
    });
    const database = openTestDatabase(home);
    const header = await database.header();
    if (header?.root_key_sealed == null) throw new Error('no sealed root key');
    const damaged = Buffer.from(`${header.root_key_sealed.toString().slice(0, -6)}AAAA==`);
    await database.replaceHeader({ ...header, root_key_sealed: damaged });
    expect(await open(env)).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
    await database.replaceHeader({ ...header, root_key_ref: null });
    expect(await open(env)).toMatchObject({ code: 'CORRUPT' });
    await database.replaceHeader(header);
    await (await openTestVault(home, env, 'no')).vault.close();
  });

  test('is not created with a token that may only encrypt', async () => {
    const transit = await startTransit(TOKEN);
    transit.tokens.set(TOKEN, ['encrypt']);
    const home = temporaryFolder();
    expect(await errorOf(openTestVault(home, envOf(transit), 'yes'))).toMatchObject({
      reason: 'kms_denied',
    });
    expect(await openTestDatabase(home).exists()).toBe(false);
  });

  test('is created once by processes that start at the same time', async () => {
    const transit = await startTransit(TOKEN);
    const home = temporaryFolder();
    const opened = await Promise.all([1, 2, 3].map(() => openTestVault(home, envOf(transit))));
    for (const { vault, caller } of opened) await vault.store(caller(), { service_id: 'linear', ...VALUE });
  });
});
