/** Processes killed during writes: acknowledged writes are kept, and no lock or partial write is left. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AuditEntry } from '../../../src/contract/audit.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import type { WriterLine } from '../../kit/child/vault_program.ts';
import { runSize } from '../../kit/run_size.ts';
import { test_engine } from '../../kit/vault/database.ts';
import { revealCredentials } from '../../kit/vault/revealed_values.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

const writers = useVaultProcesses();
const LANES = 4;
const KILLS = runSize({ quick: 40, ci: test_engine.is_remote ? 40 : 80, slow: 2_000 });
const CREDENTIALS = 6;

type Begun = Extract<WriterLine, { event: 'begin' }>;

interface WriteLog {
  /** All writes that were started, by request id. */
  readonly begun: Map<string, Begun>;
  readonly acknowledged: Set<string>;
}

/**
 * Starts a writer, kills it at a random time after a random number of acknowledged writes, and records its output.
 * Waiting for writes instead of a time makes the test independent of the speed of the machine.
 */
async function writeAndDie(home: string, label: string, write_log: WriteLog): Promise<void> {
  const writer = writers.startWriter(home, { task: 'mix', label, credentials: CREDENTIALS });
  // One in ten is killed while it opens the vault.
  const acknowledgements = Math.random() < 0.9 ? 1 + Math.floor(Math.random() * 4) : 0;
  if (acknowledgements > 0) await writer.waitFor('ready');
  writer.begin();
  const isAcknowledged = () =>
    writer.lines.filter(({ event }) => event === 'acknowledged').length >= acknowledgements;
  let has_exited = false;
  void writer.exited.then(() => {
    has_exited = true;
  });
  while (!isAcknowledged() && !has_exited) await sleep(1);
  await sleep(Math.random() * (acknowledgements > 0 ? 20 : 150));
  writer.signal('SIGKILL');
  const { code } = await writer.exited;
  expect(writer.lines.filter(({ event }) => event === 'failed')).toEqual([]);
  expect(code).toBeNull();
  for (const line of writer.lines) {
    if (line.event === 'begin') write_log.begun.set(line.request_id, line);
    if (line.event === 'acknowledged') write_log.acknowledged.add(line.request_id);
  }
}

async function allowedEntries(vault: Vault, caller: Caller): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  let before: number | undefined;
  do {
    const page = await vault.listAudit(caller, { outcome: 'allowed' }, 100, before);
    entries.push(...page.entries);
    before = page.next ?? undefined;
  } while (before !== undefined);
  return entries.reverse();
}

/** The state of the vault if exactly the logged writes happened, in the order of the log. */
function replay(entries: readonly AuditEntry[], begun: ReadonlyMap<string, Begun>) {
  const held = new Map<string, { revision: number | null; values: Record<string, string> }>();
  for (const entry of entries) {
    if (entry.action === 'init') continue;
    const request = begun.get(entry.request_id);
    if (request === undefined) throw new Error('the log has a write that no writer began');
    const key = `api_credential/${request.name}`;
    expect([entry.action, entry.name]).toEqual([request.action, request.name]);
    if (entry.action === 'delete') held.delete(key);
    else {
      const kept = entry.action === 'update' ? held.get(key)?.values : {};
      held.set(key, { revision: entry.revision, values: { ...kept, ...request.values } });
    }
  }
  return held;
}

test(`${KILLS} writers killed at random lose no acknowledged write`, {
  timeout: 1_800_000,
}, async () => {
  const { home, vault, caller } = await openTestVault();
  const write_log: WriteLog = { begun: new Map(), acknowledged: new Set() };
  await Promise.all(
    Array.from({ length: LANES }, async (_, lane) => {
      for (let life = 0; life < KILLS / LANES; life++) await writeAndDie(home, `${lane}-${life}`, write_log);
    }),
  );

  // No lock is left: a write succeeds at once.
  const last = caller();
  const values = { username: 'last' };
  write_log.begun.set(last.request_id, {
    event: 'begin',
    request_id: last.request_id,
    action: 'update',
    name: 'shared-0',
    values,
  });
  await vault.update(last, { service_id: 'api_credential', name: 'shared-0', credentials: values });

  expect(await vault.health()).toMatchObject({ ok: true, detail: expect.stringMatching(/^every/) });
  const report = await vault.verifyAudit(caller());
  expect(report.findings).toEqual([]);

  const entries = await allowedEntries(vault, caller());
  const logged = new Set(entries.map(({ request_id }) => request_id));
  console.log(
    `${KILLS} kills: ${write_log.begun.size} writes begun, ${write_log.acknowledged.size} acknowledged, ${entries.length} made`,
  );
  expect(logged.size).toBe(entries.length);
  expect(write_log.acknowledged.size).toBeGreaterThan(KILLS);
  expect([...write_log.acknowledged].filter((request_id) => !logged.has(request_id))).toEqual([]);

  await vault.close();
  const held = replay(entries, write_log.begun);
  const revealed = await revealCredentials(home);
  expect([...revealed.keys()].sort()).toEqual([...held.keys()].sort());
  for (const [key, credential] of held) expect(revealed.get(key)).toMatchObject({ ...credential });
});
