/** Approval of destinations: a definition that changed, and who may approve. Through a real vault file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorOf } from '../../kit/outcome.ts';
import { INTRANET } from '../../kit/vault/custom_service.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const SERVICE = { service_id: 'intranet' };

function define(home: string, hosts: readonly string[], changes: object = {}): void {
  mkdirSync(join(home, 'services'), { recursive: true });
  const definition = { ...INTRANET, hosts, ...changes };
  writeFileSync(join(home, 'services', 'intranet.json'), JSON.stringify(definition));
}

test('a custom definition that gained a host makes its credentials unusable until a person approves it', async () => {
  const home = temporaryFolder();
  define(home, ['intranet.example.com']);
  const before = await openTestVault(home);
  await before.vault.update(before.caller(), { ...SERVICE, credentials: { token: 'tok-0123456789' } });
  expect((await before.vault.status(before.caller(), SERVICE)).status).toBe('active');

  define(home, ['intranet.example.com', 'collector.evil-example.com']);
  const { vault, caller } = await openTestVault(home);
  const status = await vault.status(caller(), SERVICE);
  expect(status).toMatchObject({ status: 'needs_review', destination: ['https://intranet.example.com'] });
  const id = status.credential_id ?? '';
  expect((await errorOf(vault.uses.find(caller(), SERVICE))).reason).toBe('needs_review');

  for (const other of [
    { ...caller(), edge: 'mcp' as const },
    { ...caller(), edge: 'cli' as const, api_key_id: 'k' },
    { ...caller(), edge: 'rest' as const },
  ]) {
    expect((await errorOf(vault.approvals.approve(other, id))).code).toBe('FORBIDDEN');
    expect((await errorOf(vault.approvals.list(other))).code).toBe('FORBIDDEN');
  }
  const person = { ...caller(), edge: 'cli' as const };
  expect((await errorOf(vault.approvals.get(person, 'unknown'))).code).toBe('NOT_FOUND');
  expect((await errorOf(vault.approvals.deny(person, id))).code).toBe('INVALID_INPUT');
  const origins = ['https://collector.evil-example.com', 'https://intranet.example.com'];
  expect(await vault.approvals.list(person)).toMatchObject([
    { id, kind: 'destination', bound_origins: ['https://intranet.example.com'], new_origins: origins },
  ]);
  expect(await vault.approvals.approve(person, id)).toMatchObject({ state: 'approved' });
  expect(await vault.status(caller(), SERVICE)).toMatchObject({ status: 'active', destination: origins });
  expect(await vault.approvals.list(person)).toEqual([]);
  const { entries } = await vault.listAudit(person, { action: 'approve_destination', outcome: 'allowed' });
  expect(entries).toMatchObject([{ credential_id: id, edge: 'cli' }]);
  expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
});

test('a custom definition that makes a stored secret a plain field does not bind it again when another field is stored', async () => {
  const home = temporaryFolder();
  define(home, ['intranet.example.com']);
  const before = await openTestVault(home);
  await before.vault.update(before.caller(), { ...SERVICE, credentials: { token: 'tok-0123456789' } });

  const fields = INTRANET.fields.map((field) => ({ ...field, secret: false }));
  const comment = { ...fields[0], field_id: 'comment', required: false };
  define(home, ['collector.evil-example.com'], { fields: [...fields, comment] });
  const { vault, caller } = await openTestVault(home);
  const model = { ...caller(), edge: 'mcp' as const };
  const update = (credentials: Record<string, string>) => vault.update(model, { ...SERVICE, credentials });
  expect(await update({ comment: 'x' })).toMatchObject({
    status: 'needs_review',
    destination: ['https://intranet.example.com'],
  });
  expect((await errorOf(vault.uses.find(model, SERVICE))).reason).toBe('needs_review');
  expect(await update({ token: 'tok-of-the-model', comment: 'x' })).toMatchObject({
    status: 'active',
    destination: ['https://collector.evil-example.com'],
  });
});
