/** `keyhold services`, `keyhold init` and `keyhold audit`. */

import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { progressOn } from '../../src/cli/commands/audit/verify.ts';
import type { AuditPage, AuditReport } from '../../src/contract/audit.ts';
import { SERVICE_FILE_MAX_BYTES } from '../../src/contract/limits.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { readAuditEntryRows, replaceAuditEntries } from '../kit/vault/database.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
const INTRANET = {
  slug: 'intranet',
  name: 'Intra\u001b[31mnet',
  description: 'Our own pages.',
  category: 'other',
  fields: [
    { field_id: 'token', name: 'Token', description: 'It.', required: true, secret: true, max_length: 100 },
  ],
  value_field: { bearer: 'token' },
  credential_types: ['bearer'],
  hosts: ['intranet.example.com'],
  injection: { in: 'header', headers: { Authorization: 'Bearer {token}' } },
};

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

describe('services add', () => {
  test.each([
    ['no JSON', '{', /line 1, column 2/],
    ['a wrong definition', '{"slug":"x"}', /name/],
    ['more than a definition may be', ' '.repeat(SERVICE_FILE_MAX_BYTES + 1), /at most 256 KiB/],
    [
      'a service that is built in',
      JSON.stringify({ ...INTRANET, slug: 'linear' }),
      /is taken by the built-in/,
    ],
  ])('refuses %s', async (_what, stdin, expected) => {
    const { code, stderr } = await keyhold(home, ['services', 'add', '-'], { stdin });
    expect(stderr).toMatch(expected);
    expect(code).toBe(2);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('refuses a folder', async () => {
    const { code, stderr } = await keyhold(home, ['services', 'add', path.dirname(home)]);
    expect(code).toBe(2);
    expect(stderr).toContain('not a regular file');
  });

  test('adds one from standard input or a file, which is then listed, shown and usable', async () => {
    const added = await keyholdJson(home, ['services', 'add', '-'], { stdin: JSON.stringify(INTRANET) });
    expect(added).toMatchObject({ service_id: 'intranet', hosts: ['intranet.example.com'] });
    expect(await keyholdOk(home, ['services', 'list', 'intranet'])).toContain('Our own pages.');
    await keyholdOk(home, ['store', 'intranet'], { stdin: 'abc' });
    const again = await keyhold(home, ['services', 'add', '-'], { stdin: JSON.stringify(INTRANET) });
    expect(again.code).toBe(6);
  });

  test('says that what is running has to be started again, and to a program nothing', async () => {
    const stdin = JSON.stringify(INTRANET);
    const shown = await keyhold(home, ['services', 'add', '-'], { stdin });
    expect(shown.stderr).toMatch(/^Restart a running `keyhold serve` or `keyhold mcp` to load it\.\n$/);
    fs.rmSync(home, { recursive: true });
    expect((await keyhold(home, ['services', 'add', '-', '--json'], { stdin })).stderr).toBe('');
  });

  test('shows nothing of a definition that would steer the terminal', async () => {
    const file = path.join(path.dirname(home), 'intranet.json');
    fs.writeFileSync(file, JSON.stringify(INTRANET));
    const shown = [
      await keyholdOk(home, ['services', 'add', file]),
      await keyholdOk(home, ['services', 'list', 'own']),
      await keyholdOk(home, ['services', 'show', 'intranet']),
      await keyholdOk(home, ['status', 'intranet']),
    ];
    expect(shown.join('')).not.toContain('\u001b');
    expect(shown.join('')).toContain('Intra?[31mnet');
  });
});

describe('services list and show', () => {
  test('list what fits the words, without a vault', async () => {
    const { services } = await keyholdJson<{ services: { service_id: string }[] }>(home, [
      'services',
      'list',
      'google',
      'calendar',
    ]);
    expect(services.map(({ service_id }) => service_id)).toEqual(['google_calendar']);
    expect(fs.existsSync(home)).toBe(false);
  });

  test('say so when nothing fits', async () => {
    expect(await keyholdOk(home, ['services', 'list', 'xyzzy'])).toMatch(/^No service matches/);
    expect(await keyholdJson(home, ['services', 'list', 'xyzzy'])).toEqual({ services: [] });
  });

  test('take the start of one id for the service', async () => {
    const text = await keyholdOk(home, ['services', 'show', 'datad']);
    expect(text).toMatch(/^Datadog\n/);
    expect(text).toMatch(/datadog_api_key +yes +secret +DD_API_KEY .*https:\/\/app\.datadoghq\.com/);
    expect(text).toContain('api.datadoghq.eu');
  });

  test('show a service that nothing is like as NOT_FOUND', async () => {
    const { code, stderr } = await keyhold(home, ['services', 'show', 'xyzzyplugh']);
    expect(code).toBe(5);
    expect(stderr).toContain('keyhold services list');
  });
});

describe('init', () => {
  test('does not make a passphrase that was typed in two ways', async () => {
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

  test('makes a passphrase that was typed twice, which then opens the vault', async () => {
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

  test('makes a vault, and says where it and its key are and what to back up', async () => {
    const text = await keyholdOk(home, ['init']);
    expect(text).toContain(path.join(home, 'data', 'vault.db'));
    expect(text).toContain(path.join(home, 'keys', 'root.key'));
    expect(text).toMatch(/Back up that file apart from the vault/);
    expect(text).toMatch(/keyhold install.*keyhold store/);
  });

  test('changes nothing where a vault is', async () => {
    const first = await keyholdJson<{ created: boolean }>(home, ['init']);
    const key = fs.readFileSync(path.join(home, 'keys', 'root.key'));
    expect(await keyholdJson(home, ['init'])).toEqual({ ...first, created: false });
    expect(first.created).toBe(true);
    expect(fs.readFileSync(path.join(home, 'keys', 'root.key'))).toEqual(key);
    expect(await keyholdOk(home, ['init'])).toMatch(/^The vault already exists and was not changed/);
  });

  test('starts a new vault with a key that is there', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(path.join(home, 'data'), { recursive: true });
    expect(await keyholdJson(home, ['init'])).toMatchObject({ created: true });
  });

  test('leaves a vault whose key is gone alone', async () => {
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
  ])('refuses %s %s', async (option, value) => {
    const { code, stderr } = await keyhold(home, ['audit', 'list', option, value]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${option} takes`);
  });

  test('shows the newest first', async () => {
    const lines = (await keyholdOk(home, ['audit', 'list'])).split('\n');
    expect(lines[0]).toMatch(/^# +AT +WHO +ACTION +SERVICE +NAME +FIELDS +OUTCOME$/);
    expect(lines[1]).toMatch(/^4 +\S+Z +me \(cli\) +delete +linear +linear_api_key +allowed$/);
    expect(lines[2]).toMatch(/^3 +\S+Z +me \(cli\) +store +datadog +work +datadog_api_key +allowed$/);
    expect(lines[4]).toMatch(/^1 .* init /);
  });

  test('goes on from where a page ended', async () => {
    const first = await list('--limit', '3');
    expect(first.entries.map(({ position }) => position)).toEqual([4, 3, 2]);
    expect(first.next).toBe(2);
    expect(await list('--before', '2')).toMatchObject({ entries: [{ action: 'init' }], next: null });
    expect(await keyholdOk(home, ['audit', 'list', '--limit', '3'])).toContain('More: add --before 2');
  });

  test('keeps to what was asked for', async () => {
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
  test('finds the log whole', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: LINEAR_KEY });
    expect(await keyholdOk(home, ['audit', 'verify'])).toBe(
      'The audit log is intact: 2 entries, 1 credential.\n',
    );
  });

  test('lists what is wrong, with the exit code of CORRUPT', async () => {
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

  test('without a vault is NOT_FOUND', async () => {
    expect((await keyhold(home, ['audit', 'verify'])).code).toBe(5);
  });

  test('shows how far it is in a terminal, where the log is long, and wipes that away', () => {
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
