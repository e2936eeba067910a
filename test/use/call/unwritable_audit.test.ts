/** Uses whose audit entry cannot be written: nothing is sent, the error names the cause, and later uses work again. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { NO_DISKS, smallDisk } from '../../kit/file_system.ts';
import { errorOf } from '../../kit/outcome.ts';
import { echo } from '../../kit/upstream/handlers.ts';
import { startUpstream, upstreamEnv } from '../../kit/upstream/upstream.ts';
import { flipBit, readAuditEntryRows, replaceAuditEntries } from '../../kit/vault/database.ts';
import { countDecryptions } from '../../kit/vault/decrypt_counter.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { BEARER, callsOf, definitionOf, HOST } from './call_kit.ts';

const TOKEN = 'sk_live_0123456789abcdef';
const DISK_KIB = 2_048;
const INPUT = { service_id: 'acme', path: '/a' };

/** A vault in `home` with a credential, and its calls. */
async function open(home: string) {
  const upstream = await startUpstream([HOST], echo());
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(definitionOf(BEARER)));
  const opened = await openTestVault(home);
  const { vault, caller } = opened;
  await vault.update(caller(), { service_id: 'acme', credentials: { token: TOKEN } });
  const calls = callsOf(vault);
  const env = { ...upstreamEnv(temporaryFolder()), KEYHOLD_HOME: home, KEYHOLD_LOG: 'silent' };
  const run = (...argv: string[]) => runProgram(argv, { env });
  return { ...opened, upstream, calls, run };
}

test('a call and a command on a full disk send and start nothing, and work once space is free', async ({
  skip,
}) => {
  const disk = smallDisk(DISK_KIB);
  if (disk === undefined) return skip(NO_DISKS);
  const { vault, caller, calls, upstream, run } = await open(join(disk.path, 'home'));
  expect((await calls.call(caller(), INPUT)).output.status).toBe(200);
  disk.fill();
  // The log file of the database may have room for some entries.
  let sent = upstream.requests.length;
  const refused = async () => {
    sent = upstream.requests.length;
    return calls.call(caller(), INPUT).then(
      () => undefined,
      (error: { code: string; reason: string; message: string }) => error,
    );
  };
  let error = await refused();
  for (let time = 0; error === undefined && time < 1_000; time++) error = await refused();
  expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'disk_full' });
  expect(error?.message).toContain('Free some space');
  const decryptions = countDecryptions();
  const more = await Promise.all([1, 2, 3].map(() => errorOf(calls.call(caller(), INPUT))));
  expect(more.map(({ reason }) => reason)).toEqual(Array(3).fill('disk_full'));
  expect(decryptions()).toBe(0);
  expect(upstream.requests).toHaveLength(sent);
  for (const argv of [
    ['call', 'acme', '/a'],
    ['run', '--service', 'acme', '--', '/bin/echo', 'started'],
  ]) {
    const { code, stdout, stderr } = await run(...argv);
    expect([argv[0], code === 0, stdout]).toEqual([argv[0], false, '']);
    expect(stderr).not.toContain(TOKEN);
  }
  expect(upstream.requests).toHaveLength(sent);
  disk.free();
  expect((await calls.call(caller(), INPUT)).output.status).toBe(200);
  expect(upstream.requests).toHaveLength(sent + 1);
  expect((await vault.verifyAudit(caller())).findings).toEqual([]);
});

test('a call with a broken audit chain sends nothing, and works once the log is restored', async () => {
  const { home, vault, caller, calls, upstream, run } = await open(temporaryFolder());
  const rows = await readAuditEntryRows(home);
  const last = rows.length - 1;
  const broken = rows.map((row, at) => (at === last ? { ...row, link: flipBit(row.link, 3) } : row));
  await replaceAuditEntries(home, broken);
  for (let time = 0; time < 2; time++) {
    const error = await errorOf(calls.call(caller(), INPUT));
    expect([error.code, error.reason]).toEqual(['CORRUPT', 'audit_broken']);
    expect(error.message).toContain('keyhold audit verify');
  }
  const { code, stdout, stderr } = await run('call', 'acme', '/a');
  expect([code === 0, stdout]).toEqual([false, '']);
  expect(stderr).toContain('keyhold audit verify');
  expect(upstream.connections()).toBe(0);
  await replaceAuditEntries(home, rows);
  expect((await calls.call(caller(), INPUT)).output.status).toBe(200);
  expect((await vault.verifyAudit(caller())).findings).toEqual([]);
});
