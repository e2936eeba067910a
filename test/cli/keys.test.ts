/** `keyhold keys`: create and rotate print the new key once, and no other output contains a key. */
import fs from 'node:fs';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApiKeyInfo, ApiKeyList, NewApiKey } from '../../src/contract/api_key.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { openTestVault } from '../kit/vault/temp_vault.ts';

const NO_ID = '01a202a0-0000-7000-8000-000000000000';
const KEY = /^kh_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/;

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

const create = (...argv: string[]) => keyholdJson<NewApiKey>(home, ['keys', 'create', ...argv]);
const list = (...argv: string[]) => keyholdJson<ApiKeyList>(home, ['keys', 'list', ...argv]);

/** Returns the caller that the vault authenticates with the key. */
async function authenticate(key: string) {
  const { vault } = await openTestVault(home);
  return vault.api_keys.authenticate(key, 'rest', 'request');
}

describe('keys create with invalid options', () => {
  test.each([
    ['an unknown scope', ['--scopes', 'credentials:raed'], /--scopes takes one or more of these/],
    ['an empty item in --scopes', ['--scopes', 'credentials:read,'], /--scopes takes a list with commas/],
    ['an empty --scopes', ['--scopes', ''], /--scopes takes a list with commas/],
    ['an empty item in --services', ['--services', ' , linear'], /--services takes a list/],
    [
      'an expiry that is not a date or time',
      ['--expires', 'tomorrow'],
      /--expires takes a date or time such as/,
    ],
    ['an expiry in the past', ['--expires', '2020-01-01'], /must be in the future/],
    ['an expiry in zero days', ['--expires', '0d'], /must be in the future/],
    ['an expiry beyond the largest date', ['--expires', '999999w'], /--expires takes a date or time/],
    ['an invalid organization name', ['--org', 'Acme Inc'], /organization must be lower case/],
    ['an invalid user name', ['--user', '../ana'], /user must be letters/],
    ['a key name with a control character', ['--name', 'a\u0007b'], /name must not hold control characters/],
  ])('keys create exits with 2 for %s', async (_what, argv, expected) => {
    const { code, stdout, stderr } = await keyhold(home, ['keys', 'create', ...argv]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(expected);
  });

  test('keys create exits with 5 for an unknown service or unit and creates no key', async () => {
    for (const argv of [
      ['--services', 'linear,no_such'],
      ['--user', 'ana', '--unit', 'no_such'],
    ]) {
      const { code, stdout } = await keyhold(home, ['keys', 'create', ...argv]);
      expect(code).toBe(5);
      expect(stdout).toBe('');
    }
    expect((await list()).keys).toEqual([]);
  });

  test.each([
    [
      'a tool that does not exist',
      ['--tools', 'list_services,foo'],
      /a tool that does not exist\. The tools: store_c/,
    ],
    [
      'tools that its scopes do not allow',
      ['--tools', 'store_credential', '--scopes', 'credentials:read'],
      /could call none of its tools.*credentials:write/,
    ],
    [
      'a stack that does not exist',
      ['--stack', 'nosuch', '--scopes', 'credentials:read'],
      /The user has no such stack/,
    ],
    [
      'a stack that a new user does not have and cannot create',
      ['--org', 'acme', '--user', 'ana', '--stack', 'nosuch', '--scopes', 'credentials:read'],
      /The user has no such stack/,
    ],
    [
      'a stack that does not exist and that the key cannot create without stacks:write',
      ['--stack', 'nosuch', '--scopes', 'credentials:write'],
      /keyhold store SERVICE --stack NAME/,
    ],
    [
      'a stack that does not exist and that a key of the administrator cannot create',
      ['--stack', 'nosuch', '--scopes', 'org:admin,keys:write,stacks:write'],
      /The user has no such stack/,
    ],
    [
      'a stack that does not exist and that none of the tools creates',
      ['--stack', 'nosuch', '--tools', 'delete_credential,list_services'],
      /The user has no such stack/,
    ],
    ['a generated id of a stack that does not exist', ['--stack', 'stack_1'], /The user has no such stack/],
    [
      'a stack that does not exist and whose name is refused',
      ['--stack', 'te\u0430m'],
      /The user has no such stack/,
    ],
    ['a service that does not exist', ['--services', 'nosuch'], /No such service/],
  ])('keys create is refused for %s, and creates neither a key nor a user', async (_, options, expected) => {
    await keyholdOk(home, ['init']);
    const { code, stdout, stderr } = await keyhold(home, ['keys', 'create', ...options]);
    expect(code === 0).toBe(false);
    expect(stdout).toBe('');
    expect(stderr).toMatch(expected);
    expect((await list()).keys).toEqual([]);
    const { entries } = await keyholdJson<{ entries: { action: string }[] }>(home, ['audit', 'list']);
    expect(entries.map(({ action }) => action)).toEqual(['init']);
  });

  test('keys create accepts a stack that the user has', async () => {
    await keyholdOk(home, ['store', 'linear', '--stack', 'team'], { stdin: 'lin_api_x' });
    const made = await create('--stack', 'team', '--scopes', 'credentials:write');
    expect(made).toMatchObject({ stack_id: 'team' });
    expect(made.notice).toBeUndefined();
  });

  test('keys create warns of a stack that does not exist if the key can create it by storing a credential', async () => {
    const options = ['keys', 'create', '--org', 'acme', '--user', 'ana', '--stack', 'team'];
    const { code, stderr } = await keyhold(home, options);
    expect(code).toBe(0);
    expect(stderr).toContain('Warning: The user has no stack of this name yet');
    const made = await create('--org', 'acme', '--user', 'ana', '--stack', 'team');
    expect(made.notice).toContain('If the name is a typo, revoke the key.');
    const { vault } = await openTestVault(home);
    const caller = await vault.api_keys.authenticate(made.key, 'rest', 'request');
    await vault.store(caller, {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'lin_api_x',
    });
    expect((await create('--org', 'acme', '--user', 'ana', '--stack', 'team')).notice).toBeUndefined();
  });

  test('keys create with an invalid option creates no vault', async () => {
    await keyhold(home, ['keys', 'create', '--expires', 'tomorrow']);
    expect(fs.existsSync(home)).toBe(false);
  });
});

describe('keys create', () => {
  test('keys create prints the new key once on stdout, and its restrictions and a warning on stderr', async () => {
    const { code, stdout, stderr } = await keyhold(home, [
      'keys',
      'create',
      ...[
        '--org',
        'acme',
        '--user',
        'ana',
        '--name',
        'ci',
        '--services',
        'linear, github',
        '--stack',
        'team',
      ],
    ]);
    expect(code).toBe(0);
    expect(stdout.trimEnd()).toMatch(KEY);
    expect(stdout).toBe(`${stdout.trimEnd()}\n`);
    expect(stderr).toContain('("ci") of ana in acme, only the stack team, only linear, github.');
    expect(stderr).toContain('Scopes: credentials:read, credentials:write, credentials:use, stacks:write.');
    expect(stderr).toContain('Credentials belong to a user: this key sees those of ana in acme only');
    expect(stderr).toContain('The key is shown only once');
    expect(stderr).toContain('never paste it into a chat');
    expect(stderr).not.toContain(stdout.trim());
    const [only] = (await list('--org', 'acme')).keys;
    expect(stderr).toContain(`keyhold keys revoke ${only?.id}`);
  });

  test('keys create creates a key with the given restrictions, and its organization and user', async () => {
    await keyholdOk(home, ['units', 'create', 'sales', '--org', 'acme']);
    const before = Date.now();
    const made = await create(
      ...['--org', 'acme', '--user', 'ana', '--unit', 'sales', '--scopes', 'credentials:read,audit:read'],
      ...['--services', 'linear', '--tools', 'list_services,get_credential_status', '--expires', '30d'],
    );
    expect(made.key).toMatch(KEY);
    expect(made).toMatchObject({
      organization: 'acme',
      user: 'ana',
      name: null,
      scopes: ['credentials:read', 'audit:read'],
      allowed_services: ['linear'],
      allowed_tools: ['list_services', 'get_credential_status'],
      stack_id: null,
      last_used_at: null,
    });
    for (const id of [made.id, made.user_id, made.organization_id, made.unit_id])
      expect(id).toMatch(/^[0-9a-f-]{36}$/);
    const lasts_days = (Date.parse(made.expires_at ?? '') - before) / 86_400_000;
    expect(Math.round(lasts_days)).toBe(30);
    const units = await keyholdJson<{ units: { id: string; name: string }[] }>(home, [
      ...['units', 'list', '--org', 'acme'],
    ]);
    expect(units.units.find(({ name }) => name === 'sales')?.id).toBe(made.unit_id);
    const caller = await authenticate(made.key);
    expect([caller.organization, caller.user, [...caller.scopes]]).toEqual(['acme', 'ana', made.scopes]);
  });

  test('keys create without --org and --user creates a key of the local user', async () => {
    expect(await create()).toMatchObject({ organization: 'local', user: 'me', expires_at: null });
    expect(await create('--expires', '2999-01-31')).toMatchObject({ expires_at: '2999-01-31T00:00:00.000Z' });
  });
});

describe('a new API key that cannot be printed', () => {
  test.each(['EPIPE', 'ENOSPC'])(
    'keys create and rotate exit with 13 after %s and name the key',
    async (errno) => {
      const { id } = await create('--user', 'ana');
      for (const argv of [['create'], ['create', '--json'], ['rotate', id], ['rotate', id, '--json']]) {
        const { code, stderr } = await keyhold(home, ['keys', ...argv], {
          change: (app) => ({ ...app, stdout: failingStream(errno) }),
        });
        expect(code).toBe(13);
        const { keys } = await list();
        const shown = argv[0] === 'rotate' ? id : keys[0]?.id;
        expect(stderr).toContain(`The API key ${shown} was `);
        expect(stderr).toContain('could not be printed');
        expect(stderr).toContain(`keyhold keys revoke ${shown}`);
      }
    },
  );

  function failingStream(code: string): NodeJS.WriteStream {
    const write: PassThrough['_write'] = (_chunk, _encoding, done) =>
      done(Object.assign(new Error('write failed'), { code }));
    return Object.assign(new PassThrough(), { _write: write }) as unknown as NodeJS.WriteStream;
  }
});

describe('keys list', () => {
  test('keys list prints the user, scopes and restrictions of each key, but no key', async () => {
    const first = await create(
      '--user',
      'ana',
      '--name',
      'ci',
      '--services',
      'linear',
      '--expires',
      '2999-01-31',
    );
    const second = await create('--scopes', 'audit:read');
    const shown = await keyholdOk(home, ['keys', 'list']);
    expect(shown).toMatch(/^ID +NAME +USER +SCOPES +RESTRICTIONS +EXPIRES +LAST USED\n/);
    expect(shown).toMatch(
      new RegExp(`^${first.id} +ci +ana +credentials:read .*only linear +2999-01-31 +never$`, 'm'),
    );
    expect(shown).toMatch(new RegExp(`^${second.id} .* me +audit:read +never$`, 'm'));
    const json = await list();
    expect(json.keys.map(({ id }) => id)).toEqual([second.id, first.id]);
    expect(json.more).toBe(false);
    for (const { key } of [first, second]) {
      const secret = key.slice(key.lastIndexOf('_', key.length - 43) + 1);
      expect(shown + JSON.stringify(json)).not.toContain(secret);
    }
  });

  test('keys list prints that a key has expired', async () => {
    const an_hour_ago = () => new Date(Date.now() - 3_600_000);
    const { vault, caller } = await openTestVault(home, {}, undefined, { now: an_hour_ago });
    const at = new Date(an_hour_ago().getTime() + 60_000).toISOString();
    await vault.api_keys.create(caller(), { expires_at: at });
    await vault.close();
    expect(await keyholdOk(home, ['keys', 'list'])).toMatch(/ expired +never$/m);
  });

  test('keys list suggests init without a vault and create without keys, and exits with 5 for an unknown organization', async () => {
    expect(await keyhold(home, ['keys', 'list'])).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('keyhold init'),
    });
    await keyholdOk(home, ['init']);
    expect(await keyholdOk(home, ['keys', 'list'])).toContain('Next: keyhold keys create');
    expect((await keyhold(home, ['keys', 'list', '--org', 'no_such'])).code).toBe(5);
  });
});

describe('keys rotate', () => {
  test('keys rotate prints a new key with the same id, and the previous key no longer works', async () => {
    const made = await create('--name', 'ci');
    const { code, stdout, stderr } = await keyhold(home, ['keys', 'rotate', made.id]);
    expect(code).toBe(0);
    const rotated = stdout.trim();
    expect(rotated).toMatch(KEY);
    expect(rotated).not.toBe(made.key);
    expect(stderr).toContain('The previous key no longer works');
    expect((await authenticate(rotated)).api_key_id).toBe(made.id);
    await expect(authenticate(made.key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('keys rotate --json prints the JSON of keys create with another key', async () => {
    const made = await create('--org', 'acme', '--user', 'ana');
    const rotated = await keyholdJson<NewApiKey>(home, ['keys', 'rotate', made.id]);
    expect({ ...rotated, key: '' }).toEqual({ ...made, key: '' });
  });
});

describe('keys revoke', () => {
  test('keys revoke prompts with the id, name and user of the key, and revokes it only after a yes', async () => {
    const made = await create('--user', 'ana', '--name', 'ci');
    const no = await keyhold(home, ['keys', 'revoke', made.id], { terminal: true, typed: [[/Revoke/, 'n']] });
    expect(no.code).toBe(0);
    expect(no.stderr).toContain(`Revoke the API key ${made.id} ("ci") of ana in local?`);
    expect(no.stderr).toContain('Nothing was revoked.');
    expect((await authenticate(made.key)).user).toBe('ana');
    const yes = await keyhold(home, ['keys', 'revoke', made.id], {
      terminal: true,
      typed: [[/Revoke/, 'y']],
    });
    expect(yes.stdout).toBe(`Revoked the API key ${made.id}.\n`);
    await expect(authenticate(made.key)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('keys revoke without a terminal exits with 2 unless --yes is given', async () => {
    const made = await create('--org', 'acme', '--user', 'ana');
    const refused = await keyhold(home, ['keys', 'revoke', made.id]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('Use --yes') });
    expect(await keyholdJson(home, ['keys', 'revoke', made.id, '--yes'])).toEqual({ success: true });
    expect((await list('--org', 'acme')).keys).toEqual([]);
  });
});

describe('keys rotate and keys revoke', () => {
  test('keys rotate and keys revoke accept the id without hyphens and in upper case', async () => {
    const made = await create();
    const [, inside = ''] = made.key.split('_');
    const rotated = await keyholdJson<NewApiKey>(home, ['keys', 'rotate', inside]);
    expect(rotated.id).toBe(made.id);
    const run = await keyhold(home, ['keys', 'revoke', inside.toUpperCase(), '--yes']);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect((await list()).keys).toEqual([]);
  });

  test.each([['rotate'], ['revoke', '--yes']])(
    'keys %s exits with 5 for an unknown key id',
    async (verb, ...more) => {
      await create();
      const run = await keyhold(home, ['keys', verb, NO_ID, ...more]);
      expect(run).toMatchObject({ code: 5, stdout: '' });
    },
  );

  test.each([['rotate'], ['revoke', '--yes']])(
    'keys %s exits with 2 for a key or an incomplete id, and does not repeat it',
    async (verb, ...more) => {
      const { key, id } = await create();
      for (const typed of [key, key.slice(0, 20), key.toUpperCase(), id.slice(0, 8), `${id} `]) {
        const { code, stdout, stderr } = await keyhold(home, ['keys', verb, typed, ...more]);
        expect(code).toBe(2);
        expect(stdout).toBe('');
        expect(stderr).toContain('keyhold keys list');
        expect(stderr).not.toContain(typed);
      }
      const { stderr } = await keyhold(home, ['keys', verb, key, ...more]);
      expect(stderr).toMatch(/rotate the key/);
      expect((await list()).keys.map((one: ApiKeyInfo) => one.id)).toEqual([id]);
    },
  );
});
