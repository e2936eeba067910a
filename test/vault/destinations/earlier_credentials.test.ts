/** Credentials that were stored by a version without bound destinations, and credentials that their service refused. */
import { describe, expect, test } from 'vitest';
import { errorOf } from '../../kit/outcome.ts';
import { removeBoundDestination } from '../../kit/vault/earlier_credential.ts';
import { openTestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';

const GRAFANA = { service_id: 'grafana' };
const STORED = { grafana_token: 'glsa_tokenOfAPerson0123456789', grafana_host: 'acme.grafana.net' };
const LINEAR = { service_id: 'linear' };
const LINEAR_KEY = { linear_api_key: 'lin_api_0123456789' };

/** Stores the credential, removes its destination from the file, and opens the vault again. */
async function openEarlier(service_id: string, credentials: Record<string, string>) {
  const home = temporaryFolder();
  const before = await openTestVault(home);
  const { credential_id } = await before.vault.update(before.caller(), { service_id, credentials });
  await before.vault.close();
  await removeBoundDestination(home, credential_id ?? '');
  return { ...(await openTestVault(home)), id: credential_id ?? '' };
}

describe('a credential of a version without bound destinations', () => {
  test('counts as bound to the fixed hosts that its service had then', async () => {
    const { vault, caller } = await openEarlier('linear', LINEAR_KEY);
    expect(await vault.status(caller(), LINEAR)).toMatchObject({
      status: 'active',
      destination: expect.arrayContaining(['https://api.linear.app']),
    });
    const { destination } = await vault.uses.find(caller(), LINEAR);
    expect(destination.origins).toContain('https://api.linear.app');
  });

  test('is used in the mode that its fields choose', async () => {
    const { vault, caller } = await openEarlier('figma', { figma_access_token: 'figu_0123456789' });
    const { destination } = await vault.uses.find(caller(), { service_id: 'figma' });
    expect(destination.mode).toBe('oauth');
  });

  test('with a field in its host is not used until a person approves its host', async () => {
    const { vault, caller, id } = await openEarlier('grafana', STORED);
    expect(await vault.status(caller(), GRAFANA)).toMatchObject({
      status: 'needs_review',
      destination: null,
    });
    expect((await errorOf(vault.uses.find(caller(), GRAFANA))).reason).toBe('needs_review');
    const person = { ...caller(), edge: 'cli' as const };
    const origins = ['https://acme.grafana.net'];
    expect(await vault.approvals.list(person)).toMatchObject([
      { id, bound_origins: null, new_origins: origins },
    ]);
    await vault.approvals.approve(person, id);
    expect(await vault.status(caller(), GRAFANA)).toMatchObject({ status: 'active', destination: origins });
    expect(await vault.verifyAudit(person)).toMatchObject({ ok: true });
  });

  test('with a field in its host is bound when all secrets are stored again', async () => {
    const { vault, caller } = await openEarlier('grafana', STORED);
    const { grafana_token } = STORED;
    expect(await vault.update(caller(), { ...GRAFANA, credentials: { grafana_token } })).toMatchObject({
      status: 'active',
      destination: ['https://acme.grafana.net'],
    });
  });

  test('does not change its host without its secrets', async () => {
    const { vault, caller } = await openEarlier('grafana', STORED);
    const credentials = { grafana_host: 'evil-example.com' };
    const write = vault.update(caller(), { ...GRAFANA, credentials });
    expect((await errorOf(write)).reason).toBe('destination_changed');
  });
});

test('a credential that its service refused is rejected until a secret is stored again', async () => {
  const { vault, caller } = await openTestVault();
  await vault.update(caller(), { ...LINEAR, credentials: LINEAR_KEY });
  await vault.uses.findings.reject(caller(), await vault.uses.find(caller(), LINEAR), 401);
  expect((await vault.status(caller(), LINEAR)).status).toBe('rejected');
  expect((await errorOf(vault.uses.find(caller(), LINEAR))).reason).toBe('credential_rejected');
  await vault.update(caller(), { ...LINEAR, credentials: LINEAR_KEY });
  expect((await vault.status(caller(), LINEAR)).status).toBe('active');
});

describe('approving a destination with an update', () => {
  test('is refused to every caller but a person at the machine of the vault, and logged', async () => {
    const { vault, caller } = await openTestVault();
    await vault.update(caller(), { ...GRAFANA, credentials: STORED });
    const input = { ...GRAFANA, credentials: { grafana_host: 'b.grafana.net' } };
    const next = { origins: ['https://b.grafana.net'], fields: { grafana_host: 'b.grafana.net' } };
    for (const edge of ['mcp', 'rest', 'library', 'web'] as const) {
      const other = { ...caller(), edge };
      const update = vault.update(other, input, { approved_destination: next });
      expect((await errorOf(update)).code).toBe('FORBIDDEN');
      expect((await errorOf(vault.previewDestination(other, input))).code).toBe('FORBIDDEN');
    }
    const person = { ...caller(), edge: 'cli' as const };
    const { entries } = await vault.listAudit(person, { action: 'approve_destination' });
    expect(entries.every(({ outcome }) => outcome === 'denied')).toBe(true);
    expect(entries.length).toBeGreaterThan(0);
    expect(await vault.previewDestination(person, input)).toMatchObject({ next });
    await vault.update(person, input, { approved_destination: next });
    expect((await vault.status(person, GRAFANA)).destination).toEqual(next.origins);
  });

  test('is refused with CONFLICT if the values lead to another destination than the approved one', async () => {
    const { vault, caller } = await openTestVault();
    const person = { ...caller(), edge: 'cli' as const };
    await vault.update(person, { ...GRAFANA, credentials: STORED });
    const input = { ...GRAFANA, credentials: { grafana_host: 'b.grafana.net' } };
    const other = { origins: ['https://c.grafana.net'], fields: { grafana_host: 'c.grafana.net' } };
    const update = vault.update(person, input, { approved_destination: other });
    const { code, reason } = await errorOf(update);
    expect([code, reason]).toEqual(['CONFLICT', 'destination_changed']);
    expect((await vault.status(person, GRAFANA)).destination).toEqual(['https://acme.grafana.net']);
  });
});
