/** `keyhold store` and `keyhold update`: the sources of values, and the credentials that result. */
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CredentialStatus, StoreOutput, UpdateOutput } from '../../src/contract/credential.ts';
import { SEALED_VALUE_MAX_CHARACTERS } from '../../src/contract/limits.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { decryptStoredValues, readAuditEntryRows } from '../kit/vault/database.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
const ENTER = '\r';
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const status = (...argv: string[]) => keyholdJson<CredentialStatus>(home, ['status', ...argv]);

describe('store with invalid input', () => {
  test.each([
    ['empty standard input', ['store', 'linear'], '', /Standard input is empty/],
    ['an empty line', ['store', 'linear'], '\n', /Standard input is empty/],
    ['a value of spaces', ['store', 'linear'], '   \n', /is empty/],
    ['bytes that are not UTF-8', ['store', 'linear'], Buffer.from([0xff, 0xfe, 0x41]), /not UTF-8/],
    [
      'a value that is too large',
      ['store', 'linear'],
      'x'.repeat(SEALED_VALUE_MAX_CHARACTERS + 3),
      /larger than 64 KiB/,
    ],
    [
      'a value that does not match the pattern of the field',
      ['store', 'linear'],
      'two words',
      /does not match its format/,
    ],
    [
      'two sources of the value',
      ['store', 'linear', '--stdin', '--from-env', 'HOME'],
      'x',
      /exclude each other/,
    ],
    [
      'an environment variable that is not set',
      ['store', 'linear', '--from-env', 'NOT_SET'],
      '',
      /is not set/,
    ],
    ['a service that needs several fields', ['store', 'mysql'], 'x', /keyhold update mysql --create --stdin/],
    ['a missing service without a terminal', ['store'], 'x', /Name a service: keyhold store SERVICE/],
    [
      'a JSON object of fields',
      ['store', 'gmail', '--stdin'],
      '{"gmail_client_id":"a","gmail_refresh_token":"b"}',
      /JSON object.*keyhold update gmail --create --stdin/,
    ],
    ['a sealed value of another vault', ['store', 'linear'], 'sealed:AAAA', /sealed value cannot be used/],
  ])('store exits with 2 for %s', async (_what, argv, stdin, expected) => {
    const { code, stdout, stderr } = await keyhold(home, argv, { stdin });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(expected);
    expect(stderr).not.toContain('two words');
  });

  test.each([
    [['store', 'linear', '--stdin']],
    [['seal', 'linear', '--stdin']],
    [['update', 'linear', '--stdin', '--create']],
    [['update', 'linear', 'linear_api_key', '--stdin', '--create']],
  ])('%j exits with 2 in a terminal, which would show the typed value', async (argv) => {
    await keyholdOk(home, ['init']);
    const { code, stderr } = await keyhold(home, argv, { terminal: true });
    expect(code).toBe(2);
    expect(stderr).toMatch(/--stdin .*terminal.*would show the value/);
  });

  test('store exits with 5 for an incomplete service id and suggests the service', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'datab'], { stdin: 'x' });
    expect(code).toBe(5);
    expect(stderr).toBe('error: No service has this id. Did you mean databricks?\n');
  });

  test('store with invalid input creates no vault', async () => {
    await keyhold(home, ['store', 'linear'], { stdin: '' });
    await keyhold(home, ['store', 'no_such'], { stdin: LINEAR_KEY });
    expect(fs.existsSync(home)).toBe(false);
  });

  test('store exits with 5 and suggests init instead of creating a vault with a passphrase', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'linear'], {
      stdin: LINEAR_KEY,
      env: { KEYHOLD_ROOT_KEY: 'passphrase' },
    });
    expect(code).toBe(5);
    expect(stderr).toContain('keyhold init');
  });
});

describe('a vault with a passphrase', () => {
  test('store reports the missing vault before it prompts', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'linear'], {
      terminal: true,
      env: { KEYHOLD_ROOT_KEY: 'passphrase' },
    });
    expect(code).toBe(5);
    expect(stderr).toMatch(/^error: There is no vault here. Run `keyhold init`/);
  });

  test.each([['status'], ['doctor']])('%s suggests only init while there is no vault', async (command) => {
    const { stdout } = await keyhold(home, [command], { env: { KEYHOLD_ROOT_KEY: 'passphrase' } });
    expect(stdout).toContain('keyhold init');
    expect(stdout).not.toMatch(/store a credential|stored credential/);
  });

  test('delete and update prompt for the passphrase once, also before and after another prompt', async () => {
    const env = { KEYHOLD_ROOT_KEY: 'passphrase' };
    const set = { ...env, KEYHOLD_PASSPHRASE: 'correct horse' };
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY, env: set });
    for (const [argv, prompt, keys] of [
      [['update', 'linear', 'linear_api_key'], /API key/i, `${LINEAR_KEY}\r`],
      [['delete', 'linear'], /Delete the credential/, 'y'],
    ] as const) {
      const { code, stderr } = await keyhold(home, argv, {
        terminal: true,
        env,
        typed: [
          [/Passphrase of the vault/, 'correct horse\r'],
          [prompt, keys],
        ],
      });
      expect(code, stderr).toBe(0);
    }
  });
});

describe('store', () => {
  test('store removes the last line ending of standard input and prints the next command', async () => {
    const { code, stdout, stderr } = await keyhold(home, ['store', 'linear'], { stdin: `${LINEAR_KEY}\n` });
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: 'Stored Linear.\nNext: keyhold status linear\n',
      stderr: '',
    });
    expect((await status('linear')).status).toBe('active');
  });

  test.each([
    ['several line endings', `${LINEAR_KEY}\n\n`],
    ['a Windows line ending', `${LINEAR_KEY}\r\n`],
    ['the byte order mark of PowerShell', `\ufeff${LINEAR_KEY}\r\n`],
    ['UTF-16, as Windows PowerShell writes a file', Buffer.from(`\ufeff${LINEAR_KEY}\r\n`, 'utf16le')],
  ])(
    'store, update and seal on standard input accept a value with %s and store it without',
    async (_, stdin) => {
      await keyholdOk(home, ['store', 'linear'], { stdin });
      const id = (await status('linear')).credential_id ?? '';
      expect(await decryptStoredValues(home, id)).toEqual({ linear_api_key: LINEAR_KEY });
      await keyholdOk(home, ['store', 'linear'], { stdin: 'other' });
      await keyholdOk(home, ['update', 'linear', 'linear_api_key'], { stdin });
      expect(await decryptStoredValues(home, id)).toEqual({ linear_api_key: LINEAR_KEY });
      const sealed = await keyholdOk(home, ['seal', 'linear'], { stdin });
      await keyholdOk(home, ['store', 'linear'], { stdin: `\ufeff${sealed}` });
      expect(await decryptStoredValues(home, id)).toEqual({ linear_api_key: LINEAR_KEY });
    },
  );

  test('update --stdin accepts a JSON object after a byte order mark', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: 'other' });
    await keyholdOk(home, ['update', 'linear', '--stdin'], {
      stdin: `\ufeff${JSON.stringify({ linear_api_key: LINEAR_KEY })}`,
    });
    const id = (await status('linear')).credential_id ?? '';
    expect(await decryptStoredValues(home, id)).toEqual({ linear_api_key: LINEAR_KEY });
  });

  test.each([
    '********',
    '[REDACTED]',
    'your-api-key',
    `\${LINEAR_API_KEY}`,
    'op://work/linear',
    'lin\u200bapi',
  ])(
    'store, update and seal exit with 2 for %j on standard input or in a variable, and do not repeat it',
    async (text) => {
      await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
      const id = (await status('linear')).credential_id ?? '';
      for (const argv of [
        ['store', 'linear'],
        ['update', 'linear', 'linear_api_key'],
        ['seal', 'linear'],
      ]) {
        const { code, stdout, stderr } = await keyhold(home, argv, { stdin: text });
        expect({ argv, code, stdout }).toEqual({ argv, code: 2, stdout: '' });
        expect(stderr).toMatch(/reference|placeholder|masked|invisible/);
        expect(stderr).not.toContain(text);
      }
      const from_env = await keyhold(home, ['store', 'linear', '--from-env', 'KEY'], { env: { KEY: text } });
      expect(from_env.code).toBe(2);
      expect(await decryptStoredValues(home, id)).toEqual({ linear_api_key: LINEAR_KEY });
    },
  );

  test('store --json prints the result of the vault, and keeps the id of a credential that it replaces', async () => {
    const first = await keyholdJson<StoreOutput>(home, ['store', 'linear', '--type', 'bearer'], {
      stdin: LINEAR_KEY,
    });
    expect(first).toMatchObject({
      success: true,
      service_id: 'linear',
      credential_type: 'bearer',
      status: 'stored',
    });
    const second = await keyholdJson<StoreOutput>(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    expect(second).toMatchObject({ credential_type: 'api_key', credential_id: first.credential_id });
  });

  test('store --from-env reads the value of an environment variable', async () => {
    await keyholdOk(home, ['store', 'linear', '--from-env', 'MY_KEY'], { env: { MY_KEY: LINEAR_KEY } });
    expect((await status('linear')).status).toBe('active');
  });

  test('store accepts the output of seal', async () => {
    await keyholdOk(home, ['init']);
    const sealed = await keyholdOk(home, ['seal', 'linear'], { stdin: LINEAR_KEY });
    expect(sealed).toMatch(/^sealed:2:[A-Za-z0-9+/]+=*\n$/);
    await keyholdOk(home, ['store', 'linear'], { stdin: sealed });
    expect((await status('linear')).status).toBe('active');
  });

  test('store lists the missing fields and the command that adds them', async () => {
    const out = await keyholdOk(home, ['store', 'datadog', '--name', "Ann's"], { stdin: 'abc' });
    expect(out).toContain('Still missing: datadog_site');
    expect(out).toContain(String.raw`Next: keyhold update datadog datadog_site --name 'Ann'\''s'`);
  });

  test('store --name --stack stores the credential with that name in that stack', async () => {
    await keyholdOk(home, ['store', 'linear', '--name', 'work', '--stack', 'team'], { stdin: LINEAR_KEY });
    expect((await status('linear')).status).toBe('missing');
    expect((await status('linear', '--name', 'work', '--stack', 'team')).status).toBe('active');
  });
});

describe('store in a terminal', () => {
  test('store prompts for the value on stderr and does not echo it', async () => {
    const { code, stdout, stderr } = await keyhold(home, ['store', 'groq'], {
      terminal: true,
      typed: [[/Groq: API key/, LINEAR_KEY + ENTER]],
    });
    expect(code).toBe(0);
    expect(stdout).toContain('Stored Groq.');
    expect(stderr).not.toContain(LINEAR_KEY);
  });

  test('store prompts for each field, required fields first, and again after an invalid value', async () => {
    const { code, stdout, stderr } = await keyhold(home, ['store', 'datadog'], {
      terminal: true,
      typed: [
        [/Datadog: API key/, `dd key${ENTER}`],
        [/does not match its format.*Datadog: API key/s, `dd_api_key${ENTER}`],
        [/Datadog: Site/, `datadoghq.eu${ENTER}`],
        [/Datadog: Application key \(Enter to skip\)/, ENTER],
        [/Datadog: Access token \(Enter to skip\)/, ENTER],
      ],
    });
    expect(stderr).toContain('datadoghq.eu');
    expect(stderr).not.toContain('dd_api_key');
    expect(code).toBe(0);
    expect(stdout).toContain('Stored Datadog.');
    expect(await status('datadog')).toMatchObject({
      required_credentials: { datadog_api_key: 'added', datadog_site: 'added' },
      optional_credentials: { datadog_app_key: 'missing' },
    });
  });

  test('store without a service prompts for one and finds it by its name', async () => {
    const { code } = await keyhold(home, ['store'], {
      terminal: true,
      typed: [
        [/Which service/, 'Groq'],
        [/Groq.*Open models/s, ENTER],
        [/Groq: API key/, LINEAR_KEY + ENTER],
      ],
    });
    expect(code).toBe(0);
    expect((await status('groq')).status).toBe('active');
  });

  test.each([
    ['Ctrl-C', CTRL_C],
    ['Ctrl-D', CTRL_D],
    ['the end of the terminal input', null],
  ])('store exits with 130 and creates nothing after %s at the prompt', async (_name, key) => {
    const { code, stdout } = await keyhold(home, ['store', 'linear'], {
      terminal: true,
      typed: [[/Linear: API key/, key]],
    });
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(fs.existsSync(home)).toBe(false);
  });

  test('store exits with 2 after Enter without a value', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'groq'], {
      terminal: true,
      typed: [[/Groq: API key/, ENTER]],
    });
    expect(code).toBe(2);
    expect(stderr).toContain('No value was given');
  });

  test('store exits with 2 for a paste of several lines instead of truncating it', async () => {
    const { code, stderr } = await keyhold(home, ['store', 'linear'], {
      terminal: true,
      typed: [[/Linear: API key/, `first_line${ENTER}second_line${ENTER}`]],
    });
    expect(code).toBe(2);
    expect(stderr).toContain('--stdin < FILE');
    expect(stderr).not.toContain('second_line');
  });
});

describe('update with invalid input', () => {
  test.each([
    ['a field that the service does not have', ['update', 'linear', 'x'], 'v', /Its fields: linear_api_key/],
    [
      'a field that is named twice',
      ['update', 'linear', 'linear_api_key', 'linear_api_key'],
      'v',
      /named twice/,
    ],
    [
      'several fields on standard input',
      ['update', 'datadog', 'datadog_site', 'datadog_api_key'],
      'v',
      /one field/,
    ],
    ['text instead of an object', ['update', 'datadog'], 'v', /must be a JSON object/],
    ['an array', ['update', 'datadog'], '["v"]', /must be a JSON object/],
    ['null', ['update', 'datadog'], 'null', /must be a JSON object/],
    ['a value that is not a string', ['update', 'datadog'], '{"datadog_site":1}', /as strings/],
    ['a key that is not a field', ['update', 'datadog'], '{"__proto__":"v"}', /the name "__proto__"/],
    [
      'a field that the object has twice',
      ['update', 'datadog'],
      '{"datadog_site":"a","datadog_site":"b"}',
      /the same name twice/,
    ],
    [
      'an object as the value of one field',
      ['update', 'datadog', 'datadog_site', '--create'],
      '{"datadog_site":"a"}',
      /JSON object.*keyhold update datadog --create --stdin/,
    ],
    ['an empty object', ['update', 'datadog', '--create'], '{}', /at least one field/],
    ['--from-env without a field', ['update', 'datadog', '--from-env', 'HOME'], '', /takes FIELD=NAME/],
  ])('update exits with 2 for %s', async (_what, argv, stdin, expected) => {
    const { code, stderr } = await keyhold(home, argv, { stdin });
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
  });

  test('update exits with 2 for a field from both standard input and the environment', async () => {
    const { code, stderr } = await keyhold(
      home,
      ['update', 'linear', '--stdin', '--from-env', 'linear_api_key=K'],
      {
        stdin: `{"linear_api_key":"x"}`,
        env: { K: 'y' },
      },
    );
    expect(code).toBe(2);
    expect(stderr).toContain('named twice');
  });
});

describe('update of a credential that is missing', () => {
  test('update exits with 5 for a name that no credential has, lists those that exist and changes nothing', async () => {
    await keyholdOk(home, ['store', 'linear', '--name', 'work'], { stdin: LINEAR_KEY });
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    const entries = (await readAuditEntryRows(home)).length;
    for (const argv of [
      ['update', 'linear', 'linear_api_key', '--name', 'wrok'],
      ['update', 'linear', '--stdin', '--name', 'wrok'],
      ['update', 'linear', '--from-env', 'linear_api_key=K', '--name', 'wrok'],
    ]) {
      const stdin = argv.includes('--stdin') ? '{"linear_api_key":"other"}' : 'other';
      const { code, stdout, stderr } = await keyhold(home, argv, { stdin, env: { K: 'other' } });
      expect({ argv, code, stdout }).toEqual({ argv, code: 5, stdout: '' });
      expect(stderr).toBe(
        'error: There is no such credential of Linear, so nothing was changed. Stored for it: (without a name), work. Correct --name or --stack, or add --create to create it.\n',
      );
    }
    expect((await status('linear', '--name', 'wrok')).status).toBe('missing');
    expect((await readAuditEntryRows(home)).length).toBe(entries);
  });

  test('update in a terminal exits with 5 before it prompts for a value', async () => {
    await keyholdOk(home, ['store', 'datadog'], { stdin: 'abc' });
    for (const fields of [[], ['datadog_site']]) {
      const { code, stderr } = await keyhold(home, ['update', 'datadog', ...fields, '--name', 'wrok'], {
        terminal: true,
      });
      expect(code).toBe(5);
      expect(stderr).toMatch(/^error: /);
    }
  });

  test('update exits with 5 and creates no vault', async () => {
    expect((await keyhold(home, ['update', 'linear', 'linear_api_key'], { stdin: 'x' })).code).toBe(5);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('update --create creates the credential', async () => {
    await keyholdOk(home, ['update', 'linear', 'linear_api_key', '--name', 'new', '--create'], {
      stdin: 'x',
    });
    expect((await status('linear', '--name', 'new')).status).toBe('active');
  });
});

describe('update', () => {
  test('update changes the named field and keeps the others', async () => {
    await keyholdOk(home, ['store', 'datadog'], { stdin: 'abc' });
    const out = await keyholdOk(home, ['update', 'datadog', 'datadog_site', '--yes'], {
      stdin: 'datadoghq.com\n',
    });
    expect(out).toBe('Updated Datadog: datadog_site\nNext: keyhold status datadog\n');
    expect((await status('datadog')).required_credentials_added).toBe(true);
  });

  test('update --stdin accepts several fields as a JSON object', async () => {
    const output = await keyholdJson<UpdateOutput>(home, ['update', 'datadog', '--create', '--stdin'], {
      stdin: '{"datadog_api_key":"abc","datadog_site":"datadoghq.com"}',
    });
    expect(output.updated_fields).toEqual(['datadog_api_key', 'datadog_site']);
    expect(output.status).toBe('active');
  });

  test('update combines fields from the environment with one from standard input', async () => {
    const argv = ['update', 'datadog', 'datadog_site', '--create', '--stdin'];
    const from_env = ['api_key=A', 'app_key=B', 'access_token=C'].flatMap((one) => [
      '--from-env',
      `datadog_${one}`,
    ]);
    const output = await keyholdJson<UpdateOutput>(home, [...argv, ...from_env], {
      stdin: 'datadoghq.com',
      env: { A: 'a1', B: 'b1', C: 'c1' },
    });
    expect(output.all_credentials_added).toBe(true);
  });

  test('update does not read standard input if all fields come from the environment', async () => {
    const output = await keyholdJson<UpdateOutput>(
      home,
      ['update', 'linear', '--create', '--from-env', 'linear_api_key=K'],
      {
        env: { K: LINEAR_KEY },
        terminal: true,
      },
    );
    expect(output.updated_fields).toEqual(['linear_api_key']);
  });

  test('update prompts for the named fields in a terminal and does not echo them', async () => {
    const { code, stderr } = await keyhold(home, ['update', 'datadog', 'datadog_site', '--create'], {
      terminal: true,
      typed: [[/Datadog: Site/, `datadoghq.eu${ENTER}`]],
    });
    expect(code).toBe(0);
    expect(stderr).not.toContain('datadoghq.eu');
  });

  test('update without a field prompts for every field in a terminal, and Enter keeps a field', async () => {
    await keyholdOk(home, ['store', 'datadog'], { stdin: 'abc' });
    const { code, stdout } = await keyhold(home, ['update', 'datadog'], {
      terminal: true,
      typed: [
        [/API key \(Enter to skip\)/, ENTER],
        [/Site \(Enter to skip\)/, `datadoghq.eu${ENTER}`],
        [/Application key \(Enter to skip\)/, ENTER],
        [/Access token \(Enter to skip\)/, ENTER],
        [/Approve\?/, 'y'],
      ],
    });
    expect(code).toBe(0);
    expect(stdout).toContain('Updated Datadog: datadog_site\n');
    expect((await status('datadog')).required_credentials_added).toBe(true);
  });
});

describe('fields that decide where the stored secrets are sent', () => {
  const grafana = ['grafana', '--stdin', '--create'];
  const STORED = { grafana_token: 'glsa_tokenOfAPerson0123456789', grafana_host: 'acme.grafana.net' };
  const storeGrafana = () => keyholdOk(home, ['update', ...grafana], { stdin: JSON.stringify(STORED) });

  test('update without a terminal shows the origins, changes nothing and names --yes', async () => {
    await storeGrafana();
    const argv = ['update', 'grafana', '--set', 'grafana_host=b.grafana.net'];
    const { code, stderr } = await keyhold(home, argv);
    expect(code).toBe(2);
    expect(stderr).toContain('bound to  https://acme.grafana.net');
    expect(stderr).toContain('would be  https://b.grafana.net');
    expect(stderr).toContain('--yes');
    expect((await status('grafana')).destination).toEqual(['https://acme.grafana.net']);
  });

  test('update in a terminal changes nothing without a yes, and one field after a yes', async () => {
    await storeGrafana();
    const confirm = (keys: string) =>
      keyhold(home, ['update', 'grafana', '--set', 'grafana_host=b.grafana.net'], {
        terminal: true,
        typed: [[/Approve\?/, keys]],
      });
    expect((await confirm(ENTER)).stderr).toContain('Nothing was changed.');
    expect((await status('grafana')).destination).toEqual(['https://acme.grafana.net']);
    expect((await confirm('y')).stdout).toContain('Updated Grafana: grafana_host\n');
    const { destination, credential_id } = await status('grafana');
    expect(destination).toEqual(['https://b.grafana.net']);
    expect(await decryptStoredValues(home, credential_id ?? '')).toEqual({
      ...STORED,
      grafana_host: 'b.grafana.net',
    });
    const { entries } = await keyholdJson<{ entries: readonly object[] }>(home, ['audit', 'list']);
    expect(entries[0]).toMatchObject({ action: 'approve_destination', fields: ['grafana_host'] });
  });

  test('update --yes refuses a host that no credential may be sent to', async () => {
    await storeGrafana();
    const { code } = await keyhold(home, ['update', 'grafana', '--yes', '--set', 'grafana_host=10.0.0.1']);
    expect(code).toBe(2);
    expect((await status('grafana')).destination).toEqual(['https://acme.grafana.net']);
  });

  test('store --set gives the site together with the key, in one call', async () => {
    const argv = ['store', 'datadog', '--set', 'datadog_site=datadoghq.eu'];
    await keyholdOk(home, argv, { stdin: 'abc' });
    expect((await status('datadog')).status).toBe('active');
  });

  test('store prompts in a terminal for the site if the key comes from the environment', async () => {
    const { code } = await keyhold(home, ['store', 'datadog', '--from-env', 'K'], {
      env: { K: 'abc' },
      terminal: true,
      typed: [[/Datadog: Site/, `datadoghq.eu${ENTER}`]],
    });
    expect(code).toBe(0);
    expect((await status('datadog')).status).toBe('active');
  });

  test.each([
    ['a secret field', 'datadog_api_key=abc', /datadog_api_key is secret/],
    ['a field that the service does not have', 'other=abc', /one of datadog_site/],
    ['no value', 'datadog_site', /FIELD=VALUE/],
  ])('store --set refuses %s and does not repeat it', async (_what, set, expected) => {
    const { code, stderr } = await keyhold(home, ['store', 'datadog', '--set', set], { stdin: 'abc' });
    expect(code).toBe(2);
    expect(stderr).toMatch(expected);
    expect(stderr).not.toContain('abc');
  });
});

test('status and update name the missing fields of which one group is enough', async () => {
  const out = await keyholdOk(home, ['update', 'dropbox', '--create', '--set', 'dropbox_client_id=abc123']);
  const next = 'keyhold update dropbox dropbox_refresh_token';
  expect(out).toContain(`Still missing: dropbox_refresh_token\nNext: ${next}`);
  expect(await keyholdOk(home, ['status', 'dropbox'])).toContain(`Next: ${next}`);
  expect(await keyholdOk(home, ['status'])).toMatch(/dropbox +incomplete +dropbox_refresh_token/);
});
