/**
 * Operations on credentials by id while another process writes to the same ones: each finds the credential and no
 * write is lost.
 */
import { describe, expect, test } from 'vitest';
import { useVaultProcesses } from '../../kit/child/vault_process.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { runSize } from '../../kit/run_size.ts';
import { readCredentialRows } from '../../kit/vault/database.ts';
import { createAcme, revealValues } from '../../kit/vault/tenants.ts';

const child_processes = useVaultProcesses();

const REPLACEMENT = { credential_type: 'bearer', credentials: { linear_api_key: 'v' } } as const;
const NEW = { service_id: 'linear', ...REPLACEMENT };
const TAKEN = 'CONFLICT credential_exists';

describe('creating a credential in two processes', () => {
  test('a credential created by two processes under one name is created once', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const process = await child_processes.open(tenants.home);
    for (let round = 0; round < 10; round++) {
      const input = { ...NEW, name: `n${round}` };
      const [there, here] = await Promise.all([
        process.call('credentials.create', ann, [input]),
        outcomeOf(credentials.create(ann, input)),
      ]);
      const end = 'code' in there ? `${there.code} ${there.reason}` : 'ok';
      expect([end, here].toSorted()).toEqual([TAKEN, 'ok'].toSorted());
    }
    expect(await credentials.list(ann)).toHaveLength(10);
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });
});

describe('a credential renamed by one process', () => {
  const ROUNDS = runSize({ quick: 15, ci: 40, slow: 1_000 });

  test('rename and replace of a credential by two processes both succeed, and the last of each is kept', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    const [renaming, replacing] = await Promise.all([
      child_processes.open(tenants.home),
      child_processes.open(tenants.home),
    ]);
    const results = await Promise.all([
      renaming.call('credentials.change', ann, [id, { name: 'name-#' }], ROUNDS),
      replacing.call('credentials.replace', ann, [id, { ...REPLACEMENT, credentials: { x: 'x-#' } }], ROUNDS),
    ]);
    expect(results.map(({ results, ...end }) => [results.length, 'code' in end])).toEqual([
      [ROUNDS, false],
      [ROUNDS, false],
    ]);
    expect(await credentials.get(ann, id)).toMatchObject({ name: `name-${ROUNDS - 1}`, fields: ['x'] });
    expect(await revealValues(tenants, ann, id)).toEqual({ x: `x-${ROUNDS - 1}` });
    expect((await tenants.vault.listAudit(admin, { outcome: 'denied' })).entries).toEqual([]);
    const report = await tenants.vault.verifyAudit(admin);
    expect([report.findings, report.credentials]).toEqual([[], 1]);
  });

  test('rename and update by name in two processes lose no field', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const { id } = await credentials.create(ann, NEW);
    const [renaming, updating] = await Promise.all([
      child_processes.open(tenants.home),
      child_processes.open(tenants.home),
    ]);
    const [renamed, updated] = await Promise.all([
      renaming.call('credentials.change', ann, [id, { name: 'elsewhere' }], 1),
      updating.call(
        'update',
        ann,
        [{ service_id: 'linear', credentials: { linear_api_key: 'k-#' } }],
        ROUNDS,
      ),
    ]);
    expect(['code' in renamed, 'code' in updated]).toEqual([false, false]);
    const listed = await credentials.list(ann);
    expect(listed.map(({ name }) => name).toSorted()).toContain('elsewhere');
    expect(await revealValues(tenants, ann, id)).toHaveProperty('linear_api_key');
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });

  test('a credential renamed and deleted by two processes stays deleted', async () => {
    const { tenants, credentials, ann, admin } = await createAcme();
    const [renaming, deleting] = await Promise.all([
      child_processes.open(tenants.home),
      child_processes.open(tenants.home),
    ]);
    for (let round = 0; round < 10; round++) {
      const { id } = await credentials.create(ann, { ...NEW, name: `${round}` });
      const [renamed, deleted] = await Promise.all([
        renaming.call('credentials.change', ann, [id, { name: `${round}-#` }], 100),
        deleting.call('credentials.delete', ann, [id]),
      ]);
      expect(['code' in deleted, 'code' in renamed && renamed.code]).toEqual([false, 'NOT_FOUND']);
      expect(await outcomeOf(credentials.get(ann, id))).toBe('NOT_FOUND');
    }
    expect(await readCredentialRows(tenants.home)).toEqual([]);
    expect((await tenants.vault.verifyAudit(admin)).findings).toEqual([]);
  });
});
