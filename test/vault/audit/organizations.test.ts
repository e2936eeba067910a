/**
 * Audit logs of several organizations in one vault: each is a separate chain with all entries of its organization.
 */
import { describe, expect, test } from 'vitest';
import { actAs, type Caller, SCOPES } from '../../../src/contract/caller.ts';
import { findTexts } from '../../kit/canary.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import {
  flipBit,
  openTestDatabase,
  type RecordRow,
  readAuditEntryRows,
  readBytesAtRest,
  readRowById,
  readRowsOfKind,
  replaceAuditEntries,
  replaceRecords,
} from '../../kit/vault/database.ts';
import { copyHome } from '../../kit/vault/temp_vault.ts';
import { openTenants, type Tenants } from '../../kit/vault/tenants.ts';

const BEARER = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
const NEW = {
  service_id: 'linear',
  credential_type: 'bearer',
  credentials: { linear_api_key: 'v' },
} as const;

async function findings({ vault }: Tenants, caller: Caller) {
  const report = await vault.verifyAudit(caller);
  expect(report.ok).toBe(report.findings.length === 0);
  return report.findings.map(({ kind, record_id, credential_id }) => [kind, record_id ?? credential_id]);
}

/** Runs operations of every kind, allowed and denied. */
async function work(tenants: Tenants, organization: string): Promise<Caller> {
  const { vault } = tenants;
  const { api_keys, stacks, credentials } = vault;
  const admin = await tenants.admin(organization);
  const ann = await tenants.user(organization, 'ann');
  const unit = await tenants.vault.organizations.createUnit(admin, 'sales');
  const key = await api_keys.create(ann, {});
  await api_keys.rotate(ann, key.id);
  await outcomeOf(api_keys.create(ann, { user: 'bob' }));
  await api_keys.revoke(ann, key.id);
  await outcomeOf(api_keys.revoke(ann, key.id));
  const { stack_id } = await stacks.create(ann, { stack_name: 's' });
  await stacks.addService(ann, stack_id, 'linear', ['t']);
  await stacks.update(ann, 'default', { analytics_enabled: true });
  await vault.store(ann, { ...BEARER, stack_id });
  await vault.store(ann, { ...BEARER, stack_id: 'by-use' });
  const { id } = await credentials.create(ann, NEW);
  await credentials.change(admin, id, { unit_id: unit.id });
  await credentials.replace(ann, id, { credential_type: 'bearer', credentials: { x: 1 } });
  const { id: bobs } = await credentials.create(admin, { ...NEW, name: 'moved' });
  const [{ user_id } = { user_id: '' }] = await credentials.list(ann);
  await credentials.change(admin, bobs, { user_id });
  await credentials.reveal(ann, bobs);
  await credentials.delete(ann, id);
  await outcomeOf(credentials.delete(ann, id));
  await stacks.removeService(ann, stack_id, 'linear');
  await stacks.delete(ann, 'by-use');
  await stacks.delete(ann, 'default');
  return admin;
}

describe('the audit logs of several organizations', () => {
  test('the audit log of each organization verifies and has the entries of that organization only', async () => {
    const tenants = await openTenants();
    const admins = new Map<string, Caller>();
    for (const organization of ['acme', 'other']) admins.set(organization, await work(tenants, organization));
    admins.set('local', tenants.operator());
    for (const admin of admins.values()) expect(await findings(tenants, admin)).toEqual([]);
    const again = await openTenants(tenants.home);
    for (const admin of admins.values()) expect(await findings(again, admin)).toEqual([]);
    const counts = await Promise.all(
      [...admins.values()].map(async (admin) => (await again.vault.verifyAudit(admin)).entries),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(
      (await readAuditEntryRows(tenants.home)).length,
    );
    expect(counts[0]).toBe(counts[1]);
  });

  test('audit entries and the database have no value, no API key secret and no hash of one', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const made = await tenants.newKey({
      organization: 'acme',
      user: 'ann',
      scopes: [...SCOPES],
      name: 'my-key',
    });
    const ann = await tenants.caller(made.key);
    const rotated = await vault.api_keys.rotate(ann, made.id);
    const first = await vault.api_keys.createBootstrapKey(tenants.operator());
    const wrong = `kh_${made.id.replaceAll('-', '')}_${'W'.repeat(43)}`;
    await outcomeOf(tenants.caller(wrong));
    const secrets = [made.key, rotated.key, first?.key ?? '', wrong].map((key) => key.slice(36));
    const { createHash } = await import('node:crypto');
    const hashes = secrets.map((secret) => createHash('sha256').update(secret).digest('hex'));
    const seen = JSON.stringify([
      await vault.api_keys.list(ann),
      await vault.api_keys.list(tenants.operator()),
      await vault.listAudit(ann),
      await vault.listAudit(tenants.operator()),
      await outcomeOf(vault.api_keys.rotate(ann, made.key)),
    ]);
    expect([...secrets, ...hashes].filter((text) => seen.includes(text))).toEqual([]);
    expect(seen).not.toContain('secret_hash');
    await vault.scrub();
    // Names are not stored in plaintext either.
    const names = ['my-key', 'acme', 'create_key', 'keys:write'];
    expect(findTexts([...secrets, ...hashes, ...names], await readBytesAtRest(tenants.home))).toEqual([]);
    for (const { sealed_meta } of await readRowsOfKind(tenants.home, 'api_key'))
      for (const hash of hashes) expect(sealed_meta.includes(Buffer.from(hash, 'hex'))).toBe(false);
  });
});

describe('the operator', () => {
  test('the operator is recorded as local/me in another organization, and no user can have that name', async () => {
    const tenants = await openTenants();
    const { vault } = tenants;
    const operator = tenants.operator();
    const { id } = await tenants.newKey({ organization: 'acme', user: 'me' });
    await vault.organizations.listUnits(operator, 'acme');
    await vault.organizations.createUnit(operator, 'sales', 'acme');
    await vault.api_keys.rotate(operator, id);
    await vault.api_keys.revoke(operator, id);
    const there = await vault.listAudit(actAs(operator, 'acme'));
    expect(there.entries.map(({ action, user, owner }) => [action, user, owner]).toReversed()).toEqual([
      ['init', 'local/me', null],
      ['create_unit', 'local/me', null],
      ['create_user', 'local/me', null],
      ['create_key', 'local/me', 'me'],
      ['create_unit', 'local/me', null],
      ['rotate_key', 'local/me', 'me'],
      ['revoke_key', 'local/me', 'me'],
    ]);
    // In its own organization the operator has its plain name.
    const here = await vault.listAudit(operator, { action: 'create_organization' });
    expect(here.entries.map(({ user }) => user)).toEqual(['me']);
    expect(await outcomeOf(tenants.newKey({ organization: 'acme', user: 'local/me' }))).toBe('INVALID_INPUT');
    expect(await findings(tenants, actAs(operator, 'acme'))).toEqual([]);
  });

  test('only the operator reads and verifies the audit log of other organizations', async () => {
    const tenants = await openTenants();
    const acme = await tenants.admin('acme');
    await tenants.admin('other');
    expect(() => actAs(acme, 'other')).toThrow('Only the operator');
    expect(() => actAs(acme, 'local')).toThrow('Only the operator');
    expect(() => actAs(tenants.operator(), '../acme')).toThrow('lower case letters');
    const missing = tenants.vault.verifyAudit(actAs(tenants.operator(), 'no-such'));
    expect(await outcomeOf(missing)).toBe('NOT_FOUND');
    // The request created no organization.
    expect(await readRowsOfKind(tenants.home, 'organization')).toHaveLength(2);
  });
});

/** A closed vault of two organizations, and its rows before `after` ran. */
async function olderCopy(after: (tenants: Tenants, admin: Caller) => Promise<unknown>) {
  const tenants = await openTenants();
  const admin = await tenants.admin('acme');
  await tenants.admin('other');
  await tenants.user('acme', 'ann');
  const entries = await readAuditEntryRows(tenants.home);
  const rows = await openTestDatabase(tenants.home).records();
  await after(tenants, admin);
  await tenants.vault.close();
  const opened = async (home: string) => {
    const again = await openTenants(home);
    const of = (organization: string) => findings(again, actAs(again.operator(), organization));
    return { again, of };
  };
  return { home: tenants.home, entries, rows, opened };
}

describe('a record that was rolled back, deleted or damaged', () => {
  test.each(['organization', 'unit', 'user', 'api_key'])(
    'verification finds a deleted or damaged record of the kind %s in its organization only',
    async (kind) => {
      const { home, rows, opened } = await olderCopy(async () => undefined);
      const id_of = (row: RecordRow) =>
        row.id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
      const { again, of } = await opened(home);
      // Organizations are in the audit log of the organization that created them.
      const where = kind === 'organization' ? 'local' : 'acme';
      const elsewhere = where === 'acme' ? 'local' : 'acme';
      const before = new Set(
        (await again.vault.listAudit(actAs(again.operator(), where))).entries.map((e) => e.record_id),
      );
      const row = rows.find((one) => one.kind === kind && before.has(id_of(one)));
      if (row === undefined) throw new Error('no row');
      await replaceRecords(home, [], [row.seq]);
      expect(await of(where)).toEqual([['record_missing', id_of(row)]]);
      await replaceRecords(home, [{ ...row, sealed_meta: flipBit(row.sealed_meta, 320) }]);
      expect(await of(where)).toEqual([['record_damaged', id_of(row)]]);
      expect(await of(elsewhere)).toEqual([]);
      await replaceRecords(home, [row]);
      expect(await of(where)).toEqual([]);
    },
  );

  test('verification finds every changed record after all records were rolled back', async () => {
    const changed: string[] = [];
    const { home, rows, opened } = await olderCopy(async ({ vault }, admin) => {
      const { keys } = await vault.api_keys.list(admin);
      for (const { id, user } of keys) {
        if (user === 'ann') await vault.api_keys.revoke(admin, id);
        else await vault.api_keys.rotate(admin, id);
        changed.push(id);
      }
    });
    await replaceRecords(home, rows);
    const { of } = await opened(home);
    const found = await of('acme');
    // `null`: the set of valid keys, which is a record without a public id.
    const expected = [...changed, null].map((id) => ['record_rolled_back', id]);
    expect(found.toSorted()).toEqual(expected.toSorted());
    expect(await of('other')).toEqual([]);
    expect(await of('local')).toEqual([]);
  });

  test('verification finds newer API keys, stacks and users after the audit log was rolled back', async () => {
    const made: string[] = [];
    const { home, entries, opened } = await olderCopy(async (tenants, admin) => {
      const { id, user_id } = await tenants.vault.api_keys.create(admin, { user: 'new' });
      const unit = await tenants.vault.organizations.createUnit(admin, 'sales');
      await tenants.vault.stacks.create(admin, { stack_name: 's' });
      const [stack] = (await readRowsOfKind(tenants.home, 'stack')).map((row) => row.id.toString('hex'));
      made.push(id, user_id, unit.id, stack?.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-') ?? '');
    });
    await replaceAuditEntries(home, entries);
    const { of } = await opened(home);
    expect(new Set(await of('acme'))).toEqual(new Set(made.map((id) => ['record_unlogged', id])));
    expect(await of('other')).toEqual([]);
  });
});

describe('the audit chains', () => {
  test('damage to one audit chain neither shows in another nor stops writes to it', async () => {
    const { home, entries, opened } = await olderCopy(async () => undefined);
    const numbers = [...new Set(entries.map(({ chain }) => chain))];
    expect(numbers).toHaveLength(3);
    for (const number of numbers) {
      const copy = await copyHome(home);
      await replaceAuditEntries(
        copy,
        entries.filter(({ chain, position }) => chain !== number || position !== 2),
      );
      const { again, of } = await opened(copy);
      const broken = [];
      for (const organization of ['local', 'acme', 'other'])
        if ((await of(organization)).length > 0) broken.push(organization);
      expect(broken).toHaveLength(1);
      const without_last = await copyHome(home);
      const last = entries.findLast(({ chain }) => chain === number);
      await replaceAuditEntries(
        without_last,
        entries.filter((entry) => entry !== last),
      );
      const cut = await openTenants(without_last);
      const ends = [];
      for (const organization of ['local', 'acme', 'other']) {
        const caller = { ...cut.operator(), organization, user: 'someone' };
        ends.push(await outcomeOf(cut.vault.store(caller, BEARER)));
      }
      expect(ends.toSorted()).toEqual(['CORRUPT audit_broken', 'ok', 'ok']);
      await again.vault.close();
      await cut.vault.close();
    }
  });

  test('audit entries moved to another chain fail to decrypt', async () => {
    const { home, entries, opened } = await olderCopy(async () => undefined);
    const [first, second] = [...new Set(entries.map(({ chain }) => chain))].slice(1);
    const entriesOf = (number = 0) => entries.filter(({ chain }) => chain === number);
    const [own_entries, their_entries] = [entriesOf(first), entriesOf(second)];
    const swapped = own_entries.map((entry, at) => ({
      ...(their_entries[at] ?? entry),
      chain: entry.chain,
      position: entry.position,
    }));
    await replaceAuditEntries(home, [...entries.filter((entry) => !own_entries.includes(entry)), ...swapped]);
    const { of } = await opened(home);
    const kinds = new Set((await of('acme')).map(([kind]) => kind));
    expect(kinds).toContain('entry_changed');
    expect(await of('other')).toEqual([]);
  });
});

describe('an organization that was erased', () => {
  const NO_MAC = Buffer.alloc(32);

  /** The chain of `acme`, which is the second: `local` has the first. */
  async function ofAcme(home: string) {
    const chains = await openTestDatabase(home).auditChains();
    const chain = chains.toSorted((a, b) => a.number - b.number)[1];
    if (chain === undefined) throw new Error('no chain');
    return chain;
  }

  const erasures: readonly (readonly [string, string, (home: string) => Promise<void>])[] = [
    [
      'with its key, its records and its audit log',
      'record_missing',
      async (home) => {
        const database = openTestDatabase(home);
        const { number, organization } = await ofAcme(home);
        const keep = ({ owner }: { readonly owner: Buffer }) => !owner.equals(organization);
        await database.replaceWrappedKeys((await database.wrappedKeys()).filter(keep));
        await database.replaceAuditChains(
          (await database.auditChains()).filter((one) => one.number !== number),
        );
        await replaceAuditEntries(
          home,
          (await database.auditEntries()).filter(({ chain }) => chain !== number),
        );
        const erased = (await database.records()).filter((row) => row.organization.equals(organization));
        expect(erased.length).toBeGreaterThan(0);
        await replaceRecords(
          home,
          [],
          erased.map(({ seq }) => seq),
        );
      },
    ],
    [
      'with its audit log',
      'log_truncated',
      async (home) => {
        const { number } = await ofAcme(home);
        await replaceAuditEntries(
          home,
          (await readAuditEntryRows(home)).filter(({ chain }) => chain !== number),
        );
      },
    ],
    [
      'with the head of its audit log',
      'log_truncated',
      async (home) => {
        const { number } = await ofAcme(home);
        const rows = await readAuditEntryRows(home);
        await replaceAuditEntries(
          home,
          rows.map((row) => (row.chain === number ? { ...row, head_mac: NO_MAC } : row)),
        );
      },
    ],
    [
      'by a change of its key',
      'record_damaged',
      async (home) => {
        const { organization } = await ofAcme(home);
        const database = openTestDatabase(home);
        await database.replaceWrappedKeys(
          (await database.wrappedKeys()).map((key) =>
            key.owner.equals(organization) ? { ...key, wrapped: flipBit(key.wrapped, 320) } : key,
          ),
        );
      },
    ],
  ];

  test.each(erasures)(
    'an organization that was erased %s is found by the verification of local',
    async (_, kind, erase) => {
      const { home, rows, opened } = await olderCopy(async () => undefined);
      const [record] = rows.filter((row) => row.kind === 'organization');
      expect(record).toBeDefined();
      await erase(home);
      const { of } = await opened(home);
      const found = await of('local');
      expect(found).toEqual([[kind, expect.any(String)]]);
      const [[, id] = []] = found;
      expect(
        rows.some(
          (row) => row.kind === 'organization' && row.id.toString('hex') === String(id).replaceAll('-', ''),
        ),
      ).toBe(true);
      expect(await of('other')).toEqual([]);
    },
  );

  test('an organization that is erased while the vault is open is found too', async () => {
    const tenants = await openTenants();
    await tenants.admin('acme');
    expect(await findings(tenants, tenants.operator())).toEqual([]);
    const { organization } = await ofAcme(tenants.home);
    const database = openTestDatabase(tenants.home);
    await database.replaceWrappedKeys(
      (await database.wrappedKeys()).filter(({ owner }) => !owner.equals(organization)),
    );
    expect(await findings(tenants, tenants.operator())).toEqual([['record_missing', expect.any(String)]]);
  });
});

describe('a hundred organizations', () => {
  test('a hundred organizations are isolated in the vault that created them and in one opened later', {
    timeout: 120_000,
  }, async () => {
    const tenants = await openTenants();
    const names = Array.from({ length: 100 }, (_, at) => `org-${at}`);
    const made = await Promise.all(
      names.map((organization) => tenants.newKey({ organization, user: 'ann', scopes: [...SCOPES] })),
    );
    expect(new Set(made.map(({ organization_id }) => organization_id)).size).toBe(100);
    const opened = await openTenants(tenants.home);
    for (const one of [tenants, opened]) {
      await Promise.all(
        made.map(async ({ key, id, organization }) => {
          const caller = await one.caller(key);
          expect([caller.organization, caller.user]).toEqual([organization, 'ann']);
          await one.vault.store(caller, { ...BEARER, name: `in-${organization}` });
          const { credentials } = await one.vault.listCredentials(caller, {});
          expect(credentials.map(({ name }) => name)).toEqual([`in-${organization}`]);
          expect((await one.vault.api_keys.list(caller)).keys.map((info) => info.id)).toEqual([id]);
        }),
      );
    }
    const [some] = made;
    expect((await readRowById(tenants.home, some?.id ?? ''))?.revision).toBe(1);
    for (const { key } of made) expect(await findings(opened, await opened.caller(key))).toEqual([]);
    expect(await findings(opened, opened.operator())).toEqual([]);
  });
});
