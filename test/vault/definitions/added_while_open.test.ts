/** Definitions that are added and approved while a process has the vault open. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../../src/contract/caller.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { INTRANET } from '../../kit/vault/custom_service.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const EVIL = { ...INTRANET, hosts: ['evil.example.org'] };
/** How long a process may take to look at refused definitions again. */
const REFUSED_AFTER_MS = 1_000;

/** Two processes with one home, which had no custom definition when they opened it. */
async function opened() {
  const first = await openTenants();
  const second = await openTenants(first.home);
  const person: Caller = { ...first.operator(), edge: 'cli' };
  const write = (file_name: string, definition: unknown) => {
    mkdirSync(join(first.home, 'services'), { recursive: true, mode: 0o700 });
    writeFileSync(
      join(first.home, 'services', file_name),
      typeof definition === 'string' ? definition : JSON.stringify(definition),
      { mode: 0o600 },
    );
  };
  return { first, second, person, write };
}

/** Whether the process finds it now. */
async function finds({ vault }: Awaited<ReturnType<typeof openTenants>>, slug = 'intranet') {
  await vault.definitions.loadApproved();
  return outcomeOf(Promise.resolve().then(() => vault.services.get(slug)));
}

describe('a process that has the vault open', () => {
  test('finds a service that another process added and approved', async () => {
    const { first, second, person } = await opened();
    expect(await finds(second)).toBe('NOT_FOUND');
    await first.vault.definitions.addNew(person, INTRANET as never);
    expect(await finds(second)).toBe('ok');
    expect(second.vault.services.get('intranet').hosts).toEqual(INTRANET.hosts);
  });

  test('refuses a file that no person approved, and uses it once one has', async () => {
    const { first, second, person, write } = await opened();
    write('intranet.json', INTRANET);
    expect(await finds(second)).toBe('FORBIDDEN service_not_approved');
    expect(second.vault.services.list('intranet')).toEqual([]);
    await first.vault.definitions.loadApproved();
    await first.vault.definitions.approve(person, 'intranet');
    await sleep(REFUSED_AFTER_MS);
    expect(await finds(second)).toBe('ok');
  });

  test('refuses a file that was changed after its approval, and goes on with the one that it uses', async () => {
    const { first, second, person, write } = await opened();
    await first.vault.definitions.addNew(person, INTRANET as never);
    write('intranet.json', EVIL);
    expect(await finds(second)).toBe('FORBIDDEN service_not_approved');
    expect(second.vault.services.findRefused('intranet')?.state).toBe('changed');
    expect(await finds(first)).toBe('ok');
    expect(first.vault.services.get('intranet').hosts).toEqual(INTRANET.hosts);
  });

  test('approves the definition that the person saw, not one that replaced its file in between', async () => {
    const { second, person, write } = await opened();
    write('intranet.json', INTRANET);
    await second.vault.definitions.loadApproved();
    const approval = second.vault.definitions.approve(person, 'intranet');
    write('intranet.json', EVIL);
    for (let at = 0; at < 20; at++) await second.vault.definitions.loadApproved();
    await approval;
    await second.vault.definitions.loadApproved();
    const found = second.vault.services.find('intranet');
    expect(found?.hosts ?? INTRANET.hosts).toEqual(INTRANET.hosts);
  });

  test.each<readonly [string, unknown]>([
    ['is no JSON', '{'],
    ['takes the name of a built-in service', { ...INTRANET, slug: 'github' }],
    ['has an invisible character', { ...INTRANET, name: 'Intra\u200bnet' }],
  ])('skips a file that %s, and finds the others', async (_, bad) => {
    const { first, second, person, write } = await opened();
    await first.vault.definitions.addNew(person, INTRANET as never);
    write('bad.json', bad);
    expect(await finds(second)).toBe('ok');
    expect(second.vault.services.get('github').hosts).toContain('api.github.com');
  });
});
