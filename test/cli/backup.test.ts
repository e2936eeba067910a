/** `keyhold backup`, `backup verify` and `restore`: round trips, refusals, and backups that were changed. */
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { AuditPage } from '../../src/contract/audit.ts';
import { findCanary, findCanaryInFiles, newCanary } from '../kit/canary.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { openTestDatabase, test_engine } from '../kit/vault/database.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const canary = newCanary();
const PASSPHRASE = { KEYHOLD_BACKUP_PASSPHRASE: `horse ${canary.word} staple` };

let home: string;
let file: string;
beforeEach(async () => {
  home = freshHome();
  file = join(temporaryFolder(), 'vault.backup');
  for (const service of ['linear', 'openai', 'notion']) await store(home, service);
  await keyholdOk(home, ['delete', 'notion', '--yes']);
});

function freshHome(): string {
  const made = newHome();
  onTestFinished(() => removeHome(made));
  return made;
}

function store(at: string, service: string): Promise<string> {
  return keyholdOk(at, ['store', service, '--stdin'], { stdin: canary.word });
}

async function servicesOf(at: string): Promise<string[]> {
  const { credentials } = await keyholdJson<{ credentials: { service_id: string }[] }>(at, ['status']);
  return credentials.map(({ service_id }) => service_id).sort();
}

function copyRootKey(to: string): void {
  fs.mkdirSync(join(to, 'keys'), { recursive: true, mode: 0o700 });
  fs.copyFileSync(join(home, 'keys', 'root.key'), join(to, 'keys', 'root.key'));
}

const vaultOf = (at: string) => join(at, 'data', 'vault.db');
/** The names in the folder of the vault, without those of running processes. */
const filesOf = (at: string) =>
  fs.existsSync(join(at, 'data'))
    ? fs.readdirSync(join(at, 'data')).filter((name) => !name.endsWith('-writers'))
    : [];

describe('a backup', () => {
  test('restores with the root key: the same credentials, an intact log, and an entry of the restore', async () => {
    const made = await keyholdJson<Record<string, unknown>>(home, ['backup', file]);
    expect(made).toMatchObject({ organizations: 1, bytes: fs.statSync(file).size });
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(await keyholdJson(home, ['backup', 'verify', file])).toMatchObject({
      ok: true,
      id: made.id,
      findings: [],
    });
    await store(home, 'github');
    const other = freshHome();
    copyRootKey(other);
    expect(await keyholdJson(other, ['restore', file])).toMatchObject({
      id: made.id,
      kept: null,
      was_restored: false,
    });
    expect(await servicesOf(other)).toEqual(['linear', 'openai']);
    await keyholdOk(other, ['audit', 'verify']);
    const { entries } = await keyholdJson<AuditPage>(other, ['audit', 'list', '--limit', '3']);
    expect(entries.map(({ action }) => action)).toEqual(['restore', 'backup', 'delete']);
    await store(other, 'github');
    await keyholdOk(other, ['audit', 'verify']);
    expect(filesOf(other)).toEqual(['vault.db']);
  });

  test('with a passphrase restores alone, and writes the root key', async () => {
    await keyholdOk(home, ['backup', '--passphrase', file], { env: PASSPHRASE });
    const other = freshHome();
    const wrong = { env: { KEYHOLD_BACKUP_PASSPHRASE: 'another passphrase' } };
    expect(await keyhold(other, ['restore', file], wrong)).toMatchObject({ code: 11 });
    expect(await keyhold(other, ['restore', file])).toMatchObject({ code: 10 });
    expect(fs.existsSync(other)).toBe(false);
    await keyholdOk(other, ['restore', file], { env: PASSPHRASE });
    expect(fs.readFileSync(join(other, 'keys', 'root.key'))).toEqual(
      fs.readFileSync(join(home, 'keys', 'root.key')),
    );
    expect(fs.statSync(join(other, 'keys', 'root.key')).mode & 0o777).toBe(0o600);
    expect(await servicesOf(other)).toEqual(['linear', 'openai']);
    await keyholdOk(other, ['audit', 'verify']);
  });

  test('needs a passphrase of 8 characters that are not all the same, and the same one twice', async () => {
    const short = { env: { KEYHOLD_BACKUP_PASSPHRASE: 'short' } };
    expect(await keyhold(home, ['backup', '--passphrase', file], short)).toMatchObject({ code: 2 });
    const repeated = { env: { KEYHOLD_BACKUP_PASSPHRASE: 'aaaaaaaaaaaa' } };
    expect(await keyhold(home, ['backup', '--passphrase', file], repeated)).toMatchObject({ code: 2 });
    const reference = { env: { KEYHOLD_BACKUP_PASSPHRASE: '$' + '{BACKUP_PASS}' } };
    const unreplaced = await keyhold(home, ['backup', '--passphrase', file], reference);
    expect(unreplaced).toMatchObject({ code: 2, stderr: expect.stringContaining('did not replace') });
    expect(fs.existsSync(file)).toBe(false);
    expect(await keyhold(home, ['backup', '--passphrase', file])).toMatchObject({ code: 10 });
    const differs = {
      terminal: true,
      typed: [
        [/New passphrase/, 'long enough\r'],
        [/once more/, 'not the same\r'],
      ] as const,
    };
    expect(await keyhold(home, ['backup', '--passphrase', file], differs)).toMatchObject({ code: 2 });
    expect(fs.readdirSync(join(file, '..'))).toEqual([]);
  });

  test('replaces a file only with --force', async () => {
    fs.writeFileSync(file, 'mine');
    expect(await keyhold(home, ['backup', file])).toMatchObject({ code: 2 });
    expect(await keyhold(home, ['backup', join(file, '..')])).toMatchObject({ code: 2 });
    expect(fs.readFileSync(file, 'utf8')).toBe('mine');
    await keyholdOk(home, ['backup', '--force', file]);
    await keyholdOk(home, ['backup', 'verify', file]);
    expect(fs.readdirSync(join(file, '..'))).toEqual(['vault.backup']);
  });

  test('contains no value and no passphrase, and neither do its output, its errors and the audit log', async () => {
    const outputs = [
      await keyhold(home, ['backup', '--passphrase', file], { env: PASSPHRASE }),
      await keyhold(home, ['backup', 'verify', file, '--json']),
      await keyhold(home, ['backup', 'verify', `/nowhere/${canary.word}`]),
      await keyhold(home, ['backup', file, canary.value]),
      await keyhold(home, ['restore', canary.value]),
      await keyhold(home, ['restore', file, '--json']),
      await keyhold(home, ['restore', '--replace', file, '--json']),
      await keyhold(home, ['audit', 'list', '--json']),
    ];
    expect(outputs.map(({ code }) => code)).toEqual([0, 0, 5, 2, 5, 0, 0, 0]);
    for (const { stdout, stderr } of outputs) expect(findCanary(stdout + stderr, canary)).toEqual([]);
    expect(findCanary(fs.readFileSync(file), canary)).toEqual([]);
    expect(findCanaryInFiles(home, canary)).toEqual([]);
  });
});

test.skipIf(test_engine.is_remote)(
  'a backup that does not reach every row of the vault is refused, and leaves no file',
  async () => {
    const database = openTestDatabase(home);
    const entries = await database.auditEntries();
    const [first] = entries;
    if (first === undefined) throw new Error('the log is empty');
    await database.replaceAuditEntries([...entries, { ...first, chain: 99 }]);
    const { code, stderr } = await keyhold(home, ['backup', file, '--json']);
    expect(code).toBe(12);
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'CORRUPT', reason: 'record_damaged' });
    expect(fs.readdirSync(join(file, '..'))).toEqual([]);
  },
);

describe('a backup that was changed', () => {
  test('is refused and nothing is changed: a flipped bit, a cut, a moved part, more bytes', async () => {
    await keyholdOk(home, ['backup', file]);
    const bytes = fs.readFileSync(file);
    const parts = splitParts(bytes);
    const [lines = Buffer.alloc(0), ...sealed] = parts;
    expect(sealed.length).toBeGreaterThanOrEqual(4);
    const flipped = Array.from({ length: 12 }, (_, at) => {
      const copy = Buffer.from(bytes);
      const position = at < 3 ? at * 20 : randomInt(bytes.length);
      copy[position] = (copy[position] ?? 0) ^ (1 << randomInt(8));
      return copy;
    });
    const [first, second, ...others] = sealed;
    const changed = [
      ...flipped,
      ...[0, 10, lines.length, bytes.length - 1, randomInt(lines.length, bytes.length)].map((end) =>
        bytes.subarray(0, end),
      ),
      Buffer.concat(parts.slice(0, -1)),
      Buffer.concat([lines, second, first, ...others].map((part) => part ?? Buffer.alloc(0))),
      Buffer.concat([...parts, sealed.at(-1) ?? Buffer.alloc(0)]),
      Buffer.concat([bytes, Buffer.from('x')]),
    ];
    const other = freshHome();
    copyRootKey(other);
    for (const [at, content] of changed.entries()) {
      fs.writeFileSync(file, content);
      const { code, stderr } = await keyhold(other, ['restore', file]);
      expect([at, [2, 10, 11, 12, 13].includes(code), stderr.includes('error:')]).toEqual([at, true, true]);
      expect(fs.existsSync(vaultOf(other))).toBe(false);
    }
    fs.writeFileSync(file, bytes);
    await keyholdOk(other, ['restore', file]);
    expect(await servicesOf(other)).toEqual(['linear', 'openai']);
  });

  test('is refused if it is of a vault with another root key', async () => {
    const other = freshHome();
    await store(other, 'github');
    await keyholdOk(home, ['backup', file]);
    expect(await keyhold(other, ['restore', '--replace', file])).toMatchObject({ code: 11 });
    expect(await keyhold(other, ['backup', 'verify', file])).toMatchObject({ code: 11 });
    expect(await servicesOf(other)).toEqual(['github']);
    await keyholdOk(home, ['backup', '--force', '--passphrase', file], { env: PASSPHRASE });
    expect(await keyhold(other, ['restore', '--replace', file], { env: PASSPHRASE })).toMatchObject({
      code: 10,
    });
    expect(await servicesOf(other)).toEqual(['github']);
  });
});

describe('restore', () => {
  test('refuses to replace a newer vault, and keeps it with --replace', async () => {
    await keyholdOk(home, ['backup', file]);
    await store(home, 'github');
    const refused = await keyhold(home, ['restore', file, '--json']);
    expect(refused.code).toBe(6);
    expect(JSON.parse(refused.stderr).error).toMatchObject({ code: 'CONFLICT', reason: 'vault_newer' });
    expect(await servicesOf(home)).toEqual(['github', 'linear', 'openai']);
    expect(filesOf(home)).toEqual(['vault.db']);
    const { kept } = await keyholdJson<{ kept: string }>(home, ['restore', '--replace', file]);
    expect(await servicesOf(home)).toEqual(['linear', 'openai']);
    await keyholdOk(home, ['audit', 'verify']);
    const again = { env: { KEYHOLD_STORE: `sqlite:${kept}` } };
    expect(await keyholdOk(home, ['status'], again)).toContain('github');
  });

  test('writes no key file if it refuses to replace the vault', async () => {
    await keyholdOk(home, ['backup', '--passphrase', file], { env: PASSPHRASE });
    await store(home, 'github');
    const key = join(home, 'keys', 'root.key');
    const text = fs.readFileSync(key);
    fs.rmSync(key);
    expect(await keyhold(home, ['restore', file], { env: PASSPHRASE })).toMatchObject({ code: 6 });
    expect(fs.existsSync(key)).toBe(false);
    await keyholdOk(home, ['restore', '--replace', file], { env: PASSPHRASE });
    expect(fs.readFileSync(key)).toEqual(text);
    expect(await servicesOf(home)).toEqual(['linear', 'openai']);
  });

  test('finishes a run that was killed after it had replaced the vault', async () => {
    await keyholdOk(home, ['backup', file]);
    const anchor = join(home, 'keys', 'anchor');
    await store(home, 'github');
    const newer = fs.readFileSync(anchor);
    await keyholdOk(home, ['restore', '--replace', file]);
    fs.writeFileSync(anchor, newer);
    expect(await keyhold(home, ['audit', 'verify'])).toMatchObject({ code: 12 });
    expect(await keyholdJson(home, ['restore', file])).toMatchObject({ was_restored: true, kept: null });
    await keyholdOk(home, ['audit', 'verify']);
    expect(filesOf(home).sort()).toEqual(['vault.db', 'vault.db.replaced-1']);
  });

  test('replaces an older state of the vault without --replace', async () => {
    const before = fs.readFileSync(vaultOf(home));
    await store(home, 'github');
    await keyholdOk(home, ['backup', file]);
    fs.writeFileSync(vaultOf(home), before);
    await keyholdOk(home, ['restore', file]);
    expect(await servicesOf(home)).toEqual(['github', 'linear', 'openai']);
    await keyholdOk(home, ['audit', 'verify']);
  });

  test('replaces a damaged vault with --replace only', async () => {
    await keyholdOk(home, ['backup', file]);
    fs.writeFileSync(vaultOf(home), 'damaged');
    expect(await keyhold(home, ['restore', file])).toMatchObject({ code: 6 });
    expect(fs.readFileSync(vaultOf(home), 'utf8')).toBe('damaged');
    await keyholdOk(home, ['restore', '--replace', file]);
    expect(await servicesOf(home)).toEqual(['linear', 'openai']);
  });
});

/** The two lines with the header of the stream, then each sealed part with its length. */
function splitParts(bytes: Buffer): Buffer[] {
  const lines_end = bytes.indexOf('\n', bytes.indexOf('\n') + 1) + 1 + 24;
  const parts = [bytes.subarray(0, lines_end)];
  for (let at = lines_end; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at);
    parts.push(bytes.subarray(at, end));
    at = end;
  }
  return parts;
}
