/** Binding of credentials to destinations, and the attacks that it prevents, through a real vault file. */
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { errorOf } from '../../kit/outcome.ts';
import { decryptStoredValues, readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const GRAFANA = { service_id: 'grafana' };
const STORED = { grafana_token: 'glsa_tokenOfAPerson0123456789', grafana_host: 'acme.grafana.net' };
const BOUND = ['https://acme.grafana.net'];

async function openWithGrafana() {
  const opened = await openTestVault();
  await opened.vault.update(opened.caller(), { ...GRAFANA, credentials: STORED });
  return opened;
}

/** An agent: an API key that may only write. */
function agent(caller: Caller): Caller {
  return { ...caller, scopes: new Set(['credentials:write']), edge: 'mcp' };
}

describe('a destination field of a stored secret', () => {
  test.each([
    'collector.evil-example.com',
    '169.254.169.254',
    '127.0.0.1:8787',
    'localhost',
    '0x7f.1',
    '2130706433',
  ])('cannot be changed to %s without the secret', async (grafana_host) => {
    const { vault, caller, home } = await openWithGrafana();
    const write = vault.update(agent(caller()), { ...GRAFANA, credentials: { grafana_host } });
    const { code, reason, message } = await errorOf(write);
    expect([code, reason]).toEqual(['INVALID_INPUT', 'destination_changed']);
    expect(message).toContain('grafana_host');
    expect(message).toContain('all secret values in the same call: grafana_token');
    expect(message).not.toContain('evil');
    const status = await vault.status(caller(), GRAFANA);
    expect(status).toMatchObject({ status: 'active', destination: BOUND });
    expect(await decryptStoredValues(home, status.credential_id ?? '')).toEqual(STORED);
  });

  test('cannot be changed by the second of two calls that each give one of them', async () => {
    const { vault, caller } = await openTestVault();
    await vault.update(caller(), { ...GRAFANA, credentials: { grafana_token: STORED.grafana_token } });
    expect(await vault.status(caller(), GRAFANA)).toMatchObject({ status: 'incomplete', destination: null });
    const write = vault.update(caller(), { ...GRAFANA, credentials: { grafana_host: 'evil-example.com' } });
    expect((await errorOf(write)).reason).toBe('destination_changed');
  });

  test('cannot be changed if only some of the secrets are given', async () => {
    const { vault, caller } = await openTestVault();
    const elastic = { service_id: 'langfuse' };
    const fields = vault.services.get('langfuse').fields.map(({ field_id, secret }) => [field_id, secret]);
    expect(fields.filter(([, secret]) => secret).length).toBeGreaterThan(0);
    const first = Object.fromEntries(
      fields.map(([id, secret]) => [id, secret ? `pk-lf-${id}` : 'lf.example.com']),
    );
    await vault.update(caller(), { ...elastic, credentials: first }).catch(() => undefined);
    const write = vault.update(caller(), { ...elastic, credentials: { langfuse_host: 'evil-example.com' } });
    expect((await errorOf(write)).reason).toBe('destination_changed');
  });

  test('can be given with the value that it has', async () => {
    const { vault, caller } = await openWithGrafana();
    const { grafana_host } = STORED;
    await vault.update(caller(), { ...GRAFANA, credentials: { grafana_host } });
    expect((await vault.status(caller(), GRAFANA)).destination).toEqual(BOUND);
  });

  test('can be changed together with all secrets, which binds them to the new host', async () => {
    const { vault, caller } = await openWithGrafana();
    const credentials = { grafana_token: 'glsa_anotherToken0123456789', grafana_host: 'b.grafana.net' };
    const status = await vault.update(caller(), { ...GRAFANA, credentials });
    expect(status).toMatchObject({ status: 'active', destination: ['https://b.grafana.net'] });
  });

  test('is validated when it is stored, and a refusal changes nothing', async () => {
    const { vault, caller, home } = await openTestVault();
    for (const grafana_host of ['10.0.0.1', 'localhost', 'acme.grafana.net:3000']) {
      const write = vault.update(caller(), { ...GRAFANA, credentials: { ...STORED, grafana_host } });
      expect((await errorOf(write)).code).toBe('INVALID_INPUT');
    }
    expect(await readCredentialRows(home)).toEqual([]);
  });
});

describe('a credential', () => {
  test('is bound to the fixed hosts of its service when it is stored', async () => {
    const { vault, caller } = await openTestVault();
    await vault.store(caller(), {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'lin_api_0123456789',
    });
    const { destination, status } = await vault.status(caller(), { service_id: 'linear' });
    expect([status, destination]).toEqual(['active', expect.arrayContaining(['https://api.linear.app'])]);
  });

  test('stays bound when it is renamed, deactivated or moved', async () => {
    const { vault, caller } = await openWithGrafana();
    const { credential_id } = await vault.status(caller(), GRAFANA);
    await vault.credentials.change(caller(), credential_id ?? '', { name: 'work' });
    await vault.credentials.change(caller(), credential_id ?? '', { inactive: true });
    expect(await vault.status(caller(), { ...GRAFANA, name: 'work' })).toMatchObject({
      status: 'inactive',
      destination: BOUND,
    });
  });

  test('that is replaced by its id is bound to the host among the new values', async () => {
    const { vault, caller } = await openWithGrafana();
    const { credential_id } = await vault.status(caller(), GRAFANA);
    const credentials = { ...STORED, grafana_host: 'c.grafana.net', note: 'a\nb' };
    await vault.credentials.replace(caller(), credential_id ?? '', {
      credential_type: 'bearer',
      credentials,
    });
    expect((await vault.status(caller(), GRAFANA)).destination).toEqual(['https://c.grafana.net']);
  });

  test('of a database keeps its server unless the password is given too', async () => {
    const { vault, caller } = await openTestVault();
    const postgresql = { service_id: 'postgresql' };
    const values = { host: 'db.example.com', username: 'app', password: 'pa55-word-of-db', database: 'app' };
    const injected = { ...values, host: 'a@evil.example.com:5432/db?sslmode=disable#' };
    const injection = vault.update(caller(), { ...postgresql, credentials: injected });
    expect((await errorOf(injection)).code).toBe('INVALID_INPUT');
    await vault.update(caller(), { ...postgresql, credentials: values });
    const write = vault.update(caller(), { ...postgresql, credentials: { host: 'evil.example.com' } });
    expect((await errorOf(write)).reason).toBe('destination_changed');
    await vault.update(caller(), { ...postgresql, credentials: { database: 'other' } });
    expect(await vault.status(caller(), postgresql)).toMatchObject({ status: 'active', destination: [] });
  });

  test('of a database with a connection string has its server in the secret, and takes no other host', async () => {
    const { vault, caller } = await openTestVault();
    const database = { service_id: 'internal_postgresql' };
    const connection_string = 'postgresql://app:pa55-word-of-db@db.example.com:5432/app';
    await vault.update(caller(), { ...database, credentials: { connection_string } });
    expect(await vault.status(caller(), database)).toMatchObject({ status: 'active', destination: [] });
    const write = vault.update(caller(), { ...database, credentials: { host: 'evil.example.com' } });
    expect((await errorOf(write)).reason).toBe('destination_changed');
  });
});

test('a host that is not among the choices of its field is refused over every operation, and nothing is stored', async () => {
  const { vault, caller } = await openTestVault();
  const values = { openai_api_key: 'sk-proj-0123456789', openai_host: 'api.openai.com.evil.example' };
  const writes = [
    () => vault.update(caller(), { service_id: 'openai', credentials: values }),
    () =>
      vault.credentials.create(caller(), {
        service_id: 'openai',
        credential_type: 'custom',
        credentials: values,
      }),
  ];
  for (const write of writes) {
    const { code, message } = await errorOf(write());
    expect([code, message]).toEqual([
      'INVALID_INPUT',
      'The value of openai_host must be one of: api.openai.com, eu.api.openai.com, us.api.openai.com.',
    ]);
  }
  expect((await vault.status(caller(), { service_id: 'openai' })).credential_id).toBeNull();
  const allowed = { ...values, openai_host: 'EU.api.openai.com' };
  await vault.update(caller(), { service_id: 'openai', credentials: allowed });
  expect((await vault.uses.find(caller(), { service_id: 'openai' })).destination.fields).toEqual({
    openai_host: 'eu.api.openai.com',
  });
});

test.each(['a\r\nX-Injected: 1', 'a\nb', 'a\rb', 'a\u0000b'])(
  'the value %j is refused for a field of one line',
  async (gitlab_token) => {
    const { vault, caller } = await openTestVault(temporaryFolder());
    const field = vault.services.get('stripe').fields[0]?.field_id ?? '';
    const write = vault.update(caller(), { service_id: 'stripe', credentials: { [field]: gitlab_token } });
    expect((await errorOf(write)).code).toBe('INVALID_INPUT');
  },
);

test('a host that the operator lists may be stored, and is refused for use once it is not listed', async () => {
  const home = temporaryFolder();
  const allowing = { KEYHOLD_EGRESS_ALLOW: '10.0.0.0/8, grafana.lan:3000' };
  const { vault, caller } = await openTestVault(home, allowing);
  for (const grafana_host of ['10.0.0.5', 'grafana.lan:3000']) {
    await vault.update(caller(), { ...GRAFANA, credentials: { ...STORED, grafana_host } });
    expect(await vault.status(caller(), GRAFANA)).toMatchObject({
      status: 'active',
      destination: [`https://${grafana_host}`],
    });
  }
  const later = await openTestVault(home);
  expect((await later.vault.status(caller(), GRAFANA)).status).toBe('needs_review');
});
