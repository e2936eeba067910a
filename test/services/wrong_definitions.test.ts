/** Invalid custom definitions are rejected with file, path and reason; the error repeats none of their content. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { SERVICE_FILE_MAX_BYTES } from '../../src/contract/limits.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const CANARY = 'sk-proj-Canary9f8e7d6c5b4a';

interface Loose {
  [key: string]: unknown;
  fields: Record<string, unknown>[];
}

function right(): Loose {
  return {
    slug: 'weather',
    name: 'Weather',
    description: 'The weather.',
    category: 'data',
    fields: [
      {
        field_id: 'weather_key',
        name: 'Key',
        description: 'The key.',
        required: true,
        secret: true,
        max_length: 100,
      },
      {
        field_id: 'weather_host',
        name: 'Host',
        description: 'The host.',
        required: true,
        secret: false,
        max_length: 100,
      },
    ],
    value_field: { api_key: 'weather_key' },
    credential_types: ['api_key'],
    hosts: ['api.weather.example', '{weather_host}'],
    base_url: 'https://api.weather.example',
    injection: { in: 'header', headers: { 'X-Key': '{weather_key}' } },
  };
}

function folderWith(files: Record<string, string | Buffer>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), content);
  return folder;
}

function failure(folder: string): VaultError {
  try {
    ServiceCatalogue.load({ folder });
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error('loading did not fail');
}

function refusal(content: string | Buffer | Loose, name = 'weather.json'): string {
  const text = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content);
  const error = failure(folderWith({ [name]: text }));
  expect(error).toMatchObject({ code: 'INVALID_INPUT', reason: 'service_definition_invalid' });
  return error.message;
}

/** The right definition with one thing broken. */
function broken(change: (definition: Loose) => void): string {
  const definition = right();
  change(definition);
  return refusal(definition);
}

function field(at: number, values: Record<string, unknown>): (definition: Loose) => void {
  return (definition) => {
    Object.assign(definition.fields[at] ?? {}, values);
  };
}

function whole(values: Record<string, unknown>): (definition: Loose) => void {
  return (definition) => {
    Object.assign(definition, values);
  };
}

const FIELD = 'names a field that is not among the fields';

describe('an invalid definition is rejected with file and path:', () => {
  test.each<[string, (definition: Loose) => void, string]>([
    ['a missing slug', whole({ slug: undefined }), 'slug: is missing'],
    [
      'a path as slug',
      whole({ slug: '../weather' }),
      'slug: must be lower case letters, digits, "_", "-" or inner dots',
    ],
    ['an upper case slug', whole({ slug: 'Weather' }), 'slug: must be lower case'],
    [
      'a custom id',
      whole({ id: '2f8f4d2a-4a43-4f3e-9f5b-0c8a1f0b6a11' }),
      'id: is not the id of this slug; leave it out',
    ],
    ['a number as name', whole({ name: 7 }), 'name: must be a string'],
    ['an empty description', whole({ description: '' }), 'description: must not be empty'],
    ['an unknown category', whole({ category: 'weather' }), 'category: must be one of: ai, analytics'],
    ['an unknown key', whole({ colour: 'blue', baseUrl: 'x' }), 'has unknown keys: colour, baseUrl'],
    ['no fields', whole({ fields: [] }), 'fields: must be at least 1 entries long'],
    ['an http page', whole({ homepage: 'http://weather.example' }), 'homepage: must be an https URL'],
    ['an alias with a space', whole({ aliases: ['fine', 'not fine'] }), 'aliases[1]: has the wrong format'],
    [
      'a field id with a space',
      field(0, { field_id: 'weather key' }),
      'fields[0].field_id: must start with a letter',
    ],
    ['a duplicate field', field(1, { field_id: 'weather_key' }), 'fields[1].field_id: is a duplicate'],
    ['a maximum length of zero', field(0, { max_length: 0 }), 'fields[0].max_length: must be at least 1'],
    [
      'a maximum length past the limit',
      field(1, { max_length: 70_000 }),
      'fields[1].max_length: must be at most 65536',
    ],
    ['an invalid pattern', field(1, { pattern: '([' }), 'fields[1].pattern: is not a regular expression'],
    ['a flag that is a string', field(0, { secret: 'yes' }), 'fields[0].secret: must be a boolean'],
    ['a missing flag', field(1, { required: undefined }), 'fields[1].required: is missing'],
    [
      'a variable with a dash',
      field(0, { env: ['WEATHER-KEY'] }),
      'fields[0].env[0]: must be an environment variable name',
    ],
    [
      'an unknown value field',
      whole({ value_field: { bearer: 'weather_token' } }),
      `value_field.bearer: ${FIELD}`,
    ],
    [
      'an unknown type',
      whole({ credential_types: ['magic'] }),
      'credential_types[0]: must be one of: bearer',
    ],
    ['a URL as host', whole({ hosts: ['https://api.weather.example'] }), 'hosts[0]: must be a host name'],
    ['a wildcard for every host', whole({ hosts: ['*'] }), 'hosts[0]: must be a host name'],
    ['a host of an unknown field', whole({ hosts: ['{weather_site}.example'] }), `hosts: ${FIELD}`],
    [
      'a base URL on another host',
      whole({ base_url: 'https://evil.example' }),
      'base_url: names a host that is not among the hosts',
    ],
    [
      'a base URL with a user name',
      whole({ base_url: 'https://me@api.weather.example' }),
      'base_url: names a host that is not among the hosts',
    ],
    ['a base URL of an unknown field', whole({ base_url: 'https://{weather_site}' }), `base_url: ${FIELD}`],
    ['an unknown injection', whole({ injection: { in: 'cookie' } }), 'injection.in: is of an unknown kind'],
    [
      'a header of an unknown field',
      whole({ injection: { in: 'header', headers: { 'X-Key': '{key}' } } }),
      `injection: ${FIELD}`,
    ],
    [
      'a query header of an unknown field',
      whole({ injection: { in: 'query', query: { key: '{weather_key}' }, headers: { 'X-Key': '{key}' } } }),
      `injection: ${FIELD}`,
    ],
    [
      'a body of an unknown field',
      whole({ injection: { in: 'body', content_type: 'text/plain', body: '{key}' } }),
      `injection: ${FIELD}`,
    ],
    [
      'a header name with a space',
      whole({ injection: { in: 'header', headers: { 'X Key': '{weather_key}' } } }),
      'has a key that must be a header name',
    ],
    [
      'a test that deletes',
      whole({ test: { method: 'DELETE', path: '/', accept: [{ status: [200] }], reject: [] } }),
      'test.method: must be one of: GET, HEAD, POST',
    ],
    [
      'a test elsewhere',
      whole({
        hosts: ['api.weather.example'],
        test: { method: 'GET', path: 'https://evil.example/', accept: [{ status: [200] }], reject: [] },
      }),
      'test.path: names a host that is not among the hosts',
    ],
    [
      'a test that expects nothing',
      whole({ test: { method: 'GET', path: '/', accept: [{ status: [] }], reject: [] } }),
      'test.accept[0].status: must be at least 1 entries long',
    ],
    [
      'OAuth over http',
      whole({
        oauth: {
          authorization_url: 'http://a.example',
          token_url: 'https://a.example',
          scopes: [],
          pkce: true,
        },
      }),
      'oauth.authorization_url: must be an https URL',
    ],
    [
      'OAuth of an unknown field',
      whole({
        oauth: {
          authorization_url: 'https://a.example',
          token_url: 'https://{tenant}.example',
          scopes: [],
          pkce: true,
        },
      }),
      `oauth: ${FIELD}`,
    ],
  ])('%s', (_, change, expected) => {
    const message = broken(change);
    expect(message.startsWith('weather.json: ')).toBe(true);
    expect(message).toContain(expected);
  });

  test('the first three violations are described, the others counted', () => {
    const message = broken(whole({ name: 1, description: 2, category: 3, fields: 4, hosts: 5 }));
    expect(message).toContain('name: must be a string; description: must be a string; category: ');
    expect(message).toContain('; and 2 more');
  });

  test.each([[null], [[]], ['text'], [7]])('%j is not a definition', (json) => {
    expect(refusal(JSON.stringify(json))).toBe('weather.json: must be an object');
  });
});

describe('a definition file is rejected:', () => {
  test('malformed JSON, with line and column', () => {
    expect(refusal('{\n  "slug": "weather",\n  "name": Weather\n}')).toBe(
      'weather.json: line 3, column 11: is not JSON',
    );
  });

  test('a file larger than the limit, before it is parsed', () => {
    expect(refusal(`"${'a'.repeat(SERVICE_FILE_MAX_BYTES)}"`)).toBe('weather.json: is larger than 256 KiB');
  });

  test('bytes that are not UTF-8', () => {
    expect(refusal(Buffer.from([0x7b, 0xff, 0x7d]))).toBe('weather.json: is not UTF-8 text');
  });

  test('a folder with the name of a definition file', () => {
    const folder = folderWith({});
    fs.mkdirSync(path.join(folder, 'weather.json'));
    expect(failure(folder).message).toBe('weather.json: is not a regular file');
  });

  test('a symbolic link to a missing file', () => {
    const folder = folderWith({});
    fs.symlinkSync('/nowhere/at/all.json', path.join(folder, 'weather.json'));
    expect(failure(folder).message).toBe('weather.json: is not a regular file');
  });

  test('a symbolic link to a definition elsewhere', () => {
    const elsewhere = path.join(folderWith({ 'weather.json': JSON.stringify(right()) }), 'weather.json');
    const folder = folderWith({});
    fs.symlinkSync(elsewhere, path.join(folder, 'weather.json'));
    expect(failure(folder).message).toBe('weather.json: is not a regular file');
  });

  test.runIf(process.platform !== 'win32').each([0o666, 0o646, 0o664])(
    'a file that other users may write, with the mode %o',
    (mode) => {
      const folder = folderWith({ 'weather.json': JSON.stringify(right()) });
      fs.chmodSync(path.join(folder, 'weather.json'), mode);
      expect(failure(folder).message).toBe(
        'weather.json: may be changed by other users; check its hosts, then run chmod go-w on it',
      );
    },
  );

  test.runIf(process.platform !== 'win32')('any file, if every user may write to the folder', () => {
    const folder = folderWith({ 'weather.json': JSON.stringify(right()) });
    fs.chmodSync(folder, 0o777);
    expect(failure(folder)).toMatchObject({ code: 'INVALID_INPUT', reason: 'service_definition_invalid' });
    expect(failure(folder).message).toContain('run `chmod o-w` on that folder');
  });

  test.runIf(process.platform !== 'win32')('any file, if every user may rename the folder', () => {
    const parent = folderWith({});
    fs.chmodSync(parent, 0o777);
    const folder = path.join(parent, 'services');
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, 'weather.json'), JSON.stringify(right()));
    expect(failure(folder).message).toContain('Every user of this machine can replace');
  });

  test.runIf(process.platform !== 'win32')('a named pipe', () => {
    const folder = folderWith({});
    execFileSync('mkfifo', [path.join(folder, 'weather.json')]);
    expect(failure(folder).message).toBe('weather.json: is not a regular file');
  });

  test.runIf(process.getuid?.() === 0)('a file of another user', () => {
    const folder = folderWith({ 'weather.json': JSON.stringify(right()) });
    fs.chownSync(path.join(folder, 'weather.json'), 65_534, 65_534);
    expect(failure(folder).message).toBe(
      'weather.json: belongs to another user; make it your own, or remove it',
    );
  });

  test('a file where the folder of definitions should be', () => {
    const folder = folderWith({ services: 'x' });
    expect(failure(path.join(folder, 'services'))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'unreadable',
    });
  });

  test('with a message that contains no folder and no control character', () => {
    const message = refusal('{', 'we\u001b[31mather.json');
    expect(message).toBe('we?[31mather.json: line 1, column 2: is not JSON');
  });

  test('one invalid file among valid ones, and loading fails', () => {
    const folder = folderWith({ 'a.json': JSON.stringify(right()), 'b.json': '{' });
    expect(failure(folder).message).toBe('b.json: line 1, column 2: is not JSON');
  });
});

describe('an error does not repeat a secret in the wrong field:', () => {
  test.each<[string, (definition: Loose) => void]>([
    ['as slug', whole({ slug: CANARY })],
    ['as category', whole({ category: CANARY })],
    ['as unknown key', whole({ [CANARY]: 'x' })],
    ['as value of an unknown key', whole({ value: CANARY })],
    ['as pattern', field(0, { pattern: `(${CANARY}` })],
    ['as header name', whole({ injection: { in: 'header', headers: { [`${CANARY} x`]: '{weather_key}' } } })],
    [
      'as header value of the wrong type',
      whole({ injection: { in: 'header', headers: { [CANARY]: [CANARY] } } }),
    ],
    ['as host', whole({ hosts: [`https://${CANARY}`] })],
    ['as template', whole({ injection: { in: 'header', headers: { 'X-Key': `{${CANARY}}` } } })],
    ['as base URL', whole({ base_url: `https://${CANARY}@evil.example` })],
    ['as id', whole({ id: CANARY })],
  ])('%s', (_, change) => {
    expect(broken(change).toLowerCase()).not.toContain(CANARY.toLowerCase());
  });

  test('malformed JSON', () => {
    expect(refusal(`{"slug": ${CANARY}}`)).not.toContain('Canary');
  });
});

describe('a name that is in use is rejected:', () => {
  test.each([
    ['linear', 'slug: is taken by the built-in service linear; choose another'],
    // Built-in aliases are taken as well.
    ['gh', 'slug: is taken by the built-in service github; choose another'],
  ])('the slug %s of a built-in service', (slug, expected) => {
    expect(broken(whole({ slug }))).toBe(`weather.json: ${expected}`);
  });

  test.each(['github', 'OpenAI', 'svc_openai_001', ServiceCatalogue.load().get('gmail').id.toUpperCase()])(
    'the alias %s of a built-in service',
    (alias) => {
      expect(broken(whole({ aliases: ['fine', alias] }))).toContain(
        'weather.json: aliases[1]: is taken by the built-in service',
      );
    },
  );

  test('a name shared by two custom services', () => {
    const second = { ...right(), slug: 'climate', aliases: ['Weather'] };
    const folder = folderWith({ 'a.json': JSON.stringify(right()), 'b.json': JSON.stringify(second) });
    expect(failure(folder).message).toBe('b.json: aliases[0]: is taken by a.json; choose another');
  });
});

describe('valid custom definitions', () => {
  test('load together with the built-in ones, with or without a byte order mark, an id and unrelated files', () => {
    const id = 'b15ecdf4-eaa2-5b4a-8f3a-8cf936297a4e';
    const folder = folderWith({
      'weather.json': `\ufeff${JSON.stringify({ ...right(), id, aliases: ['wttr', 'weather'] })}`,
      '.hidden.json': '{',
      'notes.txt': '{',
    });
    const catalogue = ServiceCatalogue.load({ folder });
    expect(catalogue.get('wttr')).toMatchObject({
      slug: 'weather',
      id,
      hosts: ['api.weather.example', '{weather_host}'],
    });
    expect(catalogue.customFileOf('weather')).toBe('weather.json');
    expect(catalogue.customFileOf('linear')).toBeUndefined();
    expect(catalogue.list().length).toBe(ServiceCatalogue.load().list().length + 1);
  });

  test('load without a file that another process removes after the folder was listed', () => {
    const folder = folderWith({ 'removed.json': '{}', 'weather.json': JSON.stringify(right()) });
    const { readdirSync } = fs;
    const spy = vi.spyOn(fs, 'readdirSync').mockImplementation(((listed: string) => {
      const names = readdirSync(listed);
      if (listed === folder) fs.rmSync(path.join(folder, 'removed.json'));
      return names;
    }) as typeof fs.readdirSync);
    onTestFinished(() => spy.mockRestore());
    const catalogue = ServiceCatalogue.load({ folder });
    expect(catalogue.customFileOf('weather')).toBe('weather.json');
    expect(catalogue.list().length).toBe(ServiceCatalogue.load().list().length + 1);
  });

  test('are an empty list if the folder is missing', () => {
    const folder = path.join(folderWith({}), 'not', 'there');
    expect(ServiceCatalogue.load({ folder }).list()).toEqual(ServiceCatalogue.load().list());
  });

  test('may have a field in any label of a host, and a port', () => {
    const definition = {
      ...right(),
      hosts: ['email.{weather_host}.example.com', '{weather_host}-dsn.example.net:8443', '*.example.org'],
      base_url: undefined,
    };
    const catalogue = ServiceCatalogue.load({
      folder: folderWith({ 'weather.json': JSON.stringify(definition) }),
    });
    expect(catalogue.get('weather').hosts).toHaveLength(3);
  });
});
