/** `keyhold backup` and `restore` on full disks, beside files that other processes left, over pipes and on a terminal. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { BackupFile } from '../../src/cli/commands/backup/backup_file.ts';
import { countLine, progressLine } from '../../src/cli/commands/backup/progress.ts';
import { PROGRAM } from '../kit/child/built_program.ts';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';
import { NO_DISKS, smallDisk, snapshot } from '../kit/file_system.ts';
import { readStoredRecords } from '../kit/vault/database.ts';
import { openTestVault, temporaryFolder } from '../kit/vault/temp_vault.ts';

const DISK_KIB = 4096;
const CREDENTIALS = 40;

let home: string;
let file: string;
beforeEach(async () => {
  home = freshHome();
  file = join(temporaryFolder(), 'vault.backup');
  await fill(home);
});

function freshHome(): string {
  const made = newHome();
  onTestFinished(() => removeHome(made));
  return made;
}

async function fill(at: string): Promise<void> {
  const { vault, caller } = await openTestVault(at);
  for (let number = 0; number < CREDENTIALS; number++)
    await vault.store(caller(), {
      service_id: 'linear',
      name: `number-${number}`,
      credential_type: 'api_key',
      credential_value: `lin_api_${'v'.repeat(2_000)}_${number}`,
    });
  await vault.close();
}

function copyKeys(to: string): void {
  fs.mkdirSync(join(to, 'keys'), { recursive: true, mode: 0o700 });
  fs.copyFileSync(join(home, 'keys', 'root.key'), join(to, 'keys', 'root.key'));
}

const vaultOf = (at: string) => join(at, 'data', 'vault.db');

describe('a full disk', () => {
  test('ends a backup with a message and without a file, and a backup is made once there is space', async ({
    skip,
  }) => {
    const disk = smallDisk(DISK_KIB) ?? skip(NO_DISKS);
    const path = join(disk.path, 'vault.backup');
    disk.fill();
    const failed = await keyhold(home, ['backup', path, '--json']);
    expect(JSON.parse(failed.stderr).error).toMatchObject({ code: 'UNAVAILABLE', reason: 'disk_full' });
    expect(fs.readdirSync(disk.path)).toEqual(['ballast']);
    disk.free();
    await keyholdOk(home, ['backup', path]);
    await keyholdOk(home, ['backup', 'verify', path]);
  });

  test('ends a restore and leaves the present vault, and the same command succeeds once there is space', async ({
    skip,
  }) => {
    await keyholdOk(home, ['backup', file]);
    const records = await readStoredRecords(home);
    const disk = smallDisk(DISK_KIB) ?? skip(NO_DISKS);
    const full = join(disk.path, 'home');
    fs.cpSync(home, full, { recursive: true });
    await keyholdOk(full, ['store', 'github', '--stdin'], { stdin: 'a-newer-value' });
    disk.fill();
    const failed = await keyhold(full, ['restore', '--replace', file, '--json']);
    expect(JSON.parse(failed.stderr).error).toMatchObject({ code: 'UNAVAILABLE', reason: 'disk_full' });
    disk.free();
    expect((await readStoredRecords(full)).length).toBe(records.length + 1);
    await keyholdOk(full, ['audit', 'verify']);
    await keyholdOk(full, ['restore', '--replace', file]);
    expect(await readStoredRecords(full)).toEqual(records);
    await keyholdOk(full, ['audit', 'verify']);
    expect(fs.readdirSync(join(full, 'data')).filter((name) => name.includes('receiving'))).toEqual([]);
  });
});

test('a restore to a path with the write-ahead log of a lost vault applies nothing of that log', async () => {
  await keyholdOk(home, ['backup', file]);
  const records = await readStoredRecords(home);
  const { vault, caller } = await openTestVault(home);
  await vault.store(caller(), {
    service_id: 'linear',
    name: 'in-the-log',
    credential_type: 'api_key',
    credential_value: 'lin_api_in_the_log',
  });
  const other = freshHome();
  copyKeys(other);
  fs.mkdirSync(join(other, 'data'), { mode: 0o700 });
  const log = join(temporaryFolder(), 'log');
  spawnSync('cp', [`${vaultOf(home)}-wal`, log]);
  await vault.close();
  fs.copyFileSync(log, `${vaultOf(other)}-wal`);
  expect(fs.statSync(`${vaultOf(other)}-wal`).size).toBeGreaterThan(0);
  await keyholdOk(other, ['restore', file]);
  expect(await readStoredRecords(other)).toEqual(records);
  await keyholdOk(other, ['audit', 'verify']);
});

test('a restore replaces nothing while another process has the vault open, and names the next step', async () => {
  await keyholdOk(home, ['backup', file]);
  const opened = await openTestVault(home);
  const { code, stderr } = await keyhold(home, ['restore', '--replace', file, '--json']);
  expect(code).not.toBe(0);
  expect(JSON.parse(stderr).error).toMatchObject({ code: 'UNAVAILABLE', reason: 'busy' });
  expect(stderr).toContain('Stop the server');
  expect(await opened.vault.verifyAudit(opened.caller())).toMatchObject({ ok: true });
  await opened.vault.close();
  await keyholdOk(home, ['restore', '--replace', file]);
  await keyholdOk(home, ['audit', 'verify']);
});

describe('a rehearsal', () => {
  test('changes no file of the vault, and does not finish a rotation of the root key that was stopped', async () => {
    const key = join(home, 'keys', 'root.key');
    const former = fs.readFileSync(key);
    await keyholdOk(home, ['rotate', 'root']);
    await keyholdOk(home, ['backup', file]);
    const next = fs.readFileSync(key, 'utf8');
    const id = (await rootKeyIdIn(file)).subarray(0, 8).toString('hex');
    // As a rotation leaves them that was killed after the vault got the new key.
    fs.writeFileSync(key, former, { mode: 0o600 });
    fs.writeFileSync(`${key}.next-${id}`, next, { mode: 0o600 });
    const before = snapshot(home);
    expect(await keyholdJson(home, ['backup', 'verify', file])).toMatchObject({ ok: true });
    expect(snapshot(home)).toEqual(before);
    await keyholdOk(home, ['status']);
    expect(fs.readFileSync(key, 'utf8')).toBe(next);
  });
});

async function rootKeyIdIn(path: string): Promise<Buffer> {
  const [, line = ''] = fs.readFileSync(path, 'latin1').split('\n', 2);
  return Buffer.from((JSON.parse(line) as { root_key_id: string }).root_key_id, 'base64');
}

test('a backup passes through pipes, byte by byte as it is', async () => {
  const env = { PATH: process.env.PATH, KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const limits = { maxBuffer: 64 * 1024 * 1024, env };
  const made = spawnSync(process.execPath, [PROGRAM, 'backup', '-'], limits);
  expect([made.status, made.stderr.toString()]).toEqual([0, '']);
  const other = freshHome();
  copyKeys(other);
  const input = { ...limits, env: { ...env, KEYHOLD_HOME: other }, input: made.stdout };
  expect(spawnSync(process.execPath, [PROGRAM, 'backup', 'verify', '-'], input).status).toBe(0);
  expect(spawnSync(process.execPath, [PROGRAM, 'restore', '-'], input).status).toBe(0);
  expect(await readStoredRecords(other)).toEqual(await readStoredRecords(home));
  const refused = await keyhold(home, ['backup', '-'], { terminal: true });
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(await keyhold(home, ['backup', '-', '--json'])).toMatchObject({ code: 2, stdout: '' });
});

test('a backup to the path of another one that is made at the same time fails with CONFLICT, and the file is the other one', async () => {
  const [first, second] = [new BackupFile(file, false), new BackupFile(file, false)];
  await first.write(Buffer.from('first'));
  await second.write(Buffer.from('second'));
  await first.finish();
  await expect(second.finish()).rejects.toMatchObject({ code: 'CONFLICT' });
  first.close();
  second.close();
  expect(fs.readFileSync(file, 'utf8')).toBe('first');
  expect(fs.readdirSync(join(file, '..'))).toEqual(['vault.backup']);
});

test('work whose total is unknown shows its count on a terminal, and nothing elsewhere', () => {
  const run = (is_terminal: boolean) => {
    const stderr = Object.assign(new PassThrough(), { isTTY: is_terminal });
    const progress = countLine({ stderr: stderr as unknown as NodeJS.WriteStream }, 'Wrapping the keys');
    for (const done of [100, 100, 200]) progress.show(done);
    progress.clear();
    return String(stderr.read() ?? '');
  };
  expect(run(false)).toBe('');
  expect(run(true)).toBe('\r\u001b[KWrapping the keys: 100\r\u001b[KWrapping the keys: 200\r\u001b[K');
});

test('long work shows its progress on a terminal, removes the line at the end, and writes none to a file', () => {
  const run = (is_terminal: boolean, total: number) => {
    const stderr = Object.assign(new PassThrough(), { isTTY: is_terminal });
    const progress = progressLine({ stderr: stderr as unknown as NodeJS.WriteStream }, 'Restoring');
    for (const part of [0.5, 0.5, 1]) progress.show(total * part, total);
    progress.clear();
    return String(stderr.read() ?? '');
  };
  expect(run(false, 100_000)).toBe('');
  expect(run(true, 100)).toBe('');
  expect(run(true, 100_000)).toBe(
    '\r\u001b[KRestoring: 50 % of 100000 rows\r\u001b[KRestoring: 100 % of 100000 rows\r\u001b[K',
  );
});
