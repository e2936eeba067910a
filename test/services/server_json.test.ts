/** Definitions made of the `server.json` of MCP servers. */
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { fromServerJson, isServerJson } from '../../src/services/server_json/import.ts';

const $schema = 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json';

/** A server in a package, as an issue tracker might publish it. */
function packaged() {
  return {
    $schema,
    name: 'io.github.acme/tracker-mcp',
    title: 'Acme Tracker',
    description: 'Issues and boards of Acme Tracker.',
    version: '1.4.0',
    websiteUrl: 'https://tracker.example',
    repository: { url: 'https://github.com/acme/tracker-mcp', source: 'github' },
    packages: [
      {
        registryType: 'npm',
        identifier: '@acme/tracker-mcp',
        version: '1.4.0',
        transport: { type: 'stdio' },
        environmentVariables: [
          {
            name: 'TRACKER_API_TOKEN',
            description: 'Personal API token',
            isRequired: true,
            isSecret: true,
            placeholder: 'trk_...',
          },
          {
            name: 'TRACKER_SITE',
            description: 'Your site',
            isRequired: true,
            placeholder: 'acme.tracker.example',
          },
          {
            name: 'TRACKER_LOG_LEVEL',
            description: 'How much to log',
            default: 'info',
            isRequired: true,
            choices: ['info', 'debug', 'c++?'],
          },
          { name: 'TRACKER_MODE', value: 'mcp' },
          { name: 'TRACKER_RETRIES', format: 'number' },
        ],
      },
      {
        registryType: 'oci',
        identifier: 'docker.io/acme/tracker-mcp:1.4.0',
        transport: { type: 'stdio' },
        runtimeArguments: [
          {
            type: 'named',
            name: '-e',
            value: 'TRACKER_API_TOKEN={tracker_api_token}',
            variables: { tracker_api_token: { isSecret: true, isRequired: true } },
          },
          {
            type: 'named',
            name: '-e',
            value: 'TRACKER_PROXY={proxy}',
            variables: { proxy: { description: 'Proxy' } },
          },
        ],
        packageArguments: [
          { type: 'positional', valueHint: 'folder', description: 'Where files go' },
          { type: 'named', name: '--signing-secret', isSecret: true, description: 'Signs webhooks' },
        ],
      },
    ],
  };
}

/** A remote server with header templates and variables. */
function remote() {
  return {
    $schema,
    name: 'com.observe/mcp',
    description: 'Logs and traces.',
    version: '2.0.0',
    remotes: [
      {
        type: 'sse',
        url: 'https://mcp.{region}.observe.example/sse',
        variables: { region: { description: 'Region', choices: ['eu', 'us', 'EU-2'], default: 'us' } },
        headers: [
          {
            name: 'Authorization',
            value: 'Bearer {observe_token}',
            variables: { observe_token: { description: 'API token', isSecret: true, isRequired: true } },
          },
        ],
      },
      { type: 'streamable-http', url: 'https://mcp.observe.example/mcp' },
    ],
  };
}

function refusal(json: unknown): string {
  try {
    fromServerJson(json, 'a.json');
  } catch (error) {
    expect(error).toBeInstanceOf(VaultError);
    expect(error).toMatchObject({ code: 'INVALID_INPUT', reason: 'service_definition_invalid' });
    return error instanceof Error ? error.message : '';
  }
  throw new Error('it was taken');
}

function withRemote(values: Record<string, unknown>) {
  return {
    name: 'com.observe/logs',
    version: '1',
    description: 'Logs.',
    remotes: [{ type: 'streamable-http', ...values }],
  };
}

const KEY_HEADER = { name: 'X-API-Key', isSecret: true, isRequired: true };

describe('importing a server.json rejects', () => {
  test.each<[string, unknown, string]>([
    ['a name without a slash', { ...remote(), name: 'observe' }, 'a.json: name: must be a reverse-DNS name'],
    [
      'a name with parent folders',
      { ...remote(), name: '../../x' },
      'a.json: name: must be a reverse-DNS name',
    ],
    ['a name of dots', { ...remote(), name: 'a/..' }, 'a.json: name: has no letter or digit after the slash'],
    ['packages that are not a list', { ...packaged(), packages: {} }, 'a.json: packages: must be an array'],
    [
      'a variable without a name',
      { ...packaged(), packages: [{ environmentVariables: [{ isSecret: true }] }] },
      'a.json: packages[0].environmentVariables[0].name: is missing',
    ],
    [
      'a variable name with a space',
      { ...packaged(), packages: [{ environmentVariables: [{ name: 'A B' }] }] },
      'a.json: packages[0].environmentVariables[0].name: is not the name of an environment variable',
    ],
    [
      'no credentials',
      { ...remote(), remotes: [{ type: 'sse', url: 'https://mcp.observe.example/sse' }] },
      'a.json: needs no credentials, so there is nothing to store',
    ],
    [
      'plain http',
      withRemote({ url: 'http://mcp.observe.example/mcp', headers: [KEY_HEADER] }),
      'a.json: remotes[0].url: must be an https URL: http exposes',
    ],
    [
      'no URL',
      withRemote({ url: 'mcp.observe.example', headers: [KEY_HEADER] }),
      'a.json: remotes[0].url: must be an https URL',
    ],
    [
      'a URL with a password',
      withRemote({ url: 'https://me:secret@mcp.observe.example/', headers: [KEY_HEADER] }),
      'a.json: remotes[0].url: must not contain a user name',
    ],
    [
      'a free variable inside the host',
      withRemote({ url: 'https://mcp.{region}.example/', headers: [KEY_HEADER] }),
      'a.json: remotes[0].url: has a variable inside its host name',
    ],
    [
      'a secret as host',
      withRemote({
        url: 'https://{id}.example/',
        variables: { id: { isSecret: true } },
        headers: [KEY_HEADER],
      }),
      'a.json: remotes[0].url: has a secret in its host name',
    ],
    [
      'secrets in path and header',
      withRemote({
        url: 'https://mcp.observe.example/{key}',
        variables: { key: { isSecret: true } },
        headers: [KEY_HEADER],
      }),
      'a.json: remotes[0]: has a secret in the path',
    ],
    [
      'a header name with a space',
      withRemote({ url: 'https://mcp.observe.example/', headers: [{ ...KEY_HEADER, name: 'X Key' }] }),
      'has a key that must be a header name',
    ],
    ['null', null, 'a.json: must be an object'],
  ])('%s', (_, json, expected) => {
    expect(refusal(json)).toContain(expected);
  });

  test('an invalid file without repeating its values', () => {
    expect(
      refusal(withRemote({ url: 'https://me:sk-canary-1@mcp.observe.example/', headers: [KEY_HEADER] })),
    ).not.toContain('canary');
    expect(refusal({ ...remote(), name: 'sk-canary-1' })).not.toContain('canary');
  });
});

describe('a package', () => {
  const definition = fromServerJson(packaged());
  const field = (id: string) => definition.fields.find((one) => one.field_id === id);

  test('becomes a service named after the server', () => {
    expect(definition).toMatchObject({
      slug: 'tracker-mcp',
      name: 'Acme Tracker',
      description: 'Issues and boards of Acme Tracker.',
      homepage: 'https://tracker.example',
      hosts: [],
      injection: { in: 'none' },
      value_field: { api_key: 'tracker_api_token', bearer: 'tracker_api_token' },
    });
  });

  test('has a field for each environment variable without a fixed value', () => {
    expect(definition.fields.map((one) => [one.field_id, one.env?.join(), one.required, one.secret])).toEqual(
      [
        ['tracker_api_token', 'TRACKER_API_TOKEN', true, true],
        ['tracker_site', 'TRACKER_SITE', true, false],
        ['tracker_log_level', 'TRACKER_LOG_LEVEL', false, false],
        ['tracker_retries', 'TRACKER_RETRIES', false, false],
        ['proxy', 'TRACKER_PROXY', false, false],
        ['signing-secret', undefined, false, true],
      ],
    );
  });

  test('keeps placeholders, choices and formats', () => {
    expect(field('tracker_api_token')?.example).toBe('trk_...');
    expect(field('tracker_log_level')).toMatchObject({
      description: 'How much to log One of: info, debug, c++?.',
      example: 'info',
    });
    const choices = new RegExp(field('tracker_log_level')?.pattern ?? '', 'u');
    expect('c++?').toMatch(choices);
    expect('information').not.toMatch(choices);
    expect('7').toMatch(new RegExp(field('tracker_retries')?.pattern ?? '', 'u'));
  });

  test('makes a field secret if its name looks secret, unless isSecret is false', () => {
    const [key, open] = fromServerJson({
      name: 'a.b/c',
      packages: [
        { environmentVariables: [{ name: 'C_PASSWORD' }, { name: 'C_PUBLIC_KEY', isSecret: false }] },
      ],
    }).fields;
    expect(key?.secret).toBe(true);
    expect(open?.secret).toBe(false);
  });
});

describe('a remote', () => {
  test('becomes a host for every choice, a base URL and a header rule', () => {
    expect(fromServerJson(remote())).toMatchObject({
      slug: 'observe-mcp',
      name: 'mcp',
      fields: [{ field_id: 'observe_token', required: true, secret: true, description: 'API token' }],
      hosts: [
        'mcp.us.observe.example',
        'mcp.eu.observe.example',
        'mcp.eu-2.observe.example',
        'mcp.observe.example',
      ],
      base_url: 'https://mcp.us.observe.example/sse',
      injection: { in: 'header', headers: { Authorization: 'Bearer {observe_token}' } },
      value_field: { api_key: 'observe_token', bearer: 'observe_token' },
    });
  });

  test('with a header without a template needs the whole header and accepts no bearer token', () => {
    const definition = fromServerJson(
      withRemote({
        url: 'https://{host}/mcp',
        headers: [{ name: 'Authorization', isSecret: true, isRequired: true }],
        variables: { host: { default: 'api.example.com' } },
      }),
    );
    expect(definition).toMatchObject({
      hosts: ['api.example.com'],
      injection: { headers: { Authorization: '{authorization}' } },
      value_field: { api_key: 'authorization' },
      credential_types: ['api_key', 'custom'],
    });
    expect(definition.value_field.bearer).toBeUndefined();
  });

  test('with a header template without declared variables has a field for each name in braces', () => {
    const definition = fromServerJson(
      withRemote({
        url: 'https://mcp.observe.example/mcp',
        headers: [
          { name: 'Authorization', value: 'Bearer {OBSERVE_KEY}', isRequired: true },
          { name: 'X-Client', value: 'keyhold' },
        ],
      }),
    );
    expect(definition.fields).toMatchObject([{ field_id: 'observe_key', required: true, secret: true }]);
    expect(definition.injection).toEqual({
      in: 'header',
      headers: { Authorization: 'Bearer {observe_key}', 'X-Client': 'keyhold' },
    });
  });

  test('with a secret in the query becomes a query rule', () => {
    const definition = fromServerJson(
      withRemote({
        url: 'https://mcp.observe.example/mcp?apiKey={apiKey}&v=2',
        variables: { apiKey: { isSecret: true, isRequired: true } },
      }),
    );
    expect(definition).toMatchObject({
      base_url: 'https://mcp.observe.example/mcp',
      injection: { in: 'query', query: { apiKey: '{apikey}', v: '2' } },
    });
  });

  test('with a secret in the path becomes a path rule', () => {
    const definition = fromServerJson(
      withRemote({ url: 'https://mcp.observe.example/{KEY}/mcp', variables: { KEY: { isSecret: true } } }),
    );
    expect(definition).toMatchObject({
      base_url: 'https://mcp.observe.example',
      injection: { in: 'path', prefix: '/{key}/mcp' },
    });
  });

  test('may have a field as the whole host or as its first label', () => {
    const headers = [KEY_HEADER];
    expect(
      fromServerJson(withRemote({ url: 'https://{HOST}/mcp', headers, variables: { HOST: {} } })),
    ).toMatchObject({ hosts: ['{host}'], base_url: 'https://{host}/mcp' });
    expect(
      fromServerJson(
        withRemote({ url: 'https://{tenant}.Observe.example/mcp', headers, variables: { tenant: {} } }),
      ),
    ).toMatchObject({ hosts: ['{tenant}.observe.example'] });
    const choices = fromServerJson(
      withRemote({
        url: 'https://{r}.observe.example/mcp',
        headers,
        variables: { r: { choices: ['eu', 'us'] } },
      }),
    );
    expect(choices).toMatchObject({
      hosts: ['eu.observe.example', 'us.observe.example'],
      base_url: 'https://{r}.observe.example/mcp',
    });
  });

  test('on the loopback host may use http', () => {
    const other_address = { url: 'http://127.0.0.2:8080/mcp', headers: [KEY_HEADER] };
    expect(fromServerJson(withRemote(other_address))).toMatchObject({ hosts: ['127.0.0.2:8080'] });
    expect(
      fromServerJson(withRemote({ url: 'http://localhost:8080/mcp', headers: [KEY_HEADER] })),
    ).toMatchObject({ hosts: ['localhost:8080'], fields: [{ field_id: 'x_api_key', name: 'X-API-Key' }] });
  });

  test('with a literal secret in the file omits the secret', () => {
    const definition = fromServerJson(
      withRemote({
        url: 'https://mcp.observe.example/',
        headers: [KEY_HEADER, { name: 'X-Shared', value: 'abc', isSecret: true }],
      }),
    );
    expect(JSON.stringify(definition)).not.toContain('abc');
  });

  test('and a package are alternatives: only the fields of the preferred one are required', () => {
    const { fields } = fromServerJson({ ...packaged(), remotes: remote().remotes });
    expect(fields.filter((one) => one.required).map((one) => one.field_id)).toEqual(['observe_token']);
    expect(fields.find((one) => one.field_id === 'tracker_api_token')).toMatchObject({
      required: false,
      secret: true,
      env: ['TRACKER_API_TOKEN'],
    });
  });
});

describe('isServerJson', () => {
  test('isServerJson returns true for a server.json, also in the envelope of the registry', () => {
    expect(isServerJson(packaged())).toBe(true);
    expect(isServerJson({ server: remote(), _meta: {} })).toBe(true);
    expect(fromServerJson({ server: remote(), _meta: {} }).slug).toBe('observe-mcp');
    expect(isServerJson({ name: 'a.b/c', version: '1' })).toBe(true);
    expect(isServerJson({ $schema })).toBe(true);
  });

  test.each([[null], [[]], ['x'], [{}], [{ slug: 'a', name: 'a.b/c', fields: [] }], [{ name: 'Weather' }]])(
    'isServerJson returns false for %j',
    (json) => {
      expect(isServerJson(json)).toBe(false);
    },
  );
});
