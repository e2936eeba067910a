/** The built-in definitions: each is valid, consistent, and has the fields that the documentation names. */
import fs from 'node:fs';
import path from 'node:path';
import { v5 } from 'uuid';
import { describe, expect, test } from 'vitest';
import type { Service } from '../../src/contract/service/service.ts';
import { parseDefinition, SERVICE_NAMESPACE_UUID, serviceId } from '../../src/services/definition.ts';
import { readJsonFile } from '../../src/services/definition_file.ts';

const FOLDER = path.join(import.meta.dirname, '../../src/services/definitions');
const FILES = fs.readdirSync(FOLDER).sort();
const SERVICES = new Map<string, Service>(
  FILES.map((name) => [name, parseDefinition(readJsonFile(path.join(FOLDER, name)), name)]),
);
const each = [...SERVICES];

function service(slug: string): Service {
  const found = SERVICES.get(`${slug}.json`);
  if (found === undefined) throw new Error(`${slug} is not defined`);
  return found;
}

function required(slug: string, is_required: boolean): string[] {
  return service(slug)
    .fields.filter((field) => field.required === is_required)
    .map((field) => field.field_id);
}

describe('the built-in definitions', () => {
  test('are at least 66, each in a file named after its slug', () => {
    expect(FILES.length).toBeGreaterThanOrEqual(66);
    for (const [name, { slug }] of each) expect(name).toBe(`${slug}.json`);
  });

  test('share no slug, alias or id, in upper or lower case', () => {
    const ids = each.flatMap(([, { slug, id, aliases = [] }]) =>
      [slug, id, ...aliases].map((one) => one.toLowerCase()),
    );
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
  });

  test('have no id in the file and get the UUID version 5 of the slug', () => {
    for (const [name, { slug, id }] of each) {
      expect(readJsonFile(path.join(FOLDER, name)), name).not.toHaveProperty('id');
      expect(id).toBe(v5(slug, SERVICE_NAMESPACE_UUID));
      expect(serviceId(slug)).toBe(id);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  test('have ids that never change', () => {
    expect(SERVICE_NAMESPACE_UUID).toBe('a9045b58-98f8-5b31-b067-c18e099e1490');
    expect(serviceId('linear')).toBe('3c56dd17-21a4-57af-9998-655ce64f2299');
    expect(serviceId('openai')).toBe('0fa3805e-1aaa-5d62-8ebd-e15fc8179431');
  });

  test.each(each)('%s has examples that match the pattern and the shape of their fields', (_, { fields }) => {
    for (const { field_id, example, pattern, max_length, shape } of fields) {
      if (example === undefined) continue;
      expect(example.length, field_id).toBeLessThanOrEqual(max_length);
      if (pattern !== undefined) expect(example, field_id).toMatch(new RegExp(pattern, 'u'));
      if (shape !== undefined) expect(example, field_id).toMatch(new RegExp(shape.pattern, 'u'));
      if (shape?.length !== undefined) expect(example, field_id).toHaveLength(shape.length);
    }
  });

  test.each(each)(
    '%s has a required field or groups of them, and a secret field',
    (_, { fields, requires }) => {
      expect(fields.some((field) => field.required) || requires !== undefined).toBe(true);
      expect(fields.some((field) => field.secret)).toBe(true);
    },
  );

  test.each(each)('%s names each environment variable once', (_, { fields }) => {
    const names = fields.flatMap((field) => field.env ?? []);
    expect(names).toEqual([...new Set(names)]);
  });

  test.each(each)(
    '%s has a value field for each one-value type that it takes',
    (_, { value_field, credential_types, fields }) => {
      for (const type of ['bearer', 'api_key'] as const) {
        const field_id = value_field[type];
        expect(credential_types.includes(type)).toBe(field_id !== undefined);
        if (field_id !== undefined)
          expect(fields.find((field) => field.field_id === field_id)?.secret).toBe(true);
      }
    },
  );

  test.each(each)(
    '%s is called over https, at an origin that its hosts allow',
    (_, { base_url, hosts, injection, test: check }) => {
      if (injection.in !== 'none') expect(base_url).toBeDefined();
      if (base_url === undefined) return;
      // An origin: the path of a call is then the path of the service's own documentation.
      expect(base_url).toMatch(/^https:\/\/[^/]+$/);
      const host = base_url.slice('https://'.length);
      const wildcard = hosts.some((one) => one.startsWith('*.') && host.endsWith(one.slice(1)));
      const choices =
        host.includes('{') &&
        hosts.some((one) => new RegExp(`^${host.replace(/\{[^}]+\}/g, '[a-z0-9.-]+')}$`).test(one));
      expect(hosts.includes(host) || wildcard || choices, `${host} among ${hosts.join(', ')}`).toBe(true);
      if (check?.path.startsWith('https:')) expect(hosts).toContain(new URL(check.path).host);
    },
  );

  test.each(each)(
    '%s adds its secret to requests if it has an injection, and has a test request',
    (slug, { injection, test: check, fields }) => {
      if (injection.in === 'none') {
        expect(check).toBeUndefined();
        return;
      }
      const used = [...JSON.stringify(injection).matchAll(/\{([a-z0-9_]+)\}/g)].map((match) => match[1]);
      expect(fields.filter((field) => field.secret && used.includes(field.field_id)).length).toBeGreaterThan(
        0,
      );
      // A key for an unknown API cannot be tested.
      if (slug !== 'api_credential.json') expect(check).toBeDefined();
      if (check?.method === 'POST' && check.headers?.['Content-Type'] !== 'application/x-www-form-urlencoded')
        expect(() => JSON.parse(check.body ?? '')).not.toThrow();
    },
  );

  test.each(each.filter(([, one]) => one.oauth !== undefined))(
    '%s has the fields for its OAuth token and client id',
    (_, { oauth, fields }) => {
      expect(oauth?.access_token_field).toBeDefined();
      expect(oauth?.client_id_field).toBeDefined();
      expect(fields.find((field) => field.field_id === oauth?.access_token_field)?.secret).toBe(true);
    },
  );

  test.each(each.filter(([, { oauth }]) => oauth?.grants?.includes('jwt_bearer')))(
    '%s has a secret field with the key that signs assertions',
    (_, { oauth, fields }) => {
      const key_field = oauth?.grant_settings?.jwt_bearer?.key_field;
      expect(fields.find(({ field_id }) => field_id === key_field)?.secret).toBe(true);
    },
  );

  test('request the scope .default of one resource for client credentials of Microsoft', () => {
    for (const [name, { oauth }] of each) {
      if (!oauth?.token_url.startsWith('https://login.microsoftonline.com/')) continue;
      if (!oauth.grants?.includes('client_credentials')) continue;
      const scopes = oauth.grant_settings?.client_credentials?.scopes ?? oauth.scopes;
      expect(scopes, name).toStrictEqual([expect.stringMatching(/^https:\/\/[a-z.]+\/\.default$/)]);
    }
  });

  test("let the user choose only a label of a provider's domain", () => {
    for (const [name, { hosts, fields }] of each) {
      for (const host of hosts) {
        for (const [, field_id] of host.matchAll(/\{([^}]+)\}(?=[.-])/g)) {
          const pattern = fields.find((field) => field.field_id === field_id)?.pattern;
          expect(pattern, `${name} ${field_id}`).toBeDefined();
          for (const way_out of [
            'evil.example/',
            'evil.example#',
            'evil.example?',
            'user@evil',
            'a:1',
            'a b',
            '',
          ]) {
            expect(way_out, `${name} ${field_id}`).not.toMatch(new RegExp(pattern ?? '', 'u'));
          }
        }
      }
    }
  });
});

describe('documented services', () => {
  test('gmail has its documented fields', () => {
    expect(required('gmail', true)).toEqual(['gmail_oauth_token', 'gmail_client_id']);
    expect(required('gmail', false)).toEqual([
      'gmail_client_secret',
      'gmail_signature',
      'gmail_refresh_token',
    ]);
    const secrets = service('gmail')
      .fields.filter((field) => field.secret)
      .map((field) => field.field_id);
    expect(secrets).toEqual(['gmail_oauth_token', 'gmail_client_secret', 'gmail_refresh_token']);
  });

  test('linear and openai have their documented fields', () => {
    expect(required('linear', true)).toEqual(['linear_api_key']);
    expect(required('openai', true)).toEqual(['openai_api_key']);
    expect(service('openai')).toMatchObject({
      name: 'OpenAI',
      value_field: { bearer: 'openai_api_key', api_key: 'openai_api_key' },
    });
    expect(service('openai').aliases).toContain('svc_openai_001');
  });

  test('sftp and postgresql have their documented fields', () => {
    expect(required('sftp', true)).toEqual(['host', 'username']);
    expect(required('sftp', false)).toEqual(
      expect.arrayContaining(['port', 'password', 'private_key_data', 'private_key_passphrase']),
    );
    for (const slug of ['postgresql', 'internal_postgresql']) {
      expect(required(slug, true)).toEqual([]);
      expect(service(slug).requires).toEqual([
        ['connection_string'],
        ['host', 'username', 'password', 'database'],
      ]);
    }
  });

  const PROVIDERS = [
    'microsoft',
    'sharepoint',
    'sftp',
    'aws_ses',
    'google',
    'postgresql',
    'internal_postgresql',
    'file_storage',
    'api_credential',
    'sharepoint_client_secret',
    'azure_blob',
    'gemini',
  ];
  test.each(PROVIDERS)('the built-in service %s exists', (slug) => {
    expect(service(slug).slug).toBe(slug);
  });

  const VALUES: [string, string, string][] = [
    ['gmail', 'gmail_oauth_token', 'ya29.a0AfH6SMC...'],
    ['gmail', 'gmail_oauth_token', 'ya29.a0AfH6SMC_new_token...'],
    ['gmail', 'gmail_client_id', '123456789-abcdef.apps.googleusercontent.com'],
    ['gmail', 'gmail_client_secret', 'GOCSPX-abc123def456'],
    ['gmail', 'gmail_signature', 'Best regards,\nKeyhold'],
    ['linear', 'linear_api_key', 'lin_api_abc123def456789'],
    ['openai', 'openai_api_key', 'sk-proj-abc123...'],
    [
      'sftp',
      'private_key_data',
      `-----BEGIN OPENSSH PRIVATE KEY-----\n${'A'.repeat(4000)}\n-----END OPENSSH PRIVATE KEY-----\n`,
    ],
    ['sftp', 'password', 'with spaces and "quotes"'],
    ['postgresql', 'port', '5432'],
  ];
  test.each(VALUES)('%s accepts a documented value for %s', (slug, field_id, value) => {
    const field = service(slug).fields.find((one) => one.field_id === field_id);
    expect(value.length).toBeLessThanOrEqual(field?.max_length ?? 0);
    expect(value).toMatch(new RegExp(field?.pattern ?? '^[^]*$', 'u'));
  });
});
