/** Who else could read or replace the root key and the vault file: owner, mode, links and folders, at every start. */
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import type { CreatePolicy } from '../../../src/vault/open_vault.ts';
import { runProgram } from '../../kit/child/built_program.ts';
import { NO_USER, ordinaryUser } from '../../kit/child/ordinary_user.ts';
import { exfatDisk, NO_EXFAT, snapshot } from '../../kit/file_system.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

async function refusal(home: string, env: NodeJS.ProcessEnv = {}, create: CreatePolicy = 'if_new') {
  try {
    await openTestVault(home, env, create);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return { code: error.code, reason: error.reason, message: error.message };
  }
  throw new Error('the vault opened');
}

async function newVault(env: NodeJS.ProcessEnv = {}): Promise<string> {
  const home = join(temporaryFolder(), 'home');
  await (await openTestVault(home, env)).vault.close();
  return home;
}

const reopen = async (home: string, env: NodeJS.ProcessEnv = {}) =>
  (await openTestVault(home, env, 'no')).vault.close();
const keyOf = (home: string) => join(home, 'keys', 'root.key');
const EXPOSED = { code: 'LOCKED', reason: 'root_key_exposed' };
const RANDOM_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7)).toString('base64');

describe('a root key file', () => {
  test('a root key file of another user is refused', async ({ skip }) => {
    if (process.getuid?.() !== 0) return skip('only root can change the owner of a file');
    const home = await newVault();
    fs.chownSync(keyOf(home), 12_345, 12_345);
    const refused = await refusal(home);
    expect(refused).toMatchObject(EXPOSED);
    expect(refused.message).toContain('belongs to another user');
    expect(refused.message).toContain('KEYHOLD_ROOT_KEY=env:NAME');
    fs.chownSync(keyOf(home), 0, 0);
    await reopen(home);
  });

  test('a root key file of root that a group may read opens the vault of another user, as systemd and Kubernetes provide it', async ({
    skip,
  }) => {
    const user = ordinaryUser();
    if (user === undefined || process.getuid?.() !== 0) return skip(NO_USER);
    const home = user.newFolder();
    const secrets = temporaryFolder();
    fs.chmodSync(secrets, 0o755);
    fs.mkdirSync(join(secrets, '..data'));
    const file = join(secrets, '..data', 'root.key');
    fs.writeFileSync(file, RANDOM_KEY, { mode: 0o440 });
    fs.chownSync(file, 0, 65_534);
    fs.symlinkSync('..data/root.key', join(secrets, 'root.key'));
    const env = { KEYHOLD_HOME: home, KEYHOLD_ROOT_KEY: `file:${join(secrets, 'root.key')}` };
    expect(await user.run(['init'], env)).toMatchObject({ code: 0 });
    fs.chmodSync(file, 0o444);
    expect(await user.run(['status'], env)).toMatchObject({
      code: 10,
      stderr: expect.stringContaining('KEYHOLD_ROOT_KEY=env:NAME'),
    });
    fs.chmodSync(file, 0o460);
    expect((await user.run(['status'], env)).code).toBe(10);
  });

  test.each([0o440, 0o444, 0o640])(
    'a mounted root key file of the own user with mode %o is refused, and the message names the alternatives, which work',
    async (mode) => {
      const home = await newVault();
      fs.chmodSync(keyOf(home), mode);
      const refused = await refusal(home);
      expect(refused).toMatchObject(EXPOSED);
      for (const remedy of [
        'chmod 600',
        'a Kubernetes secret',
        'mode to 0400',
        'KEYHOLD_ROOT_KEY=env:NAME',
        'with mode 0600: KEYHOLD_ROOT_KEY=file:PATH',
      ])
        expect(refused.message).toContain(remedy);
      const copy = join(temporaryFolder(), 'copy.key');
      fs.copyFileSync(keyOf(home), copy);
      fs.chmodSync(copy, 0o600);
      await reopen(home, { KEYHOLD_ROOT_KEY: `file:${copy}` });
      await newVault({ KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: fs.readFileSync(copy, 'utf8') });
      fs.chmodSync(keyOf(home), 0o400);
      await reopen(home);
    },
  );

  test('a root key in or behind a folder that is writable for all is refused, and doctor names the folder', async () => {
    const home = await newVault();
    fs.chmodSync(join(home, 'keys'), 0o777);
    const refused = await refusal(home);
    expect(refused).toMatchObject(EXPOSED);
    expect(refused.message).toContain('chmod o-w');
    const doctor = await runProgram(['doctor', '--json'], { env: { KEYHOLD_HOME: home } });
    expect([doctor.code, doctor.stdout.includes(join(home, 'keys'))]).toEqual([10, true]);
    fs.chmodSync(join(home, 'keys'), 0o700);

    const open = temporaryFolder();
    fs.renameSync(keyOf(home), join(open, 'root.key'));
    fs.symlinkSync(join(open, 'root.key'), keyOf(home));
    await reopen(home);
    fs.chmodSync(open, 0o777);
    expect(await refusal(home)).toMatchObject(EXPOSED);
  });

  test('a root key file with a second name is refused, except for a temporary file of a killed process', async () => {
    const home = await newVault();
    fs.linkSync(keyOf(home), join(home, 'keys', 'root.key.01890a5d-0000-4000-8000-0000000000aa'));
    await reopen(home);
    fs.linkSync(keyOf(home), join(home, 'copy'));
    const refused = await refusal(home);
    expect(refused).toMatchObject(EXPOSED);
    expect(refused.message).toContain('a hard link');
  });

  test('a root key file opens the vault while the process that created it removes its temporary file', async () => {
    const home = await newVault();
    const temp = join(home, 'keys', 'root.key.01890a5d-0000-4000-8000-0000000000aa');
    fs.linkSync(keyOf(home), temp);
    const fstatSync = fs.fstatSync;
    const fstat = vi.spyOn(fs, 'fstatSync').mockImplementation(((file: number, options?: fs.StatOptions) => {
      const found = fstatSync(file, options);
      if (found.nlink === 2) fs.rmSync(temp, { force: true });
      return found;
    }) as typeof fs.fstatSync);
    try {
      await reopen(home);
    } finally {
      fstat.mockRestore();
    }
    expect(fs.existsSync(temp)).toBe(false);
  });

  test('a root key path that is a named pipe or a large file is refused without waiting for it', async () => {
    const home = await newVault();
    fs.writeFileSync(keyOf(home), 'A'.repeat(10_000), { mode: 0o600 });
    expect(await refusal(home)).toMatchObject({ code: 'LOCKED', reason: 'root_key_invalid' });
    fs.rmSync(keyOf(home));
    (await import('node:child_process')).execFileSync('mkfifo', ['-m', '600', keyOf(home)]);
    expect(await refusal(home)).toMatchObject({ code: 'LOCKED', reason: 'root_key_invalid' });
  });
});

describe('a vault file', () => {
  test('a vault file that every user can change is refused, and doctor names it', async () => {
    const home = await newVault();
    const file = join(home, 'data', 'vault.db');
    for (const [path, mode, good] of [
      [file, 0o666, 0o600],
      [join(home, 'data'), 0o777, 0o700],
      [home, 0o777, 0o700],
    ] as const) {
      fs.chmodSync(path, mode);
      const env = { KEYHOLD_ROOT_KEY: `file:${keyOf(home)}` };
      const expected = path === home ? EXPOSED : { code: 'LOCKED', reason: 'vault_exposed' };
      expect(await refusal(home, env)).toMatchObject(path === home ? { code: 'LOCKED' } : expected);
      const doctor = await runProgram(['doctor', '--json'], { env: { KEYHOLD_HOME: home } });
      expect([doctor.code, doctor.stdout.includes(path)]).toEqual([10, true]);
      fs.chmodSync(path, good);
    }
    await reopen(home);
  });
});

describe('a folder that is writable for all', () => {
  test.each([
    ['the home', '.'],
    ['a folder above the home', '..'],
  ])(
    'no vault is created while %s is writable for all, and the message names the remedy',
    async (_, which) => {
      const home = join(temporaryFolder(), 'above', 'home');
      fs.mkdirSync(home, { recursive: true, mode: 0o700 });
      const folder = join(home, which);
      for (const mode of [0o777, 0o702]) {
        fs.chmodSync(folder, mode);
        for (const create of ['if_new', 'yes'] as const) {
          const refused = await refusal(home, {}, create);
          expect(refused).toMatchObject({ code: 'LOCKED', reason: 'vault_exposed' });
          expect(refused.message).toContain('Run `chmod o-w` on that folder');
        }
      }
      const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0' };
      for (const command of [['init'], ['store', 'linear', '--stdin'], ['serve']]) {
        const { code, stderr } = await runProgram(command, { env, input: 'lin_api_1' });
        expect([command, code, stderr]).toEqual([
          command,
          10,
          expect.stringContaining('No vault was created'),
        ]);
      }
      expect((await runProgram(['doctor'], { env })).stdout).toContain(`chmod o-w ${folder}\n`);
      expect(await refusal(home, {}, 'no')).toMatchObject({ code: 'NOT_FOUND' });
      expect(fs.readdirSync(home)).toEqual([]);
      fs.chmodSync(folder, 0o700);
      expect(await runProgram(['init'], { env })).toMatchObject({ code: 0 });
      await reopen(home);
    },
  );

  test('a vault is created in a new folder below one in which users cannot replace the folders of others', async () => {
    const shared = temporaryFolder();
    fs.chmodSync(shared, 0o1777);
    const env = { KEYHOLD_HOME: join(shared, 'home') };
    expect(await runProgram(['init'], { env })).toMatchObject({ code: 0 });
    await reopen(env.KEYHOLD_HOME);
  });

  test('neither a vault nor a key is created if only the folder of the new root key is writable for all', async () => {
    const [home, open] = [join(temporaryFolder(), 'home'), temporaryFolder()];
    fs.chmodSync(open, 0o777);
    const env = { KEYHOLD_ROOT_KEY: `file:${join(open, 'keys', 'root.key')}` };
    const refused = await refusal(home, env, 'yes');
    expect(refused).toMatchObject(EXPOSED);
    expect(refused.message).toContain('chmod o-w');
    expect([fs.existsSync(home), fs.readdirSync(open)]).toEqual([false, []]);
  });

  test('no backup is restored into a folder that is writable for all, and nothing is created in it', async () => {
    const [home, other] = [await newVault(), temporaryFolder()];
    const env = { KEYHOLD_HOME: home, KEYHOLD_BACKUP_PASSPHRASE: 'correct horse' };
    const file = join(temporaryFolder(), 'vault.backup');
    expect(await runProgram(['backup', '--passphrase', file], { env })).toMatchObject({ code: 0 });
    fs.chmodSync(other, 0o777);
    const restore = () => runProgram(['restore', file], { env: { ...env, KEYHOLD_HOME: other } });
    expect(await restore()).toMatchObject({ code: 10, stderr: expect.stringContaining('chmod o-w') });
    expect(fs.readdirSync(other)).toEqual([]);
    fs.chmodSync(other, 0o700);
    expect(await restore()).toMatchObject({ code: 0 });
    await reopen(other);
  });
});

describe('a file system without file modes', () => {
  test('no vault is created with a key file on it, and the message names what to choose', async ({
    skip,
  }) => {
    const disk = exfatDisk();
    if (disk === undefined) return skip(NO_EXFAT);
    const home = join(disk, 'home');
    for (const command of [['init'], ['store', 'linear', '--stdin'], ['serve']]) {
      const env = { KEYHOLD_HOME: home, KEYHOLD_PORT: '0' };
      const { code, stderr } = await runProgram(command, { env, input: 'lin_api_1' });
      expect([command, code]).toEqual([command, 10]);
      expect(stderr).toContain('Set KEYHOLD_HOME to a folder on a disk that keeps file modes');
    }
    expect(fs.existsSync(home)).toBe(false);
  });

  test('a key that was copied to it is refused with the same advice instead of `chmod`', async ({ skip }) => {
    const disk = exfatDisk();
    if (disk === undefined) return skip(NO_EXFAT);
    const home = await newVault();
    fs.copyFileSync(keyOf(home), join(disk, 'root.key'));
    const refused = await refusal(home, { KEYHOLD_ROOT_KEY: `file:${join(disk, 'root.key')}` });
    expect(refused).toMatchObject(EXPOSED);
    expect(refused.message).toContain('gives every file the same mode');
    expect(refused.message).not.toContain('chmod');
  });

  test('a vault on it works with a key from elsewhere, and serve names the remedy for its bootstrap key', async ({
    skip,
  }) => {
    const disk = exfatDisk();
    if (disk === undefined) return skip(NO_EXFAT);
    const env = { KEYHOLD_HOME: join(disk, 'home'), KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: RANDOM_KEY };
    expect((await runProgram(['store', 'linear', '--stdin'], { env, input: 'lin_api_1' })).code).toBe(0);
    expect((await runProgram(['status'], { env })).code).toBe(0);
    const served = await runProgram(['serve'], { env: { ...env, KEYHOLD_PORT: '0' } });
    expect(served.code).toBe(6);
    expect(served.stderr).toContain('keyhold keys create');
    expect(fs.readdirSync(join(disk, 'home', 'keys'))).toEqual(['anchor']);
  }, 30_000);
});

describe('a weak root key', () => {
  test.each([
    ['a passphrase of one character', { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'a' }],
    ['a passphrase of seven characters', { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'abcdefg\n' }],
    ['a repeated character', { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'aaaaaaaaaaaa' }],
    ['zero bytes', { KEYHOLD_ROOT_KEY: 'env:MY_KEY', MY_KEY: Buffer.alloc(32).toString('base64') }],
    [
      'a text',
      {
        KEYHOLD_ROOT_KEY: 'env:MY_KEY',
        MY_KEY: Buffer.from('0123456789'.repeat(4).slice(0, 32)).toString('base64'),
      },
    ],
  ])('no vault is created with %s', async (_, env) => {
    const home = join(temporaryFolder(), 'home');
    for (const create of ['if_new', 'yes'] as const) {
      expect(await refusal(home, env, create)).toMatchObject({
        code: 'INVALID_INPUT',
        reason: 'root_key_weak',
      });
    }
    expect(fs.existsSync(home)).toBe(false);
  });

  test('no vault is created with a key file of zero bytes, which stays as it is', async () => {
    const home = temporaryFolder();
    fs.mkdirSync(join(home, 'keys'), { mode: 0o700 });
    fs.writeFileSync(keyOf(home), Buffer.alloc(32).toString('base64'), { mode: 0o600 });
    const before = snapshot(home);
    expect(await refusal(home, {}, 'yes')).toMatchObject({ code: 'INVALID_INPUT', reason: 'root_key_weak' });
    expect(snapshot(home)).toEqual(before);
  });
});
