/** The systemd units: systemd accepts them, the sandbox is strict, and the program runs with their settings and credentials. */
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { PROGRAM } from '../kit/child/built_program.ts';
import { NO_USER, ordinaryUser } from '../kit/child/ordinary_user.ts';
import { ROOT } from '../kit/source_tree.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { isMissing, runExternal } from './external_program.ts';

const SERVICES = ['keyhold.service', 'keyhold-init.service', 'keyhold-backup.service'] as const;
const UNITS = [...SERVICES, 'keyhold-backup.timer'] as const;
const unit = (name: (typeof UNITS)[number]) => readFileSync(join(ROOT, 'packaging/systemd', name), 'utf8');
/** On systemd's scale from 0 to 10. Outgoing connections and the compiler of Node.js account for most of it. */
const EXPOSURE_MAX = 1.5;
const ROOT_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 5 + 1)).toString('base64');

describe.skipIf(isMissing('systemd-analyze'))('the units for systemd', () => {
  test.each(UNITS)('systemd-analyze verify reports nothing about %s', async (name) => {
    const path = unitFile(name);
    expect(await runExternal('systemd-analyze', ['verify', path])).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  test.each(['keyhold.service', 'keyhold-backup.service'] as const)(
    `systemd-analyze security reports an exposure of %s of at most ${EXPOSURE_MAX}`,
    async (name) => {
      const args = ['security', '--offline=yes', '--no-pager', `--threshold=${EXPOSURE_MAX * 10}`];
      const { code, stdout } = await runExternal('systemd-analyze', [...args, unitFile(name)]);
      expect({ code, report: stdout }).toMatchObject({ code: 0 });
      expect(Number(/exposure level for \S+ ([\d.]+)/.exec(stdout)?.[1])).toBeLessThanOrEqual(EXPOSURE_MAX);
    },
  );

  test.each(SERVICES)('%s has the settings, credential, user and folder of keyhold.service', (name) => {
    const shared =
      /^(?:Environment|EnvironmentFile|LoadCredential|DynamicUser|User|StateDirectory\w*|UMask)=.*$/gm;
    const text = unit(name).replace(' keyhold-backups', '');
    expect(text.match(shared)).toEqual(unit('keyhold.service').match(shared));
  });
});

describe('a server with the settings of keyhold.service', () => {
  test.for([
    ['0400 of the user of the service', 0o400, true] as const,
    ['0440 of root, for a group of which only the service is a member', 0o440, false] as const,
  ])(
    'the server starts with a credential with mode %s, and stops at SIGTERM',
    async ([, mode, is_own], { skip }) => {
      const user = ordinaryUser();
      if (user === undefined || process.getuid?.() !== 0) return skip(NO_USER);
      const state = user.newFolder();
      const credentials = credentialsFolder(mode, is_own ? user.give : (file) => chownSync(file, 0, 65_534));
      const env = environmentOf(unit('keyhold.service'), { '%S': state, '%d': credentials });
      mkdirSync(env.KEYHOLD_HOME ?? '', { mode: 0o700 });
      user.give(env.KEYHOLD_HOME ?? '');
      expect(await user.run(['init'], env)).toMatchObject({ code: 0 });
      const server = user.start(['serve'], { ...env, KEYHOLD_PORT: '0', KEYHOLD_LOG: 'error' });
      let output = '';
      for (const stream of [server.stdout, server.stderr]) stream?.on('data', (chunk) => (output += chunk));
      await vi.waitFor(() => expect(output).toContain('keyhold listening on'), { timeout: 20_000 });
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGTERM');
      expect(await ended).toBe(0);
      expect(statSync(join(state, 'keyhold', 'data', 'vault.db')).size).toBeGreaterThan(0);
    },
  );
});

test('the commands of keyhold-backup.service back up the vault of the service and verify the file, every day', async ({
  skip,
}) => {
  const user = ordinaryUser();
  if (user === undefined || process.getuid?.() !== 0) return skip(NO_USER);
  const state = user.newFolder();
  const specifiers = { '%S': state, '%d': credentialsFolder(0o400, user.give) };
  const env = environmentOf(unit('keyhold-backup.service'), specifiers);
  for (const name of ['keyhold', 'keyhold-backups']) {
    mkdirSync(join(state, name), { mode: 0o700 });
    user.give(join(state, name));
  }
  expect(await user.run(['init'], env)).toMatchObject({ code: 0 });
  const commands = [...unit('keyhold-backup.service').matchAll(/^ExecStart=keyhold (.*)$/gm)];
  expect(commands).toHaveLength(2);
  for (let day = 1; day <= 2; day++)
    for (const [, args = ''] of commands)
      expect(await user.run(args.replace('%S', state).split(' '), env)).toMatchObject({ code: 0 });
  expect(readdirSync(join(state, 'keyhold-backups'))).toEqual(['vault.backup']);
});

/** Copies of the units that start the built program: a timer names a service beside it. */
function unitFile(name: (typeof UNITS)[number]): string {
  const folder = temporaryFolder();
  const start = `ExecStart=${process.execPath} ${PROGRAM}`;
  for (const each of UNITS)
    writeFileSync(join(folder, each), unit(each).replaceAll('ExecStart=keyhold', start));
  return join(folder, name);
}

/** As systemd creates it: a folder that only the service may read, with the key. */
function credentialsFolder(mode: number, give: (path: string) => void): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  const file = join(folder, 'root.key');
  writeFileSync(file, `${ROOT_KEY}\n`);
  give(file);
  chmodSync(file, mode);
  return folder;
}

function environmentOf(unit: string, specifiers: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const lines = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)];
  return Object.fromEntries(
    lines.map(([, name = '', value = '']) => [
      name,
      value.replaceAll(/%\w/g, (specifier) => specifiers[specifier] ?? specifier),
    ]),
  );
}
