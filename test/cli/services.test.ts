/** `keyhold services`, `keyhold init` and `keyhold audit`. */

import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { progressOn } from '../../src/cli/commands/audit/verify.ts';
import type { AuditPage, AuditReport } from '../../src/contract/audit.ts';
import { SERVICE_FILE_MAX_BYTES } from '../../src/contract/limits.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { readAuditEntryRows, replaceAuditEntries } from '../kit/vault/database.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

describe('services add', () => {
  test.each([
    ['malformed JSON', '{', /line 1, column 2/],
    ['an invalid definition', '{"slug":"x"}', /name/],
    ['a definition that is too large', ' '.repeat(SERVICE_FILE_MAX_BYTES + 1), /at most 256 KiB/],
    [
      'the id of a built-in service',
      JSON.stringify({ ...INTRANET, slug: 'linear' }),
      /is taken by the built-in/,
    ],
  ])('services add exits with 2 for %s and creates nothing', async (_what, stdin, expected) => {
    const { code, stderr } = await keyhold(home, ['services', 'add', '-', '--yes'], { stdin });
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('services add exits with 2 for a folder', async () => {
    const { code, stderr } = await keyhold(home, ['services', 'add', path.dirname(home)]);
    expect(code).toBe(2);
    expect(stderr).toContain('not a regular file');
  });

  test('services add adds a service for list and store', async () => {
    const added = await keyholdJson(home, ['services', 'add', '-', '--yes'], {
      stdin: JSON.stringify(INTRANET),
    });
    expect(added).toMatchObject({ service_id: 'intranet', hosts: ['intranet.example.com'] });
    expect(await keyholdOk(home, ['services', 'list', 'intranet'])).toContain('Our own pages.');
    await keyholdOk(home, ['store', 'intranet'], { stdin: 'abc' });
  });

  test('services add prints that running servers must be restarted if it replaces one, except with --json', async () => {
    const stdin = JSON.stringify(INTRANET);
    expect((await keyhold(home, ['services', 'add', '-', '--yes'], { stdin })).stderr).toBe('');
    const shown = await keyhold(home, ['services', 'add', '-', '--yes'], { stdin });
    expect(shown.stderr).toMatch(
      /Restart a running `keyhold serve` or `keyhold mcp` to use the new definition\.\n$/,
    );
    expect((await keyhold(home, ['services', 'add', '-', '--yes', '--json'], { stdin })).stderr).toBe('');
  });

  test('services add refuses a title or a text with control characters', async () => {
    for (const change of [
      { name: 'Intra\u001b[31mnet' },
      { description: 'It.\u001b]52;c;eA==\u0007' },
      { description: 'It.\u202etxt' },
      { fields: [{ ...INTRANET.fields[0], name: 'To\u009b2Jken' }] },
      { fields: [{ ...INTRANET.fields[0], help_url: 'https://a.example/\u001b[2J' }] },
    ]) {
      const stdin = JSON.stringify({ ...INTRANET, ...change });
      const { code, stdout, stderr } = await keyhold(home, ['services', 'add', '-', '--yes'], { stdin });
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('has a control or invisible character');
      for (const character of ['\u001b', '\u009b', '\u0007', '\u202e'])
        expect(stderr).not.toContain(character);
    }
  });

  test('services add prints hosts and fields before a confirmation, and adds nothing without one', async () => {
    const file = path.join(path.dirname(home), 'intranet.json');
    fs.writeFileSync(file, JSON.stringify(INTRANET));
    const shown = [
      '  name        Intranet (intranet)',
      '  description Our own pages.',
      '  sends to    intranet.example.com',
      '  secrets in  header Authorization: Bearer {token}',
      '  fields      token (secret)',
      '',
    ].join('\n');
    const without = await keyhold(home, ['services', 'add', file]);
    expect(without).toMatchObject({ code: 2, stdout: '' });
    expect(without.stderr.startsWith(shown)).toBe(true);
    expect(without.stderr).toContain('add --yes');
    const refused = await keyhold(home, ['services', 'add', file], {
      terminal: true,
      typed: [[/Add this service\?/, 'n']],
    });
    expect(refused.stderr).toContain('Nothing was added.');
    expect(fs.existsSync(home)).toBe(false);
    const added = await keyhold(home, ['services', 'add', file], {
      terminal: true,
      typed: [[/Add this service\?/, 'y']],
    });
    expect(added).toMatchObject({ code: 0 });
    expect(added.stdout).toContain('Added Intranet (intranet).');
  });
});

describe('services remove', () => {
  const add = () => keyholdOk(home, ['services', 'add', '-', '--yes'], { stdin: JSON.stringify(INTRANET) });

  test('services remove removes a custom service after a confirmation, and its credential can still be deleted', async () => {
    await add();
    await keyholdOk(home, ['store', 'intranet'], { stdin: 'abc' });
    expect(await keyhold(home, ['services', 'remove', 'intranet'])).toMatchObject({ code: 2, stdout: '' });
    const no = await keyhold(home, ['services', 'remove', 'intranet'], {
      terminal: true,
      typed: [[/Remove the service Intranet/, 'n']],
    });
    expect(no.stderr).toContain('Nothing was removed.');
    expect(await keyholdOk(home, ['services', 'remove', 'intranet', '--yes'])).toContain('Removed Intranet.');
    expect(fs.readdirSync(path.join(home, 'services'))).toEqual([]);
    expect((await keyhold(home, ['services', 'show', 'intranet'])).code).toBe(5);
    await keyholdOk(home, ['delete', 'intranet', '--yes']);
  });

  test('services remove removes a definition with which no command starts', async () => {
    await add();
    const broken = { ...INTRANET, slug: 'extranet', name: 'Extranet', aliases: ['intranet'] };
    fs.writeFileSync(path.join(home, 'services', 'broken.json'), JSON.stringify(broken));
    expect((await keyhold(home, ['services', 'list'])).code).toBe(2);
    const unknown = await keyhold(home, ['services', 'remove', 'nosuch', '--yes']);
    expect(unknown.stderr).toContain('intranet.json: slug: is taken by broken.json');
    const no = await keyhold(home, ['services', 'remove', 'broken'], {
      terminal: true,
      typed: [[/Remove the service broken\.json/, 'n']],
    });
    expect(no.stderr).toContain('Nothing was removed.');
    expect(await keyholdOk(home, ['services', 'remove', 'broken', '--yes'])).toContain(
      'Removed broken.json.',
    );
    expect(fs.readdirSync(path.join(home, 'services'))).toEqual(['intranet.json']);
    await keyholdOk(home, ['services', 'list']);
  });

  test('services remove refuses a built-in and an unknown service', async () => {
    const built_in = await keyhold(home, ['services', 'remove', 'linear', '--yes']);
    expect(built_in.code).toBe(2);
    expect(built_in.stderr).toContain('built-in service');
    expect((await keyhold(home, ['services', 'remove', 'nosuch', '--yes'])).code).toBe(5);
  });
});

describe('services list and services show', () => {
  test('services list prints the services that match all terms, and creates no vault', async () => {
    const { services } = await keyholdJson<{ services: { service_id: string }[] }>(home, [
      'services',
      'list',
      'google',
      'calendar',
    ]);
    expect(services.map(({ service_id }) => service_id)).toEqual(['google_calendar']);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('services list prints a message if no service matches', async () => {
    expect(await keyholdOk(home, ['services', 'list', 'xyzzy'])).toMatch(/^No service matches/);
    expect(await keyholdJson(home, ['services', 'list', 'xyzzy'])).toEqual({ services: [] });
  });

  test('services show accepts the start of a service id and prints fields and hosts', async () => {
    const text = await keyholdOk(home, ['services', 'show', 'datad']);
    expect(text).toMatch(/^Datadog\n/);
    expect(text).toMatch(/datadog_api_key +yes +secret +DD_API_KEY .*https:\/\/app\.datadoghq\.com/);
    expect(text).toContain('api.datadoghq.eu');
  });

  test('services show exits with 5 for an unknown service and suggests services list', async () => {
    const { code, stderr } = await keyhold(home, ['services', 'show', 'xyzzyplugh']);
    expect(code).toBe(5);
    expect(stderr).toContain('keyhold services list');
  });
});

describe('init', () => {
  test('init exits with 2 if the two passphrases differ', async () => {
    const { code, stderr } = await keyhold(home, ['init'], {
      terminal: true,
      env: { KEYHOLD_ROOT_KEY: 'passphrase' },
      typed: [
        [/New passphrase/, 'correct horse\r'],
        [/once more/, 'correct hose\r'],
      ],
    });
    expect(code).toBe(2);
    expect(stderr).toContain('differ');
    expect((await keyhold(home, ['init'], { env: { KEYHOLD_ROOT_KEY: 'passphrase' } })).code).toBe(10);
  });

  test('init creates a vault with a passphrase that was typed twice, and the passphrase opens it', async () => {
    const env = { KEYHOLD_ROOT_KEY: 'passphrase' };
    const made = await keyhold(home, ['init'], {
      terminal: true,
      env,
      typed: [
        [/New passphrase/, 'correct horse\r'],
        [/once more/, 'correct horse\r'],
      ],
    });
    expect(made.code).toBe(0);
    expect(made.stderr).not.toContain('horse');
    const opened = { env: { ...env, KEYHOLD_PASSPHRASE: 'correct horse' } };
    expect(await keyholdJson(home, ['init'], opened)).toMatchObject({
      created: false,
      root_key: { source: 'passphrase' },
    });
    expect((await keyhold(home, ['status'], { env: { ...env, KEYHOLD_PASSPHRASE: 'wrong' } })).code).toBe(11);
  });

  test('init prints the paths of the vault and its key, and what to back up', async () => {
    const text = await keyholdOk(home, ['init']);
    expect(text).toContain(path.join(home, 'data', 'vault.db'));
    expect(text).toContain(path.join(home, 'keys', 'root.key'));
    expect(text).toMatch(/Back up that file, apart from the vault/);
    expect(text).toMatch(/keyhold install.*keyhold store/);
  });

  test('init does not change an existing vault', async () => {
    const first = await keyholdJson<{ created: boolean }>(home, ['init']);
    const key = fs.readFileSync(path.join(home, 'keys', 'root.key'));
    expect(await keyholdJson(home, ['init'])).toEqual({ ...first, created: false });
    expect(first.created).toBe(true);
    expect(fs.readFileSync(path.join(home, 'keys', 'root.key'))).toEqual(key);
    expect(await keyholdOk(home, ['init'])).toMatch(/^The vault already exists and was not changed/);
  });

  test('init creates a new vault for an existing root key', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(path.join(home, 'data'), { recursive: true });
    expect(await keyholdJson(home, ['init'])).toMatchObject({ created: true });
  });

  test('init exits with 10 and creates no key if the root key of the vault is missing', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(path.join(home, 'keys'), { recursive: true });
    expect((await keyhold(home, ['init'])).code).toBe(10);
    expect(fs.existsSync(path.join(home, 'keys'))).toBe(false);
  });
});

describe('audit list', () => {
  beforeEach(async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    await keyholdOk(home, ['store', 'datadog', '--name', 'work'], { stdin: 'abc' });
    await keyholdOk(home, ['delete', 'linear', '--yes']);
  });
  const list = (...argv: string[]) => keyholdJson<AuditPage>(home, ['audit', 'list', ...argv]);
  const positions = async (...argv: string[]) =>
    (await list(...argv)).entries.map(({ position }) => position);

  test.each([
    ['--limit', '0'],
    ['--limit', '101'],
    ['--limit', '1e1'],
    ['--before', '-1'],
    ['--action', 'read'],
    ['--outcome', 'maybe'],
    ['--since', 'yesterday'],
    ['--since', '30'],
    ['--until', '2026-13-01'],
    ['--until', '999999w'],
  ])('audit list exits with 2 for %s %s', async (option, value) => {
    const { code, stderr } = await keyhold(home, ['audit', 'list', option, value]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${option} takes`);
  });

  test('audit list prints the newest entry first', async () => {
    const lines = (await keyholdOk(home, ['audit', 'list'])).split('\n');
    expect(lines[0]).toMatch(/^# +AT +WHO +ACTION +SERVICE +NAME +STACK +FIELDS OR USE +OUTCOME$/);
    expect(lines[1]).toMatch(/^4 +\S+Z +me \(cli\) +delete +linear +default +linear_api_key +allowed$/);
    expect(lines[2]).toMatch(
      /^3 +\S+Z +me \(cli\) +store +datadog +work +default +datadog_api_key +allowed$/,
    );
    expect(lines[4]).toMatch(/^1 .* init /);
  });

  test('audit list --before continues after the last entry of a page', async () => {
    const first = await list('--limit', '3');
    expect(first.entries.map(({ position }) => position)).toEqual([4, 3, 2]);
    expect(first.next).toBe(2);
    expect(await list('--before', '2')).toMatchObject({ entries: [{ action: 'init' }], next: null });
    expect(await keyholdOk(home, ['audit', 'list', '--limit', '3'])).toContain('More: add --before 2');
  });

  test('audit list returns only the entries that match the filters', async () => {
    const credential_id = (await list('--action', 'delete')).entries[0]?.credential_id ?? '';
    expect(await positions('--action', 'delete')).toEqual([4]);
    expect(await positions('--service', 'linear_app')).toEqual([4, 2]);
    expect(await positions('--credential', credential_id)).toEqual([4, 2]);
    expect(await positions('--user', 'me')).toEqual([4, 3, 2, 1]);
    expect(await positions('--user', 'you')).toEqual([]);
    expect(await positions('--outcome', 'denied')).toEqual([]);
    expect(await positions('--since', '1m')).toEqual([4, 3, 2, 1]);
    expect(await positions('--until', '1m')).toEqual([]);
    expect(await positions('--since', '2020-01-01', '--until', '2020-01-02T00:00')).toEqual([]);
  });
});

describe('audit verify', () => {
  test('audit verify reports that the log is intact', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    expect(await keyholdOk(home, ['audit', 'verify'])).toBe(
      'The audit log is intact: 2 entries, 1 credential.\n',
    );
  });

  test('audit verify lists a missing entry and exits with 12', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    const entries = await readAuditEntryRows(home);
    await replaceAuditEntries(home, entries.toSpliced(1, 1));
    const shown = await keyhold(home, ['audit', 'verify']);
    expect(shown.code).toBe(12);
    expect(shown.stderr).toBe('');
    expect(shown.stdout).toContain('- Entry 2 is missing.');
    const { code, stdout } = await keyhold(home, ['audit', 'verify', '--json']);
    expect(code).toBe(12);
    const report = JSON.parse(stdout) as AuditReport;
    expect(report).toMatchObject({ ok: false, entries: 3 });
    expect(report.findings.map(({ kind }) => kind)).toContain('entry_missing');
  });

  test('audit verify exits with 5 without a vault', async () => {
    expect((await keyhold(home, ['audit', 'verify'])).code).toBe(5);
  });

  test('audit verify shows and clears its progress in a terminal if the log is long', () => {
    const shown = (isTTY: boolean, total: number) => {
      let text = '';
      const write = (part: string) => {
        text += part;
      };
      const progress = progressOn({ stderr: { isTTY, write } as unknown as NodeJS.WriteStream });
      progress?.show(2_500, total);
      progress?.clear();
      return text;
    };
    expect(shown(false, 10_000)).toBe('');
    expect(shown(true, 4_000)).toBe('');
    expect(shown(true, 10_000)).toBe('\r\u001b[KChecking the audit log: 25 % of 10000 entries\r\u001b[K');
  });
});
