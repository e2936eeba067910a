/**
 * The anchor beside the root key: a vault file that was replaced as a whole by an older copy is found by the verification,
 * until the operator accepts it.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { NO_USER, ordinaryUser } from '../../kit/child/ordinary_user.ts';
import { errorOf, outcomeOf } from '../../kit/outcome.ts';
import { copyHome, openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const store = ({ vault, caller }: TestVault, name: string) =>
  vault.store(caller(), { service_id: 'linear', credential_type: 'api_key', credential_value: 'v', name });

const anchorOf = (home: string) => join(home, 'keys', 'anchor');

/** Without a key file, nothing but the anchor needs the folder `keys`. */
const NO_KEY_FILE = {
  KEYHOLD_ROOT_KEY: 'env:TEST_ROOT_KEY',
  TEST_ROOT_KEY: Buffer.from(Array.from({ length: 32 }, (_, at) => at * 3 + 1)).toString('base64'),
};

/** The home of a closed vault with the credentials a and b, and a copy of its data folder from before b. */
async function homeAndOlderData(env: NodeJS.ProcessEnv = {}): Promise<{ home: string; older: string }> {
  const first = await openTestVault(undefined, env);
  await store(first, 'a');
  await first.vault.close();
  const older = join(await copyHome(first.home), 'data');
  const second = await openTestVault(first.home, env);
  await store(second, 'b');
  await second.vault.close();
  return { home: first.home, older };
}

function replaceData(home: string, data: string): void {
  fs.rmSync(join(home, 'data'), { recursive: true });
  fs.cpSync(data, join(home, 'data'), { recursive: true });
  fs.chmodSync(join(home, 'data'), 0o700);
}

async function verify(home: string, accept = false) {
  const { vault, caller } = await openTestVault(home);
  const { ok, findings } = await vault.verifyAudit(caller(), { accept });
  await vault.close();
  expect(ok).toBe(findings.length === 0);
  return findings.map(({ kind }) => kind);
}

describe('a vault file that was replaced by an older copy', () => {
  test('a vault file that was replaced by an older copy is found, also after further writes', async () => {
    const { home, older } = await homeAndOlderData();
    expect(await verify(home)).toEqual([]);
    replaceData(home, older);
    expect(await verify(home)).toEqual(['vault_rolled_back']);
    const opened = await openTestVault(home);
    for (const name of ['c', 'd', 'e']) await store(opened, name);
    await opened.vault.close();
    expect(await verify(home)).toEqual(['vault_rolled_back']);
  });

  test('a restored copy is accepted by `audit verify --accept`, and the present state is guarded from then on', async () => {
    const { home, older } = await homeAndOlderData();
    replaceData(home, older);
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
    const found = await runProgram(['audit', 'verify'], { env });
    expect(found.code).toBe(12);
    expect(found.stdout).toMatch(/older than the last state.*keyhold audit verify --accept/);
    const doctor = await runProgram(['doctor'], { env });
    expect([doctor.code, doctor.stdout]).toEqual([12, expect.stringMatching(/Verification found 1 problem/)]);
    const accepted = await runProgram(['audit', 'verify', '--accept'], { env });
    expect([accepted.code, accepted.stdout]).toEqual([0, expect.stringMatching(/intact/)]);
    expect(await verify(home)).toEqual([]);
    const opened = await openTestVault(home);
    await store(opened, 'c');
    await opened.vault.close();
    replaceData(home, older);
    expect(await verify(home)).toEqual(['vault_rolled_back']);
  });

  test('an older copy is found and accepted if the root key is a variable, so that only the anchor needs the folder keys', async () => {
    const { home, older } = await homeAndOlderData(NO_KEY_FILE);
    expect(fs.readdirSync(join(home, 'keys'))).toEqual(['anchor']);
    expect(fs.statSync(join(home, 'keys')).mode & 0o777).toBe(0o700);
    replaceData(home, older);
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...NO_KEY_FILE };
    expect((await runProgram(['audit', 'verify'], { env })).code).toBe(12);
    // As on another machine.
    fs.rmSync(join(home, 'keys'), { recursive: true });
    expect(await runProgram(['audit', 'verify', '--accept'], { env })).toMatchObject({ code: 0, stderr: '' });
    expect(fs.readdirSync(join(home, 'keys'))).toEqual(['anchor']);
  });

  test('an older copy is not accepted if the anchor cannot be written, and the error names the folder', async () => {
    const { home } = await homeAndOlderData(NO_KEY_FILE);
    fs.rmSync(join(home, 'keys'), { recursive: true });
    fs.writeFileSync(join(home, 'keys'), 'a file');
    const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...NO_KEY_FILE };
    const refused = await runProgram(['audit', 'verify', '--accept'], { env });
    expect([refused.code, refused.stderr]).toEqual([
      13,
      expect.stringMatching(/keys\/anchor cannot be written \(EEXIST\).*folder keys in KEYHOLD_HOME/),
    ]);
    expect(fs.readFileSync(join(home, 'keys'), 'utf8')).toBe('a file');
  });

  test('an older copy of the chain of another organization is found', async () => {
    const tenants = await openTenants();
    const admin = await tenants.admin('acme');
    await tenants.vault.close();
    const older = join(await copyHome(tenants.home), 'data');
    const again = await openTenants(tenants.home);
    await again.vault.store(admin, {
      service_id: 'linear',
      credential_type: 'api_key',
      credential_value: 'x',
    });
    await again.vault.close();
    expect(await verify(tenants.home)).toEqual([]);
    replaceData(tenants.home, older);
    expect(await verify(tenants.home)).toEqual(['vault_rolled_back']);
  });

  test('only the operator may accept an older copy', async () => {
    const tenants = await openTenants();
    const { key } = await tenants.newKey({ organization: 'local', user: 'ann', scopes: ['audit:read'] });
    const auditor = await tenants.caller(key);
    await expect(tenants.vault.verifyAudit(auditor, { accept: true })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    expect((await tenants.vault.verifyAudit(auditor)).ok).toBe(true);
  });
});

describe('the anchor file', () => {
  test('the anchor file has mode 0600 and contains neither names nor values', async () => {
    const { home } = await homeAndOlderData();
    expect(fs.statSync(anchorOf(home)).mode & 0o777).toBe(0o600);
    const text = fs.readFileSync(anchorOf(home), 'utf8');
    expect(Object.keys(JSON.parse(text))).toEqual(['format', 'vault', 'chains', 'mac']);
    expect(text).not.toMatch(/linear|local|"me"/);
  });

  test('a vault that was only read writes no anchor file', async () => {
    const { home } = await homeAndOlderData();
    fs.rmSync(anchorOf(home));
    const { vault, caller } = await openTestVault(home);
    await vault.listCredentials(caller(), {});
    await vault.close();
    expect(fs.existsSync(anchorOf(home))).toBe(false);
    expect(await verify(home)).toEqual([]);
  });

  test('an anchor file of a later format is UNAVAILABLE, not a rollback, and is not overwritten', async () => {
    const { home } = await homeAndOlderData();
    const later = JSON.stringify({ format: 2, heads: 'of a later version' });
    fs.writeFileSync(anchorOf(home), later);
    const opened = await openTestVault(home);
    await store(opened, 'c');
    expect(await outcomeOf(opened.vault.verifyAudit(opened.caller()))).toBe('UNAVAILABLE newer_format');
    await opened.vault.close();
    expect(fs.readFileSync(anchorOf(home), 'utf8')).toBe(later);
    expect(await verify(home, true)).toEqual([]);
    expect(await verify(home)).toEqual([]);
  });

  test('an anchor file that cannot be read is UNAVAILABLE, not a rollback', async () => {
    const { home } = await homeAndOlderData();
    fs.rmSync(anchorOf(home));
    fs.mkdirSync(anchorOf(home));
    const { vault, caller } = await openTestVault(home);
    const { code, message } = await errorOf(vault.verifyAudit(caller()));
    expect([code, message]).toEqual(['UNAVAILABLE', expect.stringMatching(/keys\/anchor.*EISDIR/)]);
  });

  const changes: readonly (readonly [string, (text: string) => string])[] = [
    ['an older position', (text) => text.replace(/",(\d+),"/, (_, at) => `",${Number(at) - 1},"`)],
    ['a later position', (text) => text.replace(/",(\d+),"/, (_, at) => `",${Number(at) + 1},"`)],
    ['no chains', (text) => JSON.stringify({ ...JSON.parse(text), chains: [] })],
    ['another MAC', (text) => JSON.stringify({ ...JSON.parse(text), mac: '00'.repeat(32) })],
    ['no content', () => ''],
    ['no JSON', () => '{'],
  ];

  test.each(changes)(
    'an anchor file that was changed to %s is found, and not overwritten by a write',
    async (_, change) => {
      const { home } = await homeAndOlderData();
      const changed = change(fs.readFileSync(anchorOf(home), 'utf8'));
      fs.writeFileSync(anchorOf(home), changed);
      expect(await verify(home)).toEqual(['vault_rolled_back']);
      const opened = await openTestVault(home);
      await store(opened, 'c');
      await opened.vault.close();
      expect(fs.readFileSync(anchorOf(home), 'utf8')).toBe(changed);
      expect(await verify(home, true)).toEqual([]);
    },
  );

  test('the anchor file of another vault is replaced by the next write', async () => {
    const { home } = await homeAndOlderData();
    const other = await homeAndOlderData();
    fs.copyFileSync(anchorOf(other.home), anchorOf(home));
    expect(await verify(home)).toEqual([]);
    const opened = await openTestVault(home);
    await store(opened, 'c');
    await opened.vault.close();
    expect(fs.readFileSync(anchorOf(home), 'utf8')).not.toBe(fs.readFileSync(anchorOf(other.home), 'utf8'));
  });

  test('a folder that cannot be written does not keep the vault from writing and closing', async () => {
    const { home } = await homeAndOlderData();
    fs.rmSync(anchorOf(home));
    fs.mkdirSync(anchorOf(home));
    const opened = await openTestVault(home);
    await store(opened, 'c');
    await opened.vault.close();
    expect(fs.statSync(anchorOf(home)).isDirectory()).toBe(true);
  });

  test.for([
    ['an anchor with mode 0640', 0o640] as const,
    ['a folder keys without an anchor', undefined] as const,
    ['no folder keys', 'none'] as const,
  ])(
    'a command that root runs leaves the anchor to the owner of the vault: %s',
    async ([, state], { skip }) => {
      const user = ordinaryUser();
      if (user === undefined || process.getuid?.() !== 0) return skip(NO_USER);
      const home = join(user.newFolder(), 'home');
      const env = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent', ...NO_KEY_FILE };
      expect(await user.run(['store', 'linear', '--stdin'], env, 'v')).toMatchObject({ code: 0 });
      const before = fs.statSync(anchorOf(home));
      const text = fs.readFileSync(anchorOf(home), 'utf8');
      if (state === 0o640) fs.chmodSync(anchorOf(home), state);
      else fs.rmSync(state === 'none' ? join(home, 'keys') : anchorOf(home), { recursive: true });
      const backup = join(temporaryFolder(), 'vault.backup');
      expect(await runProgram(['backup', backup], { env })).toMatchObject({ code: 0 });
      expect(fs.readFileSync(anchorOf(home), 'utf8')).not.toBe(text);
      const { uid, gid, mode } = fs.statSync(anchorOf(home));
      expect([uid, gid, mode & 0o777]).toEqual([before.uid, before.gid, state === 0o640 ? state : 0o600]);
      expect(fs.statSync(join(home, 'keys'))).toMatchObject({ uid, gid });
      expect(await user.run(['audit', 'verify'], env)).toMatchObject({ code: 0 });
    },
  );

  test('two vaults that write to one file at once leave an anchor that the file has reached', async () => {
    const { home } = await homeAndOlderData();
    const opened = await Promise.all([openTestVault(home), openTestVault(home)]);
    for (let round = 0; round < 5; round++)
      await Promise.all(opened.map((one, at) => store(one, `${round} of ${at}`)));
    await Promise.all(opened.map(({ vault }) => vault.close()));
    expect(await verify(home)).toEqual([]);
  });
});
