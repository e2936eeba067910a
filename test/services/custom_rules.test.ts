/** Rules for custom definitions: names, addresses, texts and patterns. */
import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../src/contract/errors.ts';
import { addService } from '../../src/services/add_service.ts';
import { ServiceCatalogue } from '../../src/services/catalogue.ts';
import { isBuiltInPattern } from '../../src/services/pattern.ts';
import { changesPrograms } from '../../src/services/variable_names.ts';
import { checkValues } from '../../src/vault/credentials/value_validation.ts';
import { shortestMs } from '../kit/shortest_ms.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const FIELD = {
  field_id: 'weather_key',
  name: 'Key',
  description: 'The key.',
  required: true,
  secret: true,
  max_length: 65_536,
};

function definition(change: Record<string, unknown> = {}, field: Record<string, unknown> = {}) {
  return {
    slug: 'weather',
    name: 'Weather',
    description: 'The weather.',
    category: 'data',
    fields: [
      { ...FIELD, ...field },
      { ...FIELD, field_id: 'weather_host', secret: false },
    ],
    value_field: { api_key: 'weather_key' },
    credential_types: ['api_key'],
    hosts: ['api.weather.example'],
    injection: { in: 'header', headers: { 'X-Key': '{weather_key}' } },
    ...change,
  };
}

function refusal(json: unknown, catalogue = ServiceCatalogue.load()): string {
  try {
    addService(json, 'weather.json', temporaryFolder(), catalogue);
  } catch (error) {
    if (error instanceof VaultError && error.code === 'INVALID_INPUT') return error.message;
    throw error;
  }
  return 'added';
}

describe('the name of a custom service', () => {
  test.each([
    [
      'the name of a built-in service',
      { name: 'OpenAI' },
      'name: looks like a name of the built-in service openai',
    ],
    [
      'a name in other letter case',
      { name: 'OPEN ai' },
      'name: looks like a name of the built-in service openai',
    ],
    ['full-width letters', { name: 'ＯｐｅｎＡＩ' }, 'name: must be normalized (Unicode NFKC)'],
    ['a Cyrillic letter in the name', { name: 'OpenАI' }, 'name: must not mix letters of different scripts'],
    ['Cyrillic letters alone', { name: 'ОрепАІ' }, 'name: looks like a name of the built-in service openai'],
    [
      'a digit in place of a letter',
      { name: '0penAI' },
      'name: looks like a name of the built-in service openai',
    ],
    ['an accent', { name: 'Ópenai' }, 'name: looks like a name of the built-in service openai'],
    ['a slug with a dash', { slug: 'open-ai' }, 'slug: looks like a name of the built-in service openai'],
    [
      'an alias with a dash',
      { aliases: ['open-ai'] },
      'aliases[0]: looks like a name of the built-in service openai',
    ],
    ['a zero-width space', { name: 'Open\u200bAI' }, 'name: has a control or invisible character'],
    ['a direction mark', { name: 'Weather\u202e' }, 'name: has a control or invisible character'],
    ['an escape character', { name: 'Weather\u001b[2J' }, 'name: has a control or invisible character'],
  ])('is refused with %s', (_, change, expected) => {
    expect(refusal(definition(change))).toContain(`weather.json: ${expected}`);
  });

  test('is refused if another custom service has it', () => {
    const catalogue = ServiceCatalogue.load();
    addService(definition(), 'weather.json', temporaryFolder(), catalogue);
    expect(refusal(definition({ slug: 'wind', name: 'WEATHER' }), catalogue)).toContain(
      'name: looks like a name of weather.json',
    );
  });

  test.each(['Wetter', 'Погода', '天気 API', 'Météo', 'Mein OpenAI-Konto'])('may be %s', (name) => {
    expect(refusal(definition({ name }))).toBe('added');
  });
});

describe('an address of a custom service', () => {
  const oauth = {
    authorization_url: 'https://a.example/auth',
    token_url: 'https://a.example/token',
    scopes: [],
    pkce: true,
  };
  test.each([
    ['hosts[0]', { hosts: ['{weather_key}.evil.example'] }],
    ['base_url', { hosts: ['{weather_host}'], base_url: 'https://{weather_host}/{weather_key}' }],
    ['oauth.token_url', { oauth: { ...oauth, token_url: 'https://a.example/{weather_key}' } }],
    ['oauth.authorization_url', { oauth: { ...oauth, authorization_url: 'https://{weather_key}.example/' } }],
    ['oauth.revocation_url', { oauth: { ...oauth, revocation_url: 'https://{weather_key}.example/' } }],
  ])('is refused with a secret field in %s', (path, change) => {
    expect(refusal(definition(change))).toBe(
      `weather.json: ${path}: has a secret field: its value would be part of an address`,
    );
  });

  test('is refused without TLS, except on this machine', () => {
    expect(refusal(definition({ base_url: 'http://api.weather.example' }))).toContain(
      'base_url: must be an https URL',
    );
    const local = { hosts: ['localhost:8080'], base_url: 'http://localhost:8080/mcp' };
    expect(refusal(definition(local))).toBe('added');
    const other_address = { hosts: ['127.0.0.2:8080'], base_url: 'http://127.0.0.2:8080/mcp' };
    expect(refusal(definition(other_address))).toBe('added');
    for (const base_url of ['http://localhost\\@evil.example', 'http://localhost@evil.example'])
      expect(refusal(definition({ base_url, hosts: [] })), base_url).not.toBe('added');
    const lookalike = { hosts: ['localhost.evil.example'], base_url: 'http://localhost.evil.example' };
    expect(refusal(definition(lookalike))).toContain('base_url: must be an https URL');
  });
});

describe('a text of a custom service', () => {
  test.each([
    ['description', { description: 'a\u0007' }],
    ['homepage', { homepage: 'https://a.example/\u001b[2J' }],
    [
      'injection.headers.[a key]',
      { injection: { in: 'header', headers: { 'X-Key': 'a\r\nX: {weather_key}' } } },
    ],
    ['icon', { icon: '\u2028' }],
  ])('is refused with a control character in %s', (path, change) => {
    expect(refusal(definition(change))).toBe(`weather.json: ${path}: has a control or invisible character`);
  });

  test.each([
    ['tag characters, which models read', 'The weather.\u{e0041}\u{e0042}'],
    ['a Hangul filler', 'The\u3164weather'],
    ['a soft hyphen', 'The wea\u00adther'],
    ['a variation selector after a letter', 'The weather\ufe0f'],
    ['a supplementary variation selector', 'The \u2600\u{e0100}'],
    ['several variation selectors', 'The \u2600\ufe0f\ufe0e\ufe0f'],
    ['an interlinear annotation', 'The \ufff9weather'],
    ['a joiner between letters', 'The wea\u200dther'],
    ['several joiners', 'The \u2600\u200d\u200c\u200d\u2600'],
  ])('is refused with %s', (_, description) => {
    expect(refusal(definition({ description }))).toBe(
      'weather.json: description: has a control or invisible character',
    );
  });

  test.each([
    '\u2600\ufe0f sun',
    '\u2764\ufe0f\u200d\u{1f525}',
    '1\ufe0f\u20e3 first',
    '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645',
  ])('may be %j', (description) => {
    expect(refusal(definition({ description }))).toBe('added');
  });
});

describe('a pattern of a custom service', () => {
  const service = (pattern: string) =>
    addService(definition({}, { pattern }), 'weather.json', temporaryFolder(), ServiceCatalogue.load());
  const check = (pattern: string, value: string) =>
    checkValues(service(pattern), new Map([['weather_key', value]]), (text) => text);

  test.each([String.raw`(\w+\s?)+$`, '(a+)+', '(a|a)*b', String.raw`(\w*)*x`, '(.*.*.*)*!'])(
    '%s takes less than 100 ms for a value that makes a backtracking engine run for seconds',
    (pattern) => {
      const weather = service(pattern);
      const values = new Map([['weather_key', `${'a'.repeat(28)}?`]]);
      const refuse = () =>
        expect(() => checkValues(weather, values, (text) => text)).toThrow('does not match its format');
      // Loads the engine.
      refuse();
      expect(shortestMs(refuse)).toBeLessThan(100);
    },
  );

  test.each(['(?=a)b', '(?!a)b', '(?<=a)b', String.raw`(a)\1`, 'a{1,2000}'])(
    '%s is refused when the service is added, because RE2 cannot run it',
    (pattern) => {
      expect(refusal(definition({}, { pattern }))).toMatch(
        /^weather\.json: fields\[0\]\.pattern: is not a pattern that RE2 can run/,
      );
    },
  );

  test('matches the whole value, and no value of more than 4096 characters', () => {
    expect(check('[a-z]+', 'abc').get('weather_key')?.reveal()).toBe('abc');
    expect(() => check('[a-z]+', 'abc1')).toThrow('does not match its format');
    expect(() => check('b', 'abc')).toThrow('does not match its format');
    expect(check('[a-z]+', 'a'.repeat(4_096)).size).toBe(1);
    expect(() => check('[a-z]+', 'a'.repeat(4_097))).toThrow('does not match its format');
  });
});

test('the definition in docs/cli.md can be added', () => {
  const [, example = ''] = /```json\n([\s\S]*?)```/.exec(fs.readFileSync('docs/cli.md', 'utf8')) ?? [];
  expect(refusal(JSON.parse(example))).toBe('added');
});

test('every pattern of a built-in definition is known to be linear and runs natively', () => {
  for (const { fields } of ServiceCatalogue.load().list())
    for (const { pattern } of fields) if (pattern !== undefined) expect(isBuiltInPattern(pattern)).toBe(true);
});

describe('the variables of a custom service', () => {
  const REASON = 'has a variable that decides which programs or code run';
  test.each([
    ...['LD_PRELOAD', 'ld_library_path', 'DYLD_INSERT_LIBRARIES', 'PATH', 'NODE_OPTIONS', 'BASH_ENV', 'ENV'],
    ...['PYTHONSTARTUP', 'PYTHONPATH', 'PERL5OPT', 'RUBYOPT', 'GIT_SSH_COMMAND', 'GIT_EXTERNAL_DIFF', 'IFS'],
    ...['SHELLOPTS', 'JAVA_TOOL_OPTIONS', 'KEYHOLD_HOME', 'GIT_CONFIG_COUNT'],
  ])('%s is refused as variable of a value, of a file and of a template', (name) => {
    expect(refusal(definition({}, { env: ['WEATHER_KEY', name] }))).toContain(`fields[0].env: ${REASON}`);
    expect(refusal(definition({}, { env_file: [name] }))).toContain(`fields[0].env_file: ${REASON}`);
    const templated = definition({ environment: { [name]: 'https://{weather_host}/' } });
    expect(refusal(templated)).toContain(`environment: ${REASON}`);
  });

  test('other names are allowed', () => {
    const environment = { WEATHER_URL: 'https://{weather_host}/', http_proxy: 'http://{weather_host}' };
    const fields = { env: ['WEATHER_KEY', 'WEATHER_ENV', 'ENV_KEY'], env_file: ['WEATHER_KEY_PATH'] };
    expect(refusal(definition({ environment }, fields))).toBe('added');
  });

  test('no built-in service has one that is refused', () => {
    const names = ServiceCatalogue.load()
      .list()
      .flatMap(({ fields, environment = {} }) => [
        ...fields.flatMap(({ env = [], env_file = [] }) => [...env, ...env_file]),
        ...Object.keys(environment),
      ]);
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter(changesPrograms)).toEqual([]);
  });
});
