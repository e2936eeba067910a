/** A root key that AWS KMS encrypts: a vault whose KMS is stopped, refuses, or gets requests of another key or signature. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseSettings } from '../../../src/settings/settings.ts';
import { AwsKmsKey } from '../../../src/vault/keys/aws_kms.ts';
import { startForwardProxy } from '../../kit/http/forward_proxy.ts';
import { KMS_ARN, KMS_HOST, type KmsServer, startKms, startSts } from '../../kit/key_services/aws_kms.ts';
import { newSendRequest } from '../../kit/key_services/send_request.ts';
import { errorOf } from '../../kit/outcome.ts';
import { issueCertificate, TEST_CA_CERT } from '../../kit/upstream/certificates.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const RETRY_MS = 1_500;
const ID = Buffer.alloc(16, 7);
const ROOT_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7));
const OTHER_ARN = KMS_ARN.replace('1234abcd', '00000000');
const MULTI_REGION = 'arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab';

/** Only the proxy resolves the name of the service. */
const UNRESOLVED = async () => Promise.reject(new Error('ENOTFOUND'));

/** The client of AWS reads the environment of the process. */
function useEnvironment({ env }: KmsServer): NodeJS.ProcessEnv {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value ?? '');
  return env;
}

const keyOf = (arn = KMS_ARN, retry_ms = RETRY_MS, send = newSendRequest()) =>
  new AwsKmsKey({ arn, region: 'eu-central-1' }, send, retry_ms);

afterEach(() => void vi.unstubAllEnvs());

describe('requests to AWS KMS', () => {
  test.each([
    'AccessDeniedException',
    'DisabledException',
    'KMSInvalidStateException',
    'NotFoundException',
    'ExpiredTokenException',
  ])('%s is final', async (name) => {
    const kms = await startKms();
    useEnvironment(kms);
    const sealed = await keyOf().seal(ROOT_KEY, ID);
    kms.refusal = name;
    const sent = kms.requests.length;
    const error = await errorOf(keyOf().open(sealed, ID));
    expect(error).toMatchObject({ code: 'LOCKED', reason: 'kms_denied' });
    expect(error.message).toContain(name);
    expect(kms.requests).toHaveLength(sent + 1);
    kms.refusal = undefined;
    expect(await keyOf().open(sealed, ID)).toEqual(ROOT_KEY);
  });

  test.each(['ThrottlingException', 'KMSInternalException', 'KeyUnavailableException'])(
    'a request that fails with %s is repeated until it succeeds, or until the deadline',
    async (name) => {
      const kms = await startKms();
      useEnvironment(kms);
      const key = keyOf(KMS_ARN, 20_000);
      kms.refusal = name;
      expect(await errorOf(keyOf().check())).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'kms_unreachable',
      });
      const sent = kms.requests.length;
      const sealed = key.seal(ROOT_KEY, ID);
      await expect.poll(() => kms.requests.length, { timeout: 15_000 }).toBeGreaterThan(sent);
      kms.refusal = undefined;
      expect(await key.open(await sealed, ID)).toEqual(ROOT_KEY);
    },
  );

  test('another context, another key, a wrong secret and no credentials are refused', async () => {
    const kms = await startKms();
    useEnvironment(kms);
    const denied = { code: 'LOCKED', reason: 'kms_denied' };
    const sealed = await keyOf().seal(ROOT_KEY, ID);
    expect(sealed).toMatchObject({ ref: KMS_ARN });
    expect(sealed.sealed?.includes(ROOT_KEY)).toBe(false);
    expect(await errorOf(keyOf().open(sealed, Buffer.alloc(16, 8)))).toMatchObject(denied);
    expect(await errorOf(keyOf(OTHER_ARN).open(sealed, ID))).toMatchObject(denied);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'another secret');
    const { message } = await errorOf(keyOf().open(sealed, ID));
    expect(message).toContain('InvalidSignatureException');
    expect(message).not.toContain('another secret');
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, '');
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('HOME', temporaryFolder());
    expect((await errorOf(keyOf().open(sealed, ID))).message).toContain('needs credentials');
  });

  test('a multi-region key is the same one in each region, and other keys are not', () => {
    const elsewhere = MULTI_REGION.replace('eu-central-1', 'us-east-1');
    expect(keyOf(elsewhere).selects(MULTI_REGION)).toBe(true);
    expect(keyOf(elsewhere).selects(`${MULTI_REGION}0`)).toBe(false);
    expect(keyOf(KMS_ARN.replace('eu-central-1', 'us-east-1')).selects(KMS_ARN)).toBe(false);
  });

  test('an endpoint without TLS is for this machine only', async () => {
    const env = { KEYHOLD_ROOT_KEY: `aws-kms:${KMS_ARN}`, AWS_ENDPOINT_URL_KMS: 'http://kms.internal' };
    expect(parseSettings({ ...env, KEYHOLD_HOME: '/srv/k' }).root_key).toMatchObject({
      region: 'eu-central-1',
    });
    expect(await errorOf(openTestVault(undefined, env, 'yes'))).toMatchObject({ reason: 'setting_invalid' });
  });
});

describe('requests to AWS KMS through a proxy', () => {
  const through = (url: string, ca: readonly string[] = [TEST_CA_CERT]) =>
    keyOf(KMS_ARN, 500, newSendRequest({ ca, proxy: { url, bypass: [] }, lookup: UNRESOLVED }));
  const unreachable = { code: 'UNAVAILABLE', reason: 'kms_unreachable' };

  test('are reported with HTTPS_PROXY if the proxy refuses them or cannot be reached', async () => {
    useEnvironment(await startKms(issueCertificate([KMS_HOST])));
    const refusing = await startForwardProxy(403);
    for (const url of [refusing.url, 'http://127.0.0.1:1']) {
      const error = await errorOf(through(url).check());
      expect(error).toMatchObject(unreachable);
      expect(error.message).toContain('HTTPS_PROXY');
    }
    expect(refusing.requested.length).toBeGreaterThan(0);
  });

  test('verify the certificate for the name of the service', async () => {
    const { url } = await startForwardProxy();
    const kms = await startKms(issueCertificate(['other.example.test']));
    useEnvironment(kms);
    expect(await errorOf(through(url).check())).toMatchObject(unreachable);
    const untrusted = await startKms(issueCertificate([KMS_HOST]));
    useEnvironment(untrusted);
    const error = await errorOf(through(url, []).check());
    expect(error).toMatchObject(unreachable);
    expect(error.message).toContain('KEYHOLD_EGRESS_CA');
    expect([...kms.requests, ...untrusted.requests]).toEqual([]);
    await through(url).check();
    expect(untrusted.requests).toHaveLength(2);
  });

  test('get the credentials of a web identity through it too', async () => {
    const kms = await startKms(issueCertificate([KMS_HOST]));
    useEnvironment(kms);
    const port = await startSts(issueCertificate(['sts.example.test']));
    const token = join(temporaryFolder(), 'token');
    writeFileSync(token, 'token of the service account');
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, '');
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', token);
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::111122223333:role/keyhold');
    vi.stubEnv('AWS_ENDPOINT_URL_STS', `https://sts.example.test:${port}`);
    vi.stubEnv('HOME', temporaryFolder());
    const refusing = await startForwardProxy(403);
    expect(await errorOf(through(refusing.url).check())).toMatchObject(unreachable);
    const proxy = await startForwardProxy();
    await through(proxy.url).check();
    expect(proxy.requested[0]?.[0]).toBe(`sts.example.test:${port}`);
    expect(kms.requests).toHaveLength(2);
  });

  test('open a vault with HTTPS_PROXY and KEYHOLD_EGRESS_CA, and name no other host to the proxy', async () => {
    const kms = await startKms(issueCertificate([KMS_HOST]));
    const proxy = await startForwardProxy();
    const ca = join(temporaryFolder(), 'ca.pem');
    writeFileSync(ca, TEST_CA_CERT);
    const env = { ...useEnvironment(kms), HTTPS_PROXY: proxy.url, KEYHOLD_EGRESS_CA: ca };
    const { home, vault } = await openTestVault(undefined, env, 'yes');
    await vault.close();
    const again = await openTestVault(home, env, 'no');
    expect(await again.vault.status(again.caller(), { service_id: 'linear' })).toMatchObject({
      required_credentials_added: false,
    });
    const { host } = new URL(kms.env.AWS_ENDPOINT_URL_KMS ?? '');
    expect(new Set(proxy.requested.map(([target]) => target))).toEqual(new Set([host]));
    expect(kms.requests.length).toBeGreaterThan(1);
  });
});

describe('a vault', () => {
  test('is created, opened, refused while the key is disabled, and opens again', async () => {
    const kms = await startKms();
    const env = useEnvironment(kms);
    const { home, vault, caller } = await openTestVault(undefined, env, 'yes');
    const value = { credential_type: 'api_key' as const, credential_value: 'lin_api_0123456789' };
    await vault.store(caller(), { service_id: 'linear', ...value });
    await vault.close();
    expect(await openTestDatabase(home).header()).toMatchObject({
      root_key_source: 'aws-kms',
      root_key_ref: KMS_ARN,
    });
    kms.refusal = 'DisabledException';
    expect(await errorOf(openTestVault(home, env, 'no'))).toMatchObject({
      code: 'LOCKED',
      reason: 'kms_denied',
    });
    kms.refusal = undefined;
    const again = await openTestVault(home, env, 'no');
    expect(await again.vault.status(again.caller(), { service_id: 'linear' })).toMatchObject({
      status: 'active',
    });
    const other = { ...env, KEYHOLD_ROOT_KEY: `aws-kms:${OTHER_ARN}` };
    expect(await errorOf(openTestVault(home, other, 'yes'))).toMatchObject({
      reason: 'root_key_source_changed',
    });
    expect(new Set(kms.requests.map((request) => request.replace(/[0-9a-f]{32}/, 'ID')))).toEqual(
      new Set(['Encrypt {"keyhold_root_key_id":"ID"}', 'Decrypt {"keyhold_root_key_id":"ID"}']),
    );
  });
});
