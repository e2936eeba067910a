/** `keyhold seal`, and its confirmation for a public key that is not the one of this vault. */
import { hash } from 'node:crypto';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CliOptions, keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

const LINEAR_KEY = 'lin_api_abc123def456789';
const ENTER = '\r';

interface Key {
  readonly public_key: string;
  readonly fingerprint: string;
}

let home: string;
let other_home: string;
beforeEach(() => {
  home = newHome();
  other_home = newHome();
});
afterEach(async () => {
  await removeHome(home);
  await removeHome(other_home);
});

async function newVault(folder: string): Promise<Key> {
  await keyholdOk(folder, ['init']);
  return keyholdJson<Key>(folder, ['status']);
}

const sealTo = (
  { public_key }: Key,
  argv: readonly string[] = [],
  options: CliOptions = { stdin: LINEAR_KEY },
) => keyhold(home, ['seal', 'linear', '--key', public_key, ...argv], options);

test('seal without a vault or --key exits with 5, suggests init and creates nothing', async () => {
  const { code, stderr } = await keyhold(home, ['seal', 'linear'], { stdin: 'x' });
  expect(code).toBe(5);
  expect(stderr).toContain('keyhold init');
  expect(fs.existsSync(home)).toBe(false);
});

test('seal exits with 2 for a value that is sealed already', async () => {
  await keyholdOk(home, ['init']);
  const sealed = await keyholdOk(home, ['seal', 'linear'], { stdin: 'x' });
  const { code, stderr } = await keyhold(home, ['seal', 'linear', '--json'], { stdin: sealed });
  expect(code).toBe(2);
  expect(JSON.parse(stderr)).toMatchObject({ error: { reason: 'double_seal' } });
});

test('status --json prints the SHA-256 fingerprint of the public key', async () => {
  const { public_key, fingerprint } = await newVault(home);
  const digest = hash('sha256', Buffer.from(public_key, 'base64'), 'base64');
  expect(fingerprint).toBe(`SHA256:${digest.replace('=', '')}`);
});

describe('seal --key with a key that is not of this vault', () => {
  test('seal --key without a terminal is refused with the fingerprint, and --yes seals', async () => {
    const other = await newVault(other_home);
    await newVault(home);
    const refused = await sealTo(other);
    expect([refused.code, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain(`${other.fingerprint} is not this vault's key.`);
    expect(refused.stderr).toContain('--yes');
    const sealed = await sealTo(other, ['--yes']);
    expect(sealed.code).toBe(0);
    expect(sealed.stderr).toContain(`${other.fingerprint} is not this vault's key.`);
    await keyholdOk(other_home, ['store', 'linear'], { stdin: sealed.stdout });
  });

  test('seal --key without a vault here reports that the key cannot be compared, and creates no vault', async () => {
    const other = await newVault(other_home);
    const refused = await sealTo(other);
    expect([refused.code, refused.stdout]).toEqual([2, '']);
    expect(refused.stderr).toContain(`${other.fingerprint} cannot be compared`);
    const { code, stdout, stderr } = await sealTo(other, ['--yes', '--json']);
    expect(code).toBe(0);
    expect(stderr).toContain('cannot be compared');
    expect(fs.existsSync(home)).toBe(false);
    const { sealed } = JSON.parse(stdout) as { sealed: string };
    expect(sealed).not.toContain(LINEAR_KEY);
    await keyholdOk(other_home, ['store', 'linear'], { stdin: sealed });
  });

  test('seal --key with a vault that cannot be opened reports that the key cannot be compared', async () => {
    const other = await newVault(other_home);
    await newVault(home);
    fs.rmSync(`${home}/keys/root.key`);
    const refused = await sealTo(other);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('cannot be compared');
  });

  test.each([
    ['n', /Nothing was sealed/, ''],
    ['y', /is not this vault's key/, 'sealed:2:'],
  ])(
    'seal --key in a terminal prompts for a confirmation before the value, and seals only after y (%s)',
    async (typed_key, shown, start) => {
      const other = await newVault(other_home);
      await newVault(home);
      const typed: CliOptions['typed'] = [
        [/Seal to this key\?/, typed_key],
        [/Linear: API key/, LINEAR_KEY + ENTER],
      ];
      const { code, stdout, stderr } = await sealTo(other, [], { terminal: true, typed });
      expect(code).toBe(0);
      expect(stderr).toMatch(shown);
      expect(stderr).toContain(other.fingerprint);
      expect(stdout.slice(0, 9)).toBe(start);
    },
  );

  test('seal --key with the key of this vault needs no confirmation', async () => {
    const { code, stdout, stderr } = await sealTo(await newVault(home));
    expect([code, stderr]).toEqual([0, '']);
    await keyholdOk(home, ['store', 'linear'], { stdin: stdout });
  });
});
