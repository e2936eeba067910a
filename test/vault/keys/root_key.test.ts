/** The root key in a file, in the environment or derived from a passphrase: missing, wrong, changed and valid. */
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { VaultError } from '../../../src/contract/errors.ts';
import type { CreatePolicy } from '../../../src/vault/open_vault.ts';
import { runProgram } from '../../kit/child/built_program.ts';
import { modeOf, snapshot } from '../../kit/file_system.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at + 7)).toString('base64');
const OTHER_KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at + 8)).toString('base64');
const FROM_ENV = { KEYHOLD_ROOT_KEY: 'env:VAULT_KEY' };
const WITH_KEY = { ...FROM_ENV, VAULT_KEY: KEY };
const FROM_PASSPHRASE = { KEYHOLD_ROOT_KEY: 'passphrase' };

async function refusal(home: string, env: NodeJS.ProcessEnv, create: CreatePolicy = 'if_new') {
  try {
    await openTestVault(home, env, create);
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    return { code: error.code, reason: error.reason, message: error.message };
  }
  throw new Error('the vault opened');
}

/** Creates a vault with one credential and closes it. */
async function makeVault(env: NodeJS.ProcessEnv): Promise<string> {
  const home = join(temporaryFolder(), 'home');
  const { vault, caller } = await openTestVault(home, env);
  await vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'kept' });
  await vault.close();
  return home;
}

async function expectOpen(home: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { vault, caller } = await openTestVault(home, env, 'no');
  expect(await vault.status(caller(), { service_id: 'linear' })).toMatchObject({ status: 'active' });
  await vault.close();
}

describe('a root key in the environment', () => {
  test('a missing, empty or invalid root key in the environment is refused on first use, and no file is created', async () => {
    const wrong = {
      root_key_missing: [FROM_ENV, { ...FROM_ENV, VAULT_KEY: '' }],
      root_key_invalid: ['x', KEY.slice(0, -4), `${KEY}AAAA`, KEY.replaceAll('B', '_'), `${KEY} ${KEY}`].map(
        (key) => {
          return { ...FROM_ENV, VAULT_KEY: key };
        },
      ),
    };
    for (const [reason, envs] of Object.entries(wrong)) {
      for (const env of envs) {
        const home = join(temporaryFolder(), 'home');
        expect(await refusal(home, env)).toMatchObject({ code: 'LOCKED', reason });
        expect(fs.existsSync(home)).toBe(false);
      }
    }
  });

  test('a root key in the environment creates a vault without a key file, and only that key opens it', async () => {
    const home = await makeVault(WITH_KEY);
    expect(fs.readdirSync(join(home, 'keys'))).toEqual(['anchor']);
    const before = snapshot(home);

    const missing = await refusal(home, FROM_ENV);
    expect(missing).toMatchObject({ code: 'LOCKED', reason: 'root_key_missing' });
    expect(missing.message).toContain('KEYHOLD_ROOT_KEY');
    expect(missing.message).not.toContain('VAULT_KEY ');
    const invalid = await refusal(home, { ...FROM_ENV, VAULT_KEY: 'not-a-key' });
    expect(invalid).toMatchObject({ code: 'LOCKED', reason: 'root_key_invalid' });
    expect(invalid.message).not.toContain('not-a-key');
    const other = await refusal(home, { ...FROM_ENV, VAULT_KEY: OTHER_KEY });
    expect(other).toMatchObject({
      code: 'WRONG_KEY',
      message: expect.stringMatching(/Use the one it was made with/),
    });
    expect(other.message).not.toContain(OTHER_KEY);
    expect(snapshot(home)).toEqual(before);
    await expectOpen(home, WITH_KEY);
  });

  test('the root key is read from the environment variable named in the setting', async () => {
    const home = await makeVault(WITH_KEY);
    await expectOpen(home, { KEYHOLD_ROOT_KEY: 'env:_Other2', _Other2: KEY });
  });
});

describe('a passphrase', () => {
  test('a missing passphrase is refused on first use, and no file is created', async () => {
    for (const env of [FROM_PASSPHRASE, { ...FROM_PASSPHRASE, KEYHOLD_PASSPHRASE: '' }]) {
      const home = join(temporaryFolder(), 'home');
      expect(await refusal(home, env)).toMatchObject({
        code: 'LOCKED',
        reason: 'passphrase_missing',
        message: expect.stringMatching(/KEYHOLD_PASSPHRASE/),
      });
      expect(fs.existsSync(home)).toBe(false);
    }
  });

  test('a vault created with a passphrase opens with that passphrase only', async () => {
    const right = { ...FROM_PASSPHRASE, KEYHOLD_PASSPHRASE: 'correct horse ünd 🐎' };
    const home = await makeVault(right);
    expect(fs.readdirSync(join(home, 'keys'))).toEqual(['anchor']);
    const before = snapshot(home);

    expect(await refusal(home, FROM_PASSPHRASE)).toMatchObject({
      code: 'LOCKED',
      reason: 'passphrase_missing',
    });
    const wrong = await refusal(home, { ...FROM_PASSPHRASE, KEYHOLD_PASSPHRASE: 'correct horse' });
    expect(wrong).toMatchObject({
      code: 'WRONG_KEY',
      message: expect.stringMatching(/This passphrase does not belong/),
    });
    expect(wrong.message).not.toContain('horse');
    for (const env of [{}, WITH_KEY]) {
      expect(await refusal(home, env)).toMatchObject({ code: 'LOCKED', reason: 'root_key_source_changed' });
    }
    expect(snapshot(home)).toEqual(before);

    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...right };
    const { code, stdout } = await runProgram(['status', 'linear', '--json'], { env });
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, status: 'active' });
  });
});

describe('a passphrase from a file or an editor', () => {
  const withText = (KEYHOLD_PASSPHRASE: string) => ({ ...FROM_PASSPHRASE, KEYHOLD_PASSPHRASE });

  test('a passphrase that differs by white space around it, a line end or a byte order mark opens the vault', async () => {
    const home = await makeVault(withText('correct horse\r\n'));
    for (const text of ['correct horse', 'correct horse\n', ' correct horse ', '\uFEFFcorrect horse']) {
      await expectOpen(home, withText(text));
    }
    expect(await refusal(home, withText('correct  horse'))).toMatchObject({ code: 'WRONG_KEY' });
  }, 30_000);

  test('a passphrase of white space only is missing', async () => {
    const home = join(temporaryFolder(), 'home');
    expect(await refusal(home, withText(' \r\n'))).toMatchObject({ reason: 'passphrase_missing' });
  });
});

describe('a vault that an earlier version created', () => {
  const FIXTURES = join(import.meta.dirname, 'fixtures');
  const copyOf = (name: string) => {
    const home = temporaryFolder();
    fs.cpSync(join(FIXTURES, name), home, { recursive: true });
    for (const [path, mode] of [
      [home, 0o700],
      [join(home, 'data'), 0o700],
      [join(home, 'data', 'vault.db'), 0o600],
    ] as const)
      fs.chmodSync(path, mode);
    return home;
  };

  test('a vault whose passphrase has one character and a line end as its part still opens', async () => {
    const home = copyOf('passphrase');
    const env = { ...FROM_PASSPHRASE, KEYHOLD_PASSPHRASE: 'a\n' };
    await (await openTestVault(home, env, 'no')).vault.close();
    expect(await refusal(home, { ...env, KEYHOLD_PASSPHRASE: 'a' })).toMatchObject({ code: 'WRONG_KEY' });
  }, 30_000);

  test('a vault whose root key has 32 zero bytes still opens', async () => {
    const home = copyOf('zero_key');
    fs.mkdirSync(join(home, 'keys'), { mode: 0o700 });
    fs.writeFileSync(join(home, 'keys', 'root.key'), Buffer.alloc(32).toString('base64'), { mode: 0o600 });
    await (await openTestVault(home, {}, 'no')).vault.close();
  });
});

describe('a changed root key source', () => {
  test('a changed root key source is refused until it is changed back', async () => {
    const sources = { file: {}, env: WITH_KEY };
    for (const [made_with, env] of Object.entries(sources)) {
      const home = await makeVault(env);
      for (const [now, other] of Object.entries({ ...sources, passphrase: FROM_PASSPHRASE })) {
        if (now === made_with) continue;
        const refused = await refusal(home, other);
        expect(refused).toMatchObject({ code: 'LOCKED', reason: 'root_key_source_changed' });
        expect(refused.message).toContain(`"${made_with}"`);
        expect(refused.message).toContain(`"${now}"`);
        // Not even a caller that may create a vault creates a new one.
        expect(await refusal(home, other, 'yes')).toMatchObject({ reason: 'root_key_source_changed' });
      }
      await expectOpen(home, env);
    }
  });
});

describe('a key file', () => {
  test('the key file is created once, with mode 0600, as 32 bytes in base64', async () => {
    const home = await makeVault({});
    const path = join(home, 'keys', 'root.key');
    expect(modeOf(path)).toBe('0600');
    expect(modeOf(join(home, 'keys'))).toBe('0700');
    const text = fs.readFileSync(path, 'utf8');
    expect(Buffer.from(text, 'base64')).toHaveLength(32);
    expect(text).toBe(`${Buffer.from(text, 'base64').toString('base64')}\n`);
    expect(fs.readdirSync(join(home, 'keys')).sort()).toEqual(['anchor', 'root.key']);
    await expectOpen(home, {});
    expect(fs.readFileSync(path, 'utf8')).toBe(text);
  });

  test('the key file may be at another path and may have any line ending', async () => {
    const home = join(temporaryFolder(), 'home');
    const path = join(temporaryFolder(), 'by hand.key');
    fs.writeFileSync(path, `${KEY}\r\n`, { mode: 0o600 });
    const env = { KEYHOLD_ROOT_KEY: `file:${path}` };
    await (await openTestVault(home, env, 'yes')).vault.close();
    expect(fs.readFileSync(path, 'utf8')).toBe(`${KEY}\r\n`);
    expect(fs.existsSync(join(home, 'keys'))).toBe(false);
    fs.writeFileSync(path, KEY);
    await (await openTestVault(home, env, 'no')).vault.close();
  });

  test('a restored key file opens the vault again', async () => {
    const home = await makeVault({});
    const path = join(home, 'keys', 'root.key');
    const kept = join(temporaryFolder(), 'kept.key');
    fs.renameSync(path, kept);
    for (const create of ['no', 'if_new', 'yes'] as const) {
      expect(await refusal(home, {}, create)).toMatchObject({ code: 'LOCKED', reason: 'root_key_missing' });
      expect(fs.readdirSync(join(home, 'keys'))).toEqual(['anchor']);
    }
    fs.copyFileSync(kept, path);
    await expectOpen(home, {});
  });

  test('a symbolic link to the key file works like the file', async () => {
    const home = await makeVault({});
    const path = join(home, 'keys', 'root.key');
    const target = join(temporaryFolder(), 'target.key');
    fs.renameSync(path, target);
    fs.symlinkSync(target, path);
    await expectOpen(home, {});
    fs.chmodSync(target, 0o644);
    expect(await refusal(home, {})).toMatchObject({ code: 'LOCKED', reason: 'root_key_exposed' });
  });
});
