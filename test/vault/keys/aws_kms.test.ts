/** A root key that AWS KMS encrypts: a vault whose KMS is stopped, refuses, or gets requests of another key or signature. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseSettings } from '../../../src/settings/settings.ts';
import { AwsKmsKey } from '../../../src/vault/keys/aws_kms.ts';
import { KMS_ARN, type KmsServer, startKms } from '../../kit/key_services/aws_kms.ts';
import { errorOf } from '../../kit/outcome.ts';
import { openTestDatabase } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const RETRY_MS = 1_500;
const ID = Buffer.alloc(16, 7);
const ROOT_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7));
const OTHER_ARN = KMS_ARN.replace('1234abcd', '00000000');
const MULTI_REGION = 'arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab';

/** The client of AWS reads the environment of the process. */
function useEnvironment({ env }: KmsServer): NodeJS.ProcessEnv {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value ?? '');
  return env;
}

const keyOf = (arn = KMS_ARN) => new AwsKmsKey({ arn, region: 'eu-central-1' }, RETRY_MS);

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
      const key = new AwsKmsKey({ arn: KMS_ARN, region: 'eu-central-1' }, 20_000);
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
