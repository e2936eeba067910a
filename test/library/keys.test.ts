/** The library's methods for API keys, units and other organizations, as they are built. */
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

type Library = typeof import('../../src/index.ts');
const { openVault, VaultError }: Library = await import(new URL('../../dist/index.js', import.meta.url).href);

async function open() {
  const vault = await openVault({ home: temporaryFolder() });
  onTestFinished(() => vault.close());
  return vault;
}

test('every method for keys, units and the audit log throws INVALID_INPUT for invalid input', async () => {
  const vault = await open();
  const { createKey, createUnit, listAudit, verifyAudit } = vault;
  const calls: (() => Promise<unknown>)[] = [
    ...[null, 7, 'acme', [], { scope: [] }, { scopes: ['all'] }, { organization: 'Acme Inc' }].map(
      (input) => () => (createKey as (input: unknown) => Promise<unknown>)(input),
    ),
    ...[undefined, null, 7, '', '/'].map(
      (name) => () => (createUnit as (name: unknown) => Promise<unknown>)(name),
    ),
    ...[null, 7, 'x', [1], { organization: '/' }, { unknown: 1 }].map(
      (filter) => () => (listAudit as (filter: unknown) => Promise<unknown>)(filter),
    ),
    () => verifyAudit({ organization: '/' }),
    () => vault.listKeys('/'),
    () => vault.listUnits('/'),
  ];
  for (const call of calls) {
    const refused = await call().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(VaultError);
    expect(refused).toMatchObject({ code: 'INVALID_INPUT' });
  }
});

test('createKey, listKeys, rotateKey and revokeKey manage the keys of another organization', async () => {
  const vault = await open();
  const { key, ...info } = await vault.createKey({ organization: 'acme', user: 'ana' });
  expect(await vault.listKeys('acme')).toEqual({ keys: [info], more: false });
  expect((await vault.rotateKey(info.id)).key).not.toBe(key);
  await vault.revokeKey(info.id);
  expect((await vault.listKeys('acme')).keys).toEqual([]);
  await expect(vault.revokeKey(info.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('another organization has separate units and a separate audit log', async () => {
  const vault = await open();
  const unit = await vault.createUnit('sales', 'acme');
  expect(await vault.listUnits('acme')).toContainEqual(unit);
  expect((await vault.listUnits()).map(({ name }) => name)).not.toContain('sales');
  const { entries } = await vault.listAudit({ organization: 'acme', action: 'create_unit' });
  expect(entries.map(({ record_id }) => record_id)).toContain(unit.id);
  expect(await vault.verifyAudit({ organization: 'acme' })).toMatchObject({ ok: true });
  await expect(vault.listAudit({ organization: 'no_such' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('getPublicKey returns the property public_key', async () => {
  const vault = await open();
  expect(await vault.getPublicKey()).toBe(vault.public_key);
  expect((await vault.listServiceDefinitions()).map(({ slug }) => slug)).toContain('linear');
});
