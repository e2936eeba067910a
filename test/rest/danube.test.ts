/** The Danube dialect: the documented requests, errors, and the list of services. */
import { describe, expect, test } from 'vitest';
import type { SealingKey } from '../../src/contract/sealed_value.ts';
import { decryptStoredValues, readCredentialRows } from '../kit/vault/database.ts';
import { sealFor } from '../kit/vault/sealed.ts';
import { createStack, runExample, startV1, type V1Server } from './v1_server.ts';

/** As documented; the test replaces only the base URL and the key. */
const STORE = `curl -X POST "https://api.danubeai.com/v1/credentials/store" \\
  -H "danube-api-key: YOUR_DANUBE_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "service_id": "svc_openai_001",
    "credential_type": "bearer",
    "credential_value": "sk-proj-abc123..."
  }'`;
const STORED = {
  success: true,
  service_id: 'svc_openai_001',
  service_name: 'OpenAI',
  credential_type: 'bearer',
  stored_as: 'value',
};
const BODY = {
  service_id: 'svc_openai_001',
  credential_type: 'bearer',
  credential_value: 'sk-proj-abc123...',
};
const PATH = 'POST /v1/credentials/store';

function errorBody(detail: unknown, code = 'INVALID_INPUT') {
  return { detail, code };
}

/** The start of a body, for a test title. */
function excerptOf(body: unknown): string {
  return JSON.stringify(body).slice(0, 130);
}

async function readStoredValues(
  server: V1Server,
  service_id = 'openai',
  options: { stack_id?: string; name?: string } = {},
) {
  const { credential_id } = await server.vault.status(server.caller(), { service_id, ...options });
  return credential_id === null ? undefined : await decryptStoredValues(server.home, credential_id);
}

describe('the documented Danube request', () => {
  test('the documented POST /v1/credentials/store returns the documented response and replaces the stored value', async () => {
    const server = await startV1();
    const key = await server.key();
    const command = STORE.replace('https://api.danubeai.com', server.url).replace('YOUR_DANUBE_API_KEY', key);
    const response = await runExample(command);
    expect(response).toEqual({ status: 200, text: JSON.stringify(STORED) });
    expect(await readStoredValues(server)).toEqual({ openai_api_key: 'sk-proj-abc123...' });
    const again = await runExample(command.replace('sk-proj-abc123...', 'sk-proj-def456...'));
    expect(again).toEqual(response);
    expect(await readStoredValues(server)).toEqual({ openai_api_key: 'sk-proj-def456...' });
    expect(await readCredentialRows(server.home)).toHaveLength(1);
  });

  test('POST /v1/credentials/store repeats the service id as sent: slug, alias or UUID', async () => {
    const server = await startV1();
    const { id } = server.vault.services.get('openai');
    for (const service_id of ['openai', 'OPENAI', 'chatgpt', id]) {
      for (const credential_type of ['api_key', 'bearer']) {
        const response = await server.send(PATH, { body: { ...BODY, service_id, credential_type } });
        expect(response.text).toBe(JSON.stringify({ ...STORED, service_id, credential_type }));
      }
    }
    expect(await readCredentialRows(server.home)).toHaveLength(1);
  });

  test('POST /v1/credentials/store stores under the given stack and name and ignores unknown properties', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    const response = await server.send(PATH, { body: { ...BODY, stack_id, name: 'work', source: 'sdk' } });
    expect(response).toMatchObject({ status: 200, text: JSON.stringify(STORED) });
    expect(await readStoredValues(server, 'openai', { stack_id, name: 'work' })).toBeDefined();
    expect(await readStoredValues(server)).toBeUndefined();
  });

  test('POST /v1/credentials/store accepts a value that is sealed to the public key', async () => {
    const server = await startV1();
    const key = await server.get<SealingKey>('GET /v1/public-key');
    const bound = { service: 'openai', field: 'openai_api_key' };
    const credential_value = await sealFor(key, 'sk-sealed', bound);
    expect(await server.send(PATH, { body: { ...BODY, credential_value } })).toMatchObject({ status: 200 });
    expect(await readStoredValues(server)).toEqual({ openai_api_key: 'sk-sealed' });
  });
});

describe('rejected Danube credentials', () => {
  test.each(['oauth', 'oauth2', 'basic', 'Bearer', 'custom', '__proto__', '🔑'])(
    'POST /v1/credentials/store rejects credential_type %s with 400 and explains what to store for OAuth',
    async (credential_type) => {
      const server = await startV1();
      const response = await server.send(PATH, { body: { ...BODY, credential_type } });
      expect(response.status).toBe(400);
      expect(JSON.parse(response.text)).toEqual(
        errorBody(
          'credential_type must be bearer or api_key here. For OAuth, store an access token of the service as bearer.',
        ),
      );
      expect(await readCredentialRows(server.home)).toEqual([]);
    },
  );

  test.each([
    'env://OPENAI_API_KEY',
    'ENV://OPENAI_API_KEY',
    ' env://OPENAI_API_KEY',
    '\tvault://secret/openai#key',
    'vault://',
    'Vault://mount/path#field',
  ])(
    'POST /v1/credentials/store rejects the external reference %j with 400 and stores nothing',
    async (credential_value) => {
      const server = await startV1();
      const response = await server.send(PATH, { body: { ...BODY, credential_value } });
      expect(response.status).toBe(400);
      expect(JSON.parse(response.text)).toEqual(
        errorBody(
          'The value of openai_api_key is a reference to a value elsewhere that may not be resolved here; give the value itself, or have the operator allow the reference with KEYHOLD_REFERENCES.',
        ),
      );
      expect(await readCredentialRows(server.home)).toEqual([]);
    },
  );

  test('POST /v1/credentials/store reports a reference that the operator allows as a reference', async () => {
    const server = await startV1({ env: { KEYHOLD_REFERENCES: 'OPENAI_*' } });
    const body = { ...BODY, credential_value: 'env://OPENAI_API_KEY' };
    const response = await server.send(PATH, { body });
    expect(JSON.parse(response.text)).toEqual({ ...STORED, stored_as: 'reference' });
    expect(await readStoredValues(server)).toEqual({ openai_api_key: 'env://OPENAI_API_KEY' });
  });

  test('POST /v1/credentials/store accepts a value that only resembles an external reference', async () => {
    const server = await startV1();
    const body = { ...BODY, credential_value: 'environment://x' };
    expect(await server.send(PATH, { body })).toMatchObject({ status: 200 });
  });

  test('POST /v1/credentials/store returns 404 for an unknown service without repeating its id', async () => {
    const server = await startV1();
    for (const service_id of ['svc_canary_001', '__proto__', '../../etc', "' OR 1=1 --"]) {
      const response = await server.send(PATH, { body: { ...BODY, service_id } });
      expect(response.status).toBe(404);
      expect(JSON.parse(response.text)).toEqual(
        errorBody(expect.stringMatching(/^No such service\./), 'NOT_FOUND'),
      );
      expect(response.text).not.toContain(service_id);
    }
  });

  const INVALID_BODIES: readonly (readonly [unknown, string | RegExp])[] = [
    ['', /^Invalid input: service_id must be a string; /],
    ['{', 'The body cannot be read. Not JSON.'],
    ['{"a":1,"a":2}', 'The body cannot be read. An object has the same name twice.'],
    ['null', 'Invalid input: the arguments must be an object.'],
    [[], 'Invalid input: the arguments must be an object.'],
    [{ ...BODY, service_id: null }, 'Invalid input: service_id must be a string.'],
    [
      { ...BODY, service_id: 'x'.repeat(129) },
      'Invalid input: service_id must be at most 128 characters long.',
    ],
    [{ ...BODY, credential_type: 7 }, 'Invalid input: credential_type must be a string.'],
    [{ ...BODY, credential_value: ['canary'] }, 'Invalid input: credential_value must be a string.'],
    [{ ...BODY, credential_value: '' }, 'Invalid input: credential_value must not be empty.'],
    [{ ...BODY, credential_value: ' ' }, 'The value of openai_api_key is empty.'],
    [{ ...BODY, credential_value: 'a b' }, /^The value of openai_api_key does not match its format/],
    [{ ...BODY, credential_value: 'x'.repeat(65_537) }, /^The value of openai_api_key is larger than 64 KiB/],
    [{ ...BODY, name: '' }, 'Invalid input: name must not be empty.'],
    [{ ...BODY, stack_id: '\u0000' }, 'Invalid input: stack_id must not hold control characters.'],
    [{ ...BODY, credential_value: 'sealed:AAAA' }, /sealed/],
  ];

  test.each(INVALID_BODIES.map(([body, message]) => [excerptOf(body), body, message] as const))(
    'POST /v1/credentials/store rejects the body %s with 400, explains the error and stores nothing',
    async (_, body, message) => {
      const server = await startV1();
      const response = await server.send(PATH, { body });
      const detail = typeof message === 'string' ? message : expect.stringMatching(message);
      expect([response.status, JSON.parse(response.text)]).toMatchObject([400, errorBody(detail)]);
      expect(response.text).not.toMatch(/canary|xxx/);
      expect(await readCredentialRows(server.home)).toEqual([]);
    },
  );

  test('POST /v1/credentials/store returns 401 for an invalid key, 403 without the scope and 429 over the rate limit', async () => {
    const server = await startV1({
      settings: { limits: { requests_per_minute: 1, auth_failures_per_minute: 0 } },
    });
    const unauthenticated = await fetch(`${server.url}/v1/credentials/store`, {
      method: 'POST',
      headers: { 'danube-api-key': 'dk_wrong', 'content-type': 'application/json' },
      body: JSON.stringify(BODY),
    });
    expect([unauthenticated.status, await unauthenticated.json()]).toEqual([
      401,
      errorBody(expect.stringContaining('key'), 'UNAUTHENTICATED'),
    ]);
    const key = await server.key({ scopes: ['credentials:read'] });
    const denied = await server.send(PATH, { key, body: BODY });
    expect([denied.status, JSON.parse(denied.text)]).toEqual([
      403,
      errorBody('This needs the scope credentials:write, which the caller does not have.', 'FORBIDDEN'),
    ]);
    const limited = await server.send(PATH, { key, body: BODY });
    expect([limited.status, JSON.parse(limited.text)]).toEqual([
      429,
      errorBody(expect.any(String), 'RATE_LIMITED'),
    ]);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('POST /v1/credentials/store returns 403 for a service that the key does not allow', async () => {
    const server = await startV1();
    const key = await server.key({ allowed_services: ['linear'] });
    const response = await server.send(PATH, { key, body: BODY });
    expect([response.status, JSON.parse(response.text).code]).toEqual([403, 'FORBIDDEN']);
    expect(await readCredentialRows(server.home)).toEqual([]);
  });
});

describe('GET /v1/services', () => {
  test('GET /v1/services filters by query, reports connections per stack and returns the public key', async () => {
    const server = await startV1();
    const stack_id = await createStack(server, []);
    await server.get(PATH, { body: { ...BODY, stack_id } });
    const findOpenai = async (query: string) => {
      const list = await server.get<{ services: { service_id: string; connected: boolean }[] }>(
        `GET /v1/services?query=openai&${query}`,
      );
      return list.services.find(({ service_id }) => service_id === 'openai');
    };
    expect(await findOpenai('')).toMatchObject({ connected: false, name: 'OpenAI' });
    expect(await findOpenai(`stack_id=${stack_id}&limit=10`)).toMatchObject({ connected: true });
    const all = await server.get<{ services: unknown[]; public_key: string }>('GET /v1/services');
    expect(all.services).toHaveLength(server.vault.services.list().length);
    expect(all.public_key).toBe(await server.vault.publicKey(server.caller()));
  });

  test.each([
    [`query=${'x'.repeat(256)}`, 400],
    ['stack_id=', 400],
    ['stack_id=%00', 400],
    ['query=a&query=b', 400],
    ['stack_id=stack_123e4567-e89b-12d3-a456-426614174000', 404],
  ])('GET /v1/services?%s returns %i with detail and code', async (query, status) => {
    const server = await startV1();
    const response = await server.send(`GET /v1/services?${query}`);
    expect([response.status, Object.keys(JSON.parse(response.text))]).toEqual([
      status,
      expect.arrayContaining(['detail', 'code']),
    ]);
    expect(response.text).not.toContain('xxx');
  });
});
