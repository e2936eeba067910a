/** The client with a real server: the same results as the local vault. */
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/keyhold_client.ts';
import { KeyholdError } from '../../src/client/keyhold_error.ts';
import { SCOPES } from '../../src/contract/caller.ts';
import type { VaultClient } from '../../src/contract/vault_client.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { localClient } from '../../src/vault/local_client.ts';
import { startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';
import { catchKeyholdError } from './failure_of.ts';

const VALUE = 'lin_api_3b9f0c7d5a';
const LINEAR = { service_id: 'linear', credential_type: 'api_key', credential_value: VALUE } as const;
const ALL = SCOPES.filter((scope) => scope !== 'values:reveal');
const NO_STACK = 'stack_123e4567-e89b-12d3-a456-426614174000';
const NO_ID = '01a202a0-0000-7000-8000-000000000000';

interface Clients {
  readonly server: TestHttpServer;
  /** The client, with every scope. */
  readonly client: KeyholdClient;
  /** The client of the same vault within this process. */
  readonly local: VaultClient;
}

async function open(): Promise<Clients> {
  const server = await startHttpServer({ dialects: DIALECTS });
  const client = new KeyholdClient({ url: server.url, key: await server.key({ scopes: ALL }) });
  return {
    server,
    client,
    local: localClient(server.vault, () => server.caller(), server.parts.calls, server.parts.tests),
  };
}

describe('errors of the client', () => {
  test('the client throws UNAUTHENTICATED for an unknown key and suggests keys create', async () => {
    const { server } = await open();
    for (const key of ['kh_nothing', `kh_${'0'.repeat(32)}_${'A'.repeat(43)}`]) {
      const refused = await catchKeyholdError(() => new KeyholdClient({ url: server.url, key }).whoAmI());
      expect(refused).toMatchObject({ code: 'UNAUTHENTICATED', status: 401 });
      expect(refused.request_id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
      expect(refused.message).toContain('keyhold keys create');
    }
  });

  test('the client throws FORBIDDEN for operations that the key does not allow', async () => {
    const { server } = await open();
    const key = await server.key({ scopes: ['credentials:read'], allowed_services: ['github'] });
    const client = new KeyholdClient({ url: server.url, key });
    expect(await catchKeyholdError(() => client.storeCredential(LINEAR))).toMatchObject({
      code: 'FORBIDDEN',
      status: 403,
    });
    expect(await catchKeyholdError(() => client.getCredentialStatus({ service_id: 'linear' }))).toMatchObject(
      {
        code: 'FORBIDDEN',
      },
    );
    expect(await catchKeyholdError(() => client.listAudit())).toMatchObject({ code: 'FORBIDDEN' });
    expect(await catchKeyholdError(() => client.listKeys())).toMatchObject({ code: 'FORBIDDEN' });
  });

  test.each<[string, (vault: VaultClient) => Promise<unknown>]>([
    ['an unknown service', (vault) => vault.getCredentialStatus({ service_id: 'no_such' })],
    [
      'a missing value',
      (vault) => vault.storeCredential({ service_id: 'linear', credential_type: 'api_key' }),
    ],
    [
      'an unknown field',
      (vault) => vault.updateCredentials({ service_id: 'linear', credentials: { x: 'y' } }),
    ],
    ['an unknown credential', (vault) => vault.deleteCredential({ service_id: 'linear' })],
    ['an unknown stack', (vault) => vault.listCredentials({ stack_id: NO_STACK })],
    ['an unknown organization', (vault) => vault.listAudit({ organization: 'no_such' })],
    ['an unknown API key', (vault) => vault.rotateKey(NO_ID)],
    ['an expiry in the past', (vault) => vault.createKey({ expires_at: '2020-01-01T00:00:00Z' })],
    ['keys of an unknown organization', (vault) => vault.listKeys('no_such')],
  ])('the client throws the same error as the local vault for %s', async (_what, act) => {
    const { client, local } = await open();
    const [remote_result, local_result] = await Promise.allSettled([act(client), act(local)]);
    if (remote_result?.status !== 'rejected' || local_result?.status !== 'rejected')
      throw new Error('the call succeeded');
    expect(remote_result.reason).toBeInstanceOf(KeyholdError);
    expect(remote_result.reason).toMatchObject({
      code: local_result.reason.code,
      message: local_result.reason.message,
    });
    expect(remote_result.reason.reason).toBe(local_result.reason.reason);
  });

  test('the client rejects an invalid key id without sending a request', async () => {
    const { server, client } = await open();
    const lines = server.log.length;
    for (const id of ['kh_0123_abc', '../units', '', `${NO_ID}/rotate`]) {
      for (const act of [() => client.rotateKey(id), () => client.revokeKey(id)]) {
        const refused = await catchKeyholdError(act);
        expect(refused).toMatchObject({ code: 'INVALID_INPUT', status: null });
      }
    }
    expect(server.log.length).toBe(lines);
  });

  test('every method of the client throws INVALID_INPUT for invalid input', async () => {
    const { client } = await open();
    const wrong = [undefined, null, 7, 'linear', [], {}];
    const methods = [
      client.storeCredential,
      client.updateCredentials,
      client.getCredentialStatus,
      client.deleteCredential,
    ];
    for (const method of methods) {
      for (const input of wrong) {
        const act = () => (method as (input: unknown) => Promise<unknown>).call(client, input);
        expect((await catchKeyholdError(act)).code, `${method.name} ${JSON.stringify(input)}`).toBe(
          'INVALID_INPUT',
        );
      }
    }
    for (const name of [undefined, null, 7, '', '/', {}]) {
      expect((await catchKeyholdError(() => client.createUnit(name as string))).code).toBe('INVALID_INPUT');
    }
  });
});

test('the client throws INVALID_INPUT, without the value, for input that JSON cannot express', async () => {
  const { client } = await open();
  const circular: Record<string, unknown> = { ...LINEAR, credential_value: 'value-in-a-circle' };
  circular.name = circular;
  for (const input of [circular, { ...LINEAR, name: 10n }]) {
    const error = await catchKeyholdError(() => client.storeCredential(input as never));
    expect(error).toMatchObject({ code: 'INVALID_INPUT', status: null });
    expect(error.message).not.toContain('value-in-a-circle');
  }
});

describe('the client', () => {
  test('the client stores, updates, reads and deletes a credential as the local vault does', async () => {
    const { client, local } = await open();
    const stored = await client.storeCredential(LINEAR);
    expect(stored).toMatchObject({ success: true, service_id: 'linear', status: 'stored' });
    const fields = { datadog_api_key: 'abc', datadog_site: 'datadoghq.eu' };
    const reference = { service_id: 'datadog', name: 'a/b &é', stack_id: 'my stack' };
    const updated = await client.updateCredentials({ ...reference, credentials: fields });
    expect(updated.updated_fields).toEqual(Object.keys(fields));
    expect(await client.getCredentialStatus(reference)).toEqual(await local.getCredentialStatus(reference));
    expect((await client.getCredentialStatus(reference)).credential_id).toBe(updated.credential_id);
    expect(await client.listCredentials({ stack_id: 'my stack' })).toEqual(
      await local.listCredentials({ stack_id: 'my stack' }),
    );
    expect((await client.listCredentials({ stack_id: 'my stack' })).credentials).toHaveLength(1);
    await client.deleteCredential(reference);
    expect((await local.getCredentialStatus(reference)).status).toBe('missing');
    expect(JSON.stringify(await client.listCredentials())).not.toContain(VALUE);
  });

  test('the client stores a value that is sealed to the public key', async () => {
    const { client } = await open();
    const { sealValue } = await import('../../src/index.ts');
    const target = { service: 'linear', field: 'linear_api_key' };
    const credential_value = await sealValue(await client.getSealingKey(), target, VALUE);
    await client.storeCredential({ ...LINEAR, credential_value });
    expect((await client.getCredentialStatus({ service_id: 'linear' })).status).toBe('active');
  });

  test('the client returns the same lists as the local vault', async () => {
    const { client, local } = await open();
    expect(await client.getPublicKey()).toBe(await local.getPublicKey());
    expect(await client.getSealingKey()).toEqual(await local.getSealingKey());
    expect(await client.listServices({ query: 'google' })).toEqual(
      await local.listServices({ query: 'google' }),
    );
    expect(await client.listServiceDefinitions()).toEqual(await local.listServiceDefinitions());
    expect((await client.listServiceDefinitions()).length).toBeGreaterThan(50);
    expect(await client.listUnits()).toEqual(await local.listUnits());
  });

  test('the client creates, lists, rotates and revokes API keys', async () => {
    const { server, client, local } = await open();
    const key = await client.createKey({
      organization: 'acme',
      user: 'ana',
      name: 'ci',
      scopes: ['credentials:read', 'keys:write'],
      allowed_services: ['linear'],
      allowed_tools: ['get_credential_status'],
      stack_id: 'default',
      expires_at: '2999-01-01T00:00:00Z',
    });
    expect(key).toMatchObject({
      organization: 'acme',
      user: 'ana',
      name: 'ci',
      allowed_services: ['linear'],
      allowed_tools: ['get_credential_status'],
      stack_id: 'default',
      expires_at: '2999-01-01T00:00:00.000Z',
    });
    const { key: secret, ...info } = key;
    expect(await client.listKeys('acme')).toEqual({ keys: [info], more: false });
    expect(await client.listKeys('acme')).toEqual(await local.listKeys('acme'));

    const ana = new KeyholdClient({ url: server.url, key: secret });
    expect(await ana.whoAmI()).toMatchObject({
      organization: 'acme',
      user: 'ana',
      api_key_id: key.id,
      server_version: '1.2.3-test',
    });
    const used = async () => (await client.listKeys('acme')).keys[0]?.last_used_at;
    await expect.poll(used).toEqual(expect.any(String));
    const rotated = await client.rotateKey(key.id);
    expect(rotated).toMatchObject({ ...info, last_used_at: await used() });
    expect(rotated.key).not.toBe(secret);
    expect((await catchKeyholdError(() => ana.whoAmI())).code).toBe('UNAUTHENTICATED');
    await new KeyholdClient({ url: server.url, key: rotated.key }).whoAmI();
    await client.revokeKey(key.id);
    expect((await client.listKeys('acme')).keys).toEqual([]);
  });

  test('the client returns null for the limits of an unrestricted key', async () => {
    const { client } = await open();
    const { key: _, ...info } = await client.createKey();
    expect(info).toMatchObject({ allowed_services: null, allowed_tools: null, stack_id: null });
    expect((await client.listKeys()).keys[0]).toEqual(info);
  });

  test('the client creates and lists units', async () => {
    const { client, local } = await open();
    const unit = await client.createUnit('sales', 'acme');
    expect(await client.createUnit('sales', 'acme')).toEqual(unit);
    expect(await client.listUnits('acme')).toContainEqual(unit);
    expect(await client.listUnits('acme')).toEqual(await local.listUnits('acme'));
  });

  test('the client pages, filters and verifies the audit log', async () => {
    const { client, local } = await open();
    await client.storeCredential(LINEAR);
    await client.updateCredentials({ service_id: 'openai', credentials: { openai_api_key: 'sk-abc' } });
    const first = await client.listAudit({}, 2);
    expect(first.entries).toHaveLength(2);
    const next = first.next ?? 0;
    expect(next).toBeGreaterThan(1);
    const [below] = (await client.listAudit({}, 2, next)).entries;
    expect(below?.position).toBe(next - 1);
    const filter = { service_id: 'linear', action: 'store', outcome: 'allowed', since: '2020-01-01' };
    expect(await client.listAudit(filter)).toEqual(await local.listAudit(filter));
    expect((await client.listAudit(filter)).entries).toHaveLength(1);
    expect(await client.verifyAudit()).toEqual(await local.verifyAudit());
    expect((await client.verifyAudit()).ok).toBe(true);
    await client.createUnit('sales', 'acme');
    expect(await client.listAudit({ organization: 'acme' })).toEqual(
      await local.listAudit({ organization: 'acme' }),
    );
    expect(await client.verifyAudit({ organization: 'acme' })).toMatchObject({ ok: true });
  });

  test('the client checks the health of the server', async () => {
    const { client } = await open();
    await client.checkHealth();
  });
});
