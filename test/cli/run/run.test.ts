/** `keyhold run`: which variables a command gets, what prevents its start, and where the values are not. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { AuditEntry } from '../../../src/contract/audit.ts';
import { findCanary, newCanary } from '../../kit/canary.ts';
import { runProgram, startProgram } from '../../kit/child/built_program.ts';
import { keyholdJson, keyholdOk, newHome, removeHome } from '../../kit/child/cli.ts';
import { fillHome } from '../../kit/child/run_home.ts';
import { ACME } from '../../kit/vault/custom_service.ts';

const canary = newCanary();
const ACME_KEY = canary.word;
const GITHUB_TOKEN = 'ghp_0123456789abcdefghijklmnopqrstuvwxyz';
const PRINT_ENV = [process.execPath, '-e', 'console.log(JSON.stringify(process.env))'];

let home: string;
beforeAll(async () => {
  home = newHome();
  await fillHome(home, {
    acme: { acme_key: ACME_KEY, acme_host: 'acme.example' },
    github: { github_token: GITHUB_TOKEN },
  });
});
afterAll(() => removeHome(home));

const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runProgram(['run', ...args], { env: { KEYHOLD_HOME: home, ...env } });

/** The environment of the command. `--raw`: the test compares values. */
async function environmentOf(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Record<string, string>> {
  const { code, stdout, stderr } = await run(['--raw', ...args, '--', ...PRINT_ENV], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

async function uses(of_home = home): Promise<AuditEntry[]> {
  const { entries } = await keyholdJson<{ entries: AuditEntry[] }>(of_home, ['audit', 'list']);
  return entries.filter(({ action }) => action.startsWith('use'));
}

describe('a run that is refused starts nothing', () => {
  test.each([
    ['without a command', [], {}, 2, 'Name the command after --'],
    ['with --json without --dry-run', ['--json', '--', 'true'], {}, 2, '--json is for --dry-run'],
    ['for a command that is not in PATH', ['--', 'no-such-program'], {}, 127, 'not found in PATH'],
    ['for a path that does not exist', ['--', './no/such/program'], {}, 127, 'does not exist'],
    ['for a file that is not executable', ['--', '/etc/passwd'], {}, 126, 'not executable'],
    ['for a folder', ['--', '/tmp'], {}, 127, 'does not exist'],
    [
      'for an unknown service',
      ['--service', 'githb', '--', 'true'],
      {},
      5,
      'Did you mean one of: github, gitlab?',
    ],
    ['for an empty service', ['--service', 'github,', '--', 'true'], {}, 2, '--service takes ids'],
    ['for a missing credential', ['--service', 'linear', '--', 'true'], {}, 5, 'No such credential'],
    [
      'for a missing name',
      ['--service', 'github', '--name', 'work', '--', 'true'],
      {},
      5,
      'No such credential',
    ],
    ['for an unknown stack', ['--stack', 'work', '--', 'true'], {}, 5, 'stack'],
    ['with a server', ['--', 'true'], { KEYHOLD_URL: 'https://x.example' }, 2, 'never leave it'],
  ] as const)('%s', async (_title, args, env, expected, message) => {
    const before = (await uses()).filter(({ outcome }) => outcome === 'allowed').length;
    const { code, stdout, stderr } = await run(args, env);
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    expect(stderr).toMatch(/^(?:error: |\{"error":)/);
    expect(stderr).toContain(message);
    expect((await uses()).filter(({ outcome }) => outcome === 'allowed')).toHaveLength(before);
  });

  test('for an incomplete credential, for two services with the same variable, and without any credential', async () => {
    const other = newHome();
    onTestFinished(() => removeHome(other));
    await fillHome(other, {});
    const start = (...args: string[]) =>
      runProgram(['run', ...args, '--', 'true'], { env: { KEYHOLD_HOME: other } });
    expect(await start()).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('no credential that a command can use'),
    });
    await keyholdOk(other, ['update', 'acme', '--create', '--stdin'], {
      stdin: '{"acme_host":"acme.example"}',
    });
    const incomplete = await start();
    expect(incomplete).toMatchObject({ code: 2, stdout: '' });
    expect(incomplete.stderr).toContain('acme');
    await keyholdOk(other, ['delete', 'acme', '--yes']);
    const field = { ...ACME.fields[0], field_id: 'other_key', env: ['ACME_KEY'] };
    const definition = { ...ACME, slug: 'other', name: 'Other', fields: [field], value_field: {} };
    writeFileSync(
      join(other, 'services', 'other.json'),
      JSON.stringify({ ...definition, credential_types: ['custom'] }),
    );
    await keyholdOk(other, ['services', 'approve', 'other', '--yes']);
    for (const id of ['acme', 'other'])
      await keyholdOk(other, ['update', id, `${id}_key`, '--create', '--stdin'], { stdin: ACME_KEY });
    const conflict = await start();
    expect(conflict).toMatchObject({ code: 2, stdout: '' });
    expect(conflict.stderr).toContain(
      'acme and other both set the variable ACME_KEY. Choose one of them with --service.',
    );
    expect((await start('--service', 'other')).code).toBe(0);
  });
});

describe('the environment of the command', () => {
  test('has every variable of every service of the stack, and the variables of the caller', async () => {
    const file = 'require("fs").readFileSync(process.env.ACME_KEY_FILE,"utf8")';
    const print = `console.log(JSON.stringify({...process.env, content: ${file}}))`;
    const { stdout } = await run(['--raw', '--', process.execPath, '-e', print], { OTHER: 'kept' });
    expect(JSON.parse(stdout)).toMatchObject({
      ACME_KEY,
      ACME_API_KEY: ACME_KEY,
      ACME_URL: 'https://acme.example/v1',
      ACME_DSN: `acme://user:${ACME_KEY}@acme.example/db`,
      content: ACME_KEY,
      GITHUB_TOKEN,
      OTHER: 'kept',
    });
  });

  test('has the variables of the chosen services only', async () => {
    const env = await environmentOf(['--service', 'github']);
    expect(env).toMatchObject({ GITHUB_TOKEN });
    expect(Object.keys(env).filter((name) => name.startsWith('ACME'))).toEqual([]);
    const both = await environmentOf(['--service', 'acme, github']);
    expect(both).toMatchObject({ GITHUB_TOKEN, ACME_KEY });
  });

  test('has no setting and no key of Keyhold, and no older value of a variable', async () => {
    const other = newHome();
    onTestFinished(() => removeHome(other));
    const key = randomBytes(32).toString('base64');
    const settings = { KEYHOLD_ROOT_KEY: 'env:MY_ROOT_KEY', MY_ROOT_KEY: key };
    await keyholdOk(other, ['init'], { env: settings });
    await keyholdOk(other, ['store', 'github', '--stdin'], { env: settings, stdin: GITHUB_TOKEN });
    const { stdout, stderr } = await runProgram(['run', '--raw', '--', ...PRINT_ENV], {
      env: { ...settings, KEYHOLD_HOME: other, KEYHOLD_API_KEY: 'kh_x', GITHUB_TOKEN: 'old' },
    });
    expect(stderr).toBe('');
    const env = JSON.parse(stdout);
    expect(env.GITHUB_TOKEN).toBe(GITHUB_TOKEN);
    expect(Object.keys(env).filter((name) => /KEYHOLD|ROOT_KEY/.test(name))).toEqual([]);
    expect(stdout).not.toContain(key);
  });

  test('--name chooses the credential, and a run without it uses those without a name', async () => {
    await keyholdOk(home, ['store', 'github', '--name', 'work', '--stdin'], { stdin: 'ghp_work0123456789' });
    expect(await environmentOf(['--name', 'work'])).toMatchObject({ GITHUB_TOKEN: 'ghp_work0123456789' });
    expect(await environmentOf([])).toMatchObject({ GITHUB_TOKEN });
  });

  test('--stack chooses the stack', async () => {
    const value = 'ghp_team0123456789';
    await keyholdOk(home, ['store', 'github', '--stack', 'team', '--stdin'], { stdin: value });
    const env = await environmentOf(['--stack', 'team']);
    expect(env).toMatchObject({ GITHUB_TOKEN: value });
    expect(env).not.toHaveProperty('ACME_KEY');
  });
});

describe('--dry-run', () => {
  test('shows variables, services and fields without values, and logs no use', async () => {
    const before = (await uses()).length;
    const shown = await keyholdOk(home, ['run', '--dry-run', '--', 'no-such-program']);
    expect(shown).toMatch(/^VARIABLE +SERVICE +NAME +FIELD +AS$/m);
    expect(shown).toMatch(/^ACME_KEY_FILE +acme +acme_key +file$/m);
    expect(shown).toMatch(/^ACME_DSN +acme +acme_key, acme_host +template$/m);
    expect(shown).toMatch(/^GITHUB_TOKEN +github +github_token +value$/m);
    const { variables } = await keyholdJson<{ variables: unknown[] }>(home, ['run', '--dry-run']);
    expect(variables).toContainEqual({
      name: 'GITHUB_TOKEN',
      service_id: 'github',
      credential_name: null,
      fields: ['github_token'],
      kind: 'value',
    });
    expect(findCanary(shown + JSON.stringify(variables), canary)).toEqual([]);
    expect(await uses()).toHaveLength(before);
  });
});

describe('a value', () => {
  test('is in the environment of the command and in no argument, log, audit entry or file of Keyhold', async () => {
    const child = startProgram(
      [
        'run',
        '--service',
        'acme',
        '--',
        process.execPath,
        '-e',
        'console.log(process.env.ACME_KEY, process.pid); setTimeout(() => {}, 60000)',
      ],
      { env: { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug' } },
    );
    let output = '';
    let errors = '';
    child.stderr?.on('data', (text) => {
      errors += text;
    });
    await new Promise<void>((resolve) => {
      child.stdout?.on('data', (text) => {
        output += text;
        if (output.includes('\n')) resolve();
      });
    });
    const [, pid = ''] = /^\[redacted\] (\d+)\n$/.exec(output) ?? [];
    const read = (process_id: number | string, file: string) => readFileSync(`/proc/${process_id}/${file}`);
    if (process.platform === 'linux') {
      expect(findCanary(read(pid, 'environ'), canary)).not.toEqual([]);
      expect(findCanary(read(pid, 'cmdline'), canary)).toEqual([]);
      for (const file of ['environ', 'cmdline'])
        expect(findCanary(read(child.pid ?? 0, file), canary)).toEqual([]);
      const names = readdirSync(`/proc/${pid}/fd`, { withFileTypes: true }).map(({ name }) => name);
      expect(
        names.map((name) => readlinkSync(`/proc/${pid}/fd/${name}`)).filter((path) => path.includes(home)),
      ).toEqual([]);
    }
    child.kill('SIGTERM');
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(143);
    const files = readdirSync(home, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => readFileSync(join(file.parentPath ?? file.path, file.name)));
    const audit = JSON.stringify(await uses());
    expect(findCanary(Buffer.concat([...files, Buffer.from(output + errors + audit)]), canary)).toEqual([]);
  });

  test('is used only after its use is in the audit log, which gets the exit code too', async () => {
    const { code } = await run(['--service', 'github', '--', 'sh', '-c', 'exit 7']);
    expect(code).toBe(7);
    const [outcome, use] = await uses();
    expect(use).toMatchObject({
      action: 'use',
      service_id: 'github',
      fields: ['github_token'],
      outcome: 'allowed',
      use: { kind: 'environment', path: expect.stringMatching(/^\/.*sh$/), status: null },
    });
    expect(outcome).toMatchObject({ action: 'use_outcome', use: { id: use?.use?.id, status: 7 } });
    expect(JSON.stringify([outcome, use])).not.toContain('exit 7');
  });
});
