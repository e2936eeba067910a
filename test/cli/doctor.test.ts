/** `keyhold doctor`: reports each problem and how to fix it, and creates nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Finding } from '../../src/cli/commands/doctor/finding.ts';
import { checkFreeSpace, checkNode } from '../../src/cli/commands/doctor/system.ts';
import { type CliOptions, keyhold, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { INTRANET } from '../kit/vault/custom_service.ts';
import { readAuditEntryRows, replaceAuditEntries } from '../kit/vault/database.ts';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

interface Diagnosis {
  readonly code: number;
  readonly home: string | null;
  readonly ok: boolean;
  readonly of: (check: string) => Finding;
}

async function runDoctor(options: CliOptions = {}): Promise<Diagnosis> {
  const { code, stdout, stderr } = await keyhold(home, ['doctor', '--json'], options);
  expect(stderr).toBe('');
  const report = JSON.parse(stdout) as { home: string | null; ok: boolean; checks: Finding[] };
  const of = (check: string) => {
    const found = report.checks.find((finding) => finding.check === check);
    if (found === undefined) throw new Error(`no check ${check}`);
    return found;
  };
  return { code, home: report.home, ok: report.ok, of };
}

const file = (...parts: string[]) => path.join(home, ...parts);

describe('keyhold doctor', () => {
  test('doctor reports an invalid setting and runs no further check', async () => {
    const { code, of, home: reported_home } = await runDoctor({ env: { KEYHOLD_LOG: 'loud' } });
    expect(code).toBe(2);
    expect(reported_home).toBeNull();
    expect(of('settings')).toMatchObject({ state: 'fail', code: 'INVALID_INPUT' });
    expect(of('settings').message).toContain('KEYHOLD_LOG');
  });

  test('doctor reports an invalid setting of the server', async () => {
    const { code, of } = await runDoctor({ env: { KEYHOLD_PORT: 'http' } });
    expect(code).toBe(2);
    expect(of('settings').message).toContain('KEYHOLD_PORT');
  });

  test('doctor reports that there is no vault yet, and creates none', async () => {
    const { code, ok, of } = await runDoctor();
    expect(code).toBe(0);
    expect(ok).toBe(true);
    expect(of('vault')).toMatchObject({ state: 'warn', remedy: expect.stringContaining('keyhold init') });
    expect(fs.existsSync(home)).toBe(false);
  });

  test('doctor reports a vault without its root key', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(file('keys', 'root.key'));
    const { code, of } = await runDoctor();
    expect(code).toBe(10);
    expect(of('root_key')).toMatchObject({ state: 'fail', code: 'LOCKED' });
    expect(of('vault')).toMatchObject({ state: 'fail', code: 'LOCKED' });
    expect(fs.existsSync(file('keys', 'root.key'))).toBe(false);
  });

  test('doctor reports a root key without its vault', async () => {
    await keyholdOk(home, ['init']);
    fs.rmSync(file('data'), { recursive: true });
    const { code, of } = await runDoctor();
    expect(code).toBe(5);
    expect(of('root_key')).toMatchObject({ state: 'fail', code: 'NOT_FOUND' });
    expect(fs.existsSync(file('data'))).toBe(false);
  });

  test('doctor reports temporary files that a killed process left beside the root key', async () => {
    await keyholdOk(home, ['init']);
    const temp_file = file('keys', 'root.key.01890a5d-0000-4000-8000-0000000000aa');
    fs.writeFileSync(temp_file, 'half a k', { mode: 0o600 });
    for (const other of ['root.key.old', 'root.key.bak', 'other.01890a5d-0000-4000-8000-0000000000aa'])
      fs.writeFileSync(file('keys', other), 'mine', { mode: 0o600 });
    const { code, ok, of } = await runDoctor();
    expect([code, ok]).toEqual([0, true]);
    expect(of('root_key')).toMatchObject({
      state: 'warn',
      remedy: expect.stringMatching(/can be removed: rm /),
    });
    expect(of('root_key').remedy?.endsWith(`rm ${temp_file}`)).toBe(true);
    expect(fs.existsSync(temp_file)).toBe(true);
    fs.rmSync(temp_file);
    expect((await runDoctor()).of('root_key').state).toBe('ok');
  });

  test('doctor reports a root key that others can read', async () => {
    await keyholdOk(home, ['init']);
    fs.chmodSync(file('keys', 'root.key'), 0o644);
    const { code, of } = await runDoctor();
    expect(code).toBe(10);
    expect(of('root_key').remedy).toContain(`chmod 600 ${file('keys', 'root.key')}`);
  });

  test('doctor reports a root key of another vault', async () => {
    await keyholdOk(home, ['init']);
    fs.writeFileSync(
      file('keys', 'root.key'),
      `${Buffer.from(Array.from({ length: 32 }, (_, at) => at + 7)).toString('base64')}\n`,
    );
    const { code, of } = await runDoctor();
    expect(code).toBe(11);
    expect(of('root_key').state).toBe('ok');
    expect(of('vault')).toMatchObject({ state: 'fail', code: 'WRONG_KEY' });
  });

  test('doctor reports a key variable that is not set, but not its name, which may be the key itself', async () => {
    const { code, of } = await runDoctor({ env: { KEYHOLD_ROOT_KEY: 'env:THE_KEY' } });
    expect(code).toBe(10);
    expect(of('root_key').message).toContain('that KEYHOLD_ROOT_KEY names is not set');
    expect(JSON.stringify(of('root_key'))).not.toContain('THE_KEY');
  });

  test('doctor reports files and folders that others can read or change', async () => {
    await keyholdOk(home, ['init']);
    fs.chmodSync(file('data'), 0o755);
    fs.chmodSync(file('data', 'vault.db'), 0o644);
    fs.mkdirSync(file('services'));
    fs.chmodSync(file('services'), 0o777);
    const { code, of } = await runDoctor();
    expect(code).toBe(0);
    const { state, remedy } = of('files');
    expect(state).toBe('warn');
    expect(remedy).toContain(`chmod 700 ${file('data')};`);
    expect(remedy).toContain(`chmod 600 ${file('data', 'vault.db')};`);
    expect(remedy).toContain(`chmod 700 ${file('services')}`);
  });

  test.each([
    ['keys/admin.key', 0o666, '600'],
    ['keys/admin.key', 0o640, '600'],
    ['keys/anchor', 0o644, '600'],
    ['data/vault.db-writers', 0o644, '600'],
    ['services/intranet.json', 0o666, 'go-w'],
    ['keys', 0o777, '700'],
  ])('doctor reports that %s has mode %o', async (name, mode, expected) => {
    await keyholdOk(home, ['init']);
    fs.mkdirSync(file('services'), { mode: 0o700 });
    fs.writeFileSync(file('services', 'intranet.json'), JSON.stringify(INTRANET), { mode: 0o644 });
    fs.writeFileSync(file('keys', 'admin.key'), 'kh_key', { mode: 0o600 });
    fs.writeFileSync(file('keys', 'anchor'), '', { mode: 0o600 });
    fs.writeFileSync(file('data', 'vault.db-writers'), '', { mode: 0o600 });
    expect((await runDoctor()).of('files')).toMatchObject({ state: 'ok' });
    fs.chmodSync(file(name), mode);
    const { state, remedy } = (await runDoctor()).of('files');
    expect(state).toBe('warn');
    expect(remedy).toContain(`chmod ${expected} ${file(name)}`);
  });

  test('doctor reports a vault with entries that has no anchor on this machine, until a write creates it', async () => {
    await keyholdOk(home, ['init']);
    const anchorOf = async () => {
      const { stdout } = await keyhold(home, ['doctor', '--json']);
      return (JSON.parse(stdout) as { checks: Finding[] }).checks.find(({ check }) => check === 'anchor');
    };
    expect(await anchorOf()).toBeUndefined();
    await keyholdOk(home, ['store', 'linear', '--stdin'], { stdin: 'v' });
    expect(await anchorOf()).toBeUndefined();
    fs.rmSync(file('keys', 'anchor'));
    expect(await anchorOf()).toMatchObject({
      state: 'warn',
      message: expect.stringContaining('missing on this machine'),
      remedy: expect.stringContaining(file('keys')),
    });
    expect(fs.existsSync(file('keys', 'anchor'))).toBe(false);
    await keyholdOk(home, ['store', 'linear', '--stdin'], { stdin: 'w' });
    expect(await anchorOf()).toBeUndefined();
  });

  test('doctor reports a file that is not a vault', async () => {
    await keyholdOk(home, ['init']);
    fs.writeFileSync(file('data', 'vault.db'), 'a shopping list');
    const { code, of } = await runDoctor();
    expect(code).toBe(12);
    expect(of('vault')).toMatchObject({ state: 'fail', code: 'CORRUPT' });
    expect(fs.readFileSync(file('data', 'vault.db'), 'utf8')).toBe('a shopping list');
  });

  test('doctor reports an empty vault file and leaves it empty', async () => {
    fs.mkdirSync(file('data'), { recursive: true });
    fs.writeFileSync(file('data', 'vault.db'), '');
    const { of } = await runDoctor();
    expect(of('vault').message).toContain('empty');
    expect(fs.readdirSync(file('data'))).toEqual(['vault.db']);
    expect(fs.statSync(file('data', 'vault.db')).size).toBe(0);
  });

  test('doctor reports an audit log with a deleted entry', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: 'lin_api_abc123def456789' });
    await replaceAuditEntries(home, (await readAuditEntryRows(home)).slice(1));
    const { code, of } = await runDoctor();
    expect(code).toBe(12);
    expect(of('vault').state).toBe('ok');
    expect(of('database').state).toBe('ok');
    expect(of('audit')).toMatchObject({ state: 'fail', code: 'CORRUPT' });
  });

  test('doctor reports a damaged database', async () => {
    await keyholdOk(home, ['init']);
    const path = file('data', 'vault.db');
    const database = new Database(path);
    // A page that a new vault does not read when it is opened.
    database.exec('CREATE TABLE filler (x TEXT)');
    database.prepare('INSERT INTO filler VALUES (?)').run('x'.repeat(20_000));
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    const bytes = fs.readFileSync(path);
    bytes.fill(0xff, bytes.length - 8_192);
    fs.writeFileSync(path, bytes);
    const { code, of } = await runDoctor();
    expect(code).toBe(12);
    expect(of('database')).toMatchObject({ state: 'fail', code: 'CORRUPT' });
  });

  test('doctor logs the cause of an unknown error and still reports the other checks', async () => {
    await keyholdOk(home, ['init']);
    const logged: unknown[] = [];
    const log = {
      debug: () => {},
      info: () => {},
      warn: () => {},
      error: (fields: unknown) => void logged.push(fields),
    };
    const { code, of } = await runDoctor({
      change: (app) => ({
        ...app,
        log: async () => log,
        withVault: async () => {
          throw new TypeError('canary_5f1e9b');
        },
      }),
    });
    expect(code).toBe(1);
    expect(of('vault')).toMatchObject({ state: 'fail', code: 'INTERNAL' });
    expect(of('root_key').state).toBe('ok');
    expect(JSON.stringify(logged)).toContain('TypeError');
    expect(JSON.stringify([logged, of('vault')])).not.toContain('canary_5f1e9b');
  });

  test('doctor reports an invalid custom service definition by its file name', async () => {
    await keyholdOk(home, ['init']);
    fs.mkdirSync(file('services'), { mode: 0o700 });
    fs.writeFileSync(file('services', 'broken.json'), '{}');
    const { code, of } = await runDoctor();
    expect(code).toBe(2);
    expect(of('services').message).toContain('broken.json');
    expect(of('vault').state).toBe('warn');
  });

  test.runIf(process.platform === 'linux')(
    'doctor lists other processes that have the vault open',
    async () => {
      await keyholdOk(home, ['init']);
      expect((await runDoctor()).of('processes').message).toContain('No other');
      const open_file = fs.openSync(file('data', 'vault.db'), 'r');
      const other: ChildProcess = spawn('sleep', ['60'], {
        stdio: ['ignore', 'ignore', 'ignore', open_file],
      });
      fs.closeSync(open_file);
      try {
        const { state, message } = (await runDoctor()).of('processes');
        expect(state).toBe('ok');
        expect(message).toContain(`1 other has the vault open: ${other.pid} (sleep)`);
      } finally {
        other.kill();
      }
    },
  );
});

describe('keyhold doctor on an intact vault', () => {
  test('doctor prints the home folder and ok for every check of an intact vault', async () => {
    await keyholdOk(home, ['store', 'linear'], { stdin: 'lin_api_abc123def456789' });
    const { code, stdout } = await keyhold(home, ['doctor']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Home: ${home}\n`));
    expect(stdout).not.toContain('fail');
    for (const check of ['settings', 'files', 'root_key', 'services', 'vault', 'database', 'audit']) {
      expect(stdout).toMatch(new RegExp(`\nok +${check} `));
    }
  });
});

describe('checkNode', () => {
  test.each([
    ['18.19.0', '2024-01-01', 'fail'],
    ['20.11.1', '2024-05-01', 'fail'],
    ['20.12.0', '2024-05-01', 'ok'],
    ['20.12.0', '2026-05-01', 'warn'],
    ['21.7.0', '2024-05-01', 'warn'],
    ['25.1.0', '2026-01-01', 'warn'],
    ['24.0.0', '2026-11-01', 'ok'],
    ['31.0.0', '2031-11-01', 'ok'],
  ])('checkNode for Node.js %s on %s reports %s', (version, date, state) => {
    expect(checkNode(version, new Date(date)).state).toBe(state);
  });
});

describe('checkFreeSpace', () => {
  test.each([
    [0, 'fail'],
    [50 * 1024 * 1024, 'warn'],
    [2 ** 40, 'ok'],
  ])('checkFreeSpace for %d free bytes reports %s', (free_bytes, state) => {
    expect(checkFreeSpace(free_bytes).state).toBe(state);
  });
});
