/** Which mode and which rule a request to a service is authenticated with, the tools of a service, and files of earlier versions. */
import { describe, expect, test } from 'vitest';
import type { Service } from '../../src/contract/service/service.ts';
import { authenticationOf, chooseMode, injectionFor } from '../../src/services/authentication.ts';
import { parseDefinition } from '../../src/services/definition.ts';
import { toService } from '../../src/services/definition_file.ts';
import { toolsOf } from '../../src/services/tools/tools.ts';

const header = (template: string) => ({ in: 'header', headers: { Authorization: template } });
const definition = {
  slug: 'tides',
  name: 'Tides',
  description: 'Tide tables.',
  category: 'data',
  fields: [
    { field_id: 'key', name: 'Key', description: 'Key.', required: true, secret: true, max_length: 100 },
    { field_id: 'user', name: 'User', description: 'User.', required: false, secret: false, max_length: 100 },
  ],
  value_field: { api_key: 'key' },
  credential_types: ['api_key'],
  hosts: ['api.tides.test', 'free.tides.test', 'git.tides.test'],
  base_url: 'https://api.tides.test/v1',
  injection: header('Bearer {key}'),
  default_headers: { 'Tides-Version': '2' },
  modes: [
    {
      id: 'free',
      name: 'Free plan',
      when: { suffix: { key: ':fx' } },
      injection: header('Key {key}'),
      base_url: 'https://free.tides.test/v1',
      hosts: ['free.tides.test'],
    },
    {
      id: 'old',
      name: 'Old key',
      when: { fields: ['user'], prefix: { key: 'old-' } },
      injection: { in: 'basic', username: '{user}', password: '{key}' },
    },
  ],
  host_rules: [
    {
      host: 'git.tides.test',
      path_prefix: '/raw',
      injection: { in: 'basic', username: 'x', password: '{key}' },
    },
  ],
  operations: [
    {
      id: 'get_tide',
      title: 'Get a tide',
      description: 'Returns one tide.',
      method: 'GET',
      path: '/tides/{id}',
      parameters: [{ name: 'id', in: 'path', type: 'string', required: true, description: 'Its id.' }],
    },
  ],
};
const service = parseDefinition(definition, 'tides.json');

const modeOf = (values: Record<string, string>) =>
  chooseMode(service, {
    has: (id) => values[id] !== undefined,
    startsWith: (id, prefix) => values[id]?.startsWith(prefix) === true,
    endsWith: (id, suffix) => values[id]?.endsWith(suffix) === true,
  })?.id;

describe('modes', () => {
  test.each([
    ['no mode if no condition holds', { key: 'k' }, undefined],
    ['no mode if only one of two conditions holds', { key: 'old-1' }, undefined],
    ['the mode whose field is present and whose value has the prefix', { key: 'old-1', user: 'ana' }, 'old'],
    ['the first of two modes whose conditions hold', { key: 'old-1:fx', user: 'ana' }, 'free'],
  ])('the values choose %s', (_title, values, expected) => {
    expect(modeOf(values as unknown as Record<string, string>)).toBe(expected);
  });

  test('a mode replaces what it defines, and the rest is that of the service', () => {
    expect(authenticationOf(service, 'free')).toMatchObject({
      injection: header('Key {key}'),
      base_url: 'https://free.tides.test/v1',
      hosts: ['free.tides.test'],
      default_headers: { 'Tides-Version': '2' },
    });
    expect(authenticationOf(service, 'old')).toMatchObject({ base_url: 'https://api.tides.test/v1' });
  });

  test('an unknown mode is as none', () => {
    expect(authenticationOf(service, 'removed')).toStrictEqual(authenticationOf(service));
  });

  test.each([
    [{ modes: [{ ...definition.modes[0], hosts: ['other.test'] }] }, 'modes[0].hosts'],
    [{ modes: [{ ...definition.modes[0], when: {} }] }, 'modes[0].when'],
    [{ modes: [definition.modes[0], definition.modes[0]] }, 'modes: have an id twice'],
    [{ modes: [{ ...definition.modes[0], when: { fields: ['nope'] } }] }, 'modes: names a field'],
    [{ default_headers: { 'X-A': '{nope}' } }, 'default_headers: names a field'],
    [{ requires: [['key'], ['nope']] }, 'requires: names a field'],
    [{ environment: { TIDES_URL: 'https://{nope}' } }, 'environment: names a field'],
    [{ operations: [{ ...definition.operations[0], path: '/tides/{other}' }] }, 'operations[0].path'],
    [{ operations: [{ ...definition.operations[0], id: 'request' }] }, 'operations[0].id'],
  ])('a definition with %j is rejected', (change, expected) => {
    expect(() => parseDefinition({ ...definition, ...change }, 'tides.json')).toThrow(expected);
  });
});

describe('the settings of one grant', () => {
  const oauth = {
    token_url: 'https://api.tides.test/token',
    scopes: ['read'],
    pkce: false,
    grants: ['authorization_code', 'client_credentials', 'jwt_bearer'],
  };
  const withSettings = (grant_settings: unknown) =>
    parseDefinition({ ...definition, oauth: { ...oauth, grant_settings } }, 'tides.json');

  test.each([
    [{ device_code: { scopes: [] } }, 'oauth.grant_settings.device_code: is not among the grants'],
    [{ password: { scopes: [] } }, 'oauth.grant_settings'],
    [{ client_credentials: { scope: 'all' } }, 'oauth.grant_settings.client_credentials'],
    [{ client_credentials: { key_field: 'key' } }, 'key_field: is for jwt_bearer only'],
    [{ client_credentials: { token_parameters: { account: '{nope}' } } }, 'oauth: names a field'],
    [{ jwt_bearer: { key_field: 'nope' } }, 'oauth.grant_settings: names a field'],
  ])('a definition with %j is rejected', (grant_settings, expected) => {
    expect(() => withSettings(grant_settings)).toThrow(expected);
  });

  test('a grant that is only the default can have settings', () => {
    const { grants: _, ...one } = oauth;
    const grant_settings = { authorization_code: { scopes: ['write'] } };
    const parsed = parseDefinition({ ...definition, oauth: { ...one, grant_settings } }, 'tides.json');
    expect(parsed.oauth?.grant_settings).toStrictEqual(grant_settings);
  });

  test('each grant can have its own scopes, token parameters and key', () => {
    const grant_settings = {
      client_credentials: { scopes: ['all'], token_parameters: { account: '{user}' } },
      jwt_bearer: { key_field: 'key' },
    };
    expect(withSettings(grant_settings).oauth?.grant_settings).toStrictEqual(grant_settings);
  });
});

describe('rules of hosts', () => {
  const injectionOf = (url: string) =>
    injectionFor(service as Service, service.injection, new URL(url), (host) => host).in;

  test.each([
    ['https://git.tides.test/raw', 'basic'],
    ['https://git.tides.test/raw/file', 'basic'],
    ['https://git.tides.test/rawfile', 'header'],
    ['https://api.tides.test/raw', 'header'],
  ])('a request to %s is authenticated by %s', (url, expected) => {
    expect(injectionOf(url)).toBe(expected);
  });
});

describe('tools', () => {
  test('a service has the tool request and one for each operation, with ids that never change', () => {
    expect(toolsOf(service).map(({ id, name }) => [id, name])).toStrictEqual([
      ['09558a0f-2b89-57ab-9f90-ecb764863dca', 'request'],
      ['af6ecbbc-86b3-5deb-9d16-c81bf56cd8ff', 'get_tide'],
    ]);
  });

  test('a service that is not used over HTTP has none', () => {
    const { modes: _modes, host_rules: _rules, ...rest } = definition;
    expect(toolsOf(parseDefinition({ ...rest, injection: { in: 'none' } }, 'tides.json'))).toStrictEqual([]);
  });
});

test('a file of an earlier version is converted', () => {
  const [key, user] = definition.fields;
  const earlier = {
    ...definition,
    fields: [{ ...key, env: 'TIDES_KEY' }, user],
    test: { method: 'GET', path: '/me', ok_status: [200], ok_json: { pointer: '/ok', equals: true } },
  };
  const converted = toService(earlier, 'tides.json');
  expect(converted.fields[0]?.env).toStrictEqual(['TIDES_KEY']);
  expect(converted.test).toStrictEqual({
    method: 'GET',
    path: '/me',
    accept: [{ status: [200], json: [{ pointer: '/ok', equals: true }] }],
    reject: [{ status: [401] }, { status: [200] }],
  });
});
