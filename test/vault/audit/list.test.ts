import { describe, expect, test } from 'vitest';
import type { AuditEntry } from '../../../src/contract/audit.ts';
import type { Caller } from '../../../src/contract/caller.ts';
import { AUDIT_ENTRIES_READ_MAX } from '../../../src/contract/limits.ts';
import { serviceId } from '../../../src/services/definition.ts';
import { findTexts } from '../../kit/canary.ts';
import { outcomeOf } from '../../kit/outcome.ts';
import { openTestVault, type TestVault, temporaryFolder } from '../../kit/vault/temp_vault.ts';
import { openTenants } from '../../kit/vault/tenants.ts';

const CANARY = 'sk-canary-7f3a';

/** A vault whose clock advances by a minute with every reading. */
async function tickingVault(): Promise<TestVault> {
  let minutes = 0;
  const now = () => new Date(Date.UTC(2026, 0, 1, 0, minutes++));
  return openTestVault(temporaryFolder(), {}, undefined, { now });
}

/**
 * Writes six entries: init, store linear, store linear/work by another user, a denied delete, update gmail, delete
 * linear.
 */
async function sixEntries(made: TestVault): Promise<AuditEntry[]> {
  const { vault, caller } = made;
  const somebody: Caller = { ...caller(), user: 'somebody', edge: 'cli' };
  const linear = { service_id: 'linear', credential_type: 'bearer', credential_value: CANARY } as const;
  await vault.store(caller(), linear);
  await vault.store(somebody, { ...linear, name: 'work' });
  expect(await outcomeOf(vault.delete(caller(), { service_id: 'linear', name: 'none' }))).toBe('NOT_FOUND');
  const credentials = { gmail_client_id: CANARY, gmail_oauth_token: CANARY };
  await vault.update(caller(), { service_id: 'gmail', credentials });
  await vault.delete(caller(), { service_id: 'linear' });
  return [...(await vault.listAudit(caller())).entries];
}

const positions = (entries: readonly AuditEntry[]) => entries.map(({ position }) => position);

describe('the audit log', () => {
  test('the audit log has user, action, credential and outcome of each operation, newest first, and no value', async () => {
    const made = await tickingVault();
    const entries = await sixEntries(made);
    const brief = entries.map((one) => [
      one.user,
      one.edge,
      one.action,
      one.service_id,
      one.stack_id,
      one.name,
      one.fields,
      one.revision,
      one.outcome,
    ]);
    expect(brief).toEqual([
      ['me', 'library', 'delete', 'linear', 'default', null, ['linear_api_key'], 1, 'allowed'],
      [
        'me',
        'library',
        'update',
        'gmail',
        'default',
        null,
        ['gmail_client_id', 'gmail_oauth_token'],
        1,
        'allowed',
      ],
      // No credential has the name of the request, so it is not logged.
      ['me', 'library', 'delete', 'linear', 'default', null, [], null, 'denied'],
      ['somebody', 'cli', 'store', 'linear', 'default', 'work', ['linear_api_key'], 1, 'allowed'],
      ['me', 'library', 'store', 'linear', 'default', null, ['linear_api_key'], 1, 'allowed'],
      ['me', 'library', 'init', null, null, null, [], null, 'allowed'],
    ]);
    expect(positions(entries)).toEqual([6, 5, 4, 3, 2, 1]);
    expect(entries.map(({ at }) => at)).toEqual(
      entries
        .map(({ at }) => at)
        .toSorted()
        .toReversed(),
    );
    for (const { request_id, at } of entries) {
      expect(request_id).toMatch(/^[0-9A-Z]{26}$/);
      expect(at).toMatch(/^2026-01-01T00:\d\d:00\.000Z$/);
    }
    expect(findTexts([CANARY], new Map([['entries', Buffer.from(JSON.stringify(entries))]]))).toEqual([]);
    await made.vault.close();
  });

  test('an audit entry has the request id of the caller', async () => {
    const { vault, caller } = await openTestVault();
    const caller_of_store = caller();
    await vault.store(caller_of_store, {
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: 'v',
    });
    const [entry] = (await vault.listAudit(caller())).entries;
    expect(entry?.request_id).toBe(caller_of_store.request_id);
  });

  test.each<readonly [string, (all: readonly AuditEntry[]) => object, readonly number[]]>([
    ['nothing', () => ({}), [6, 5, 4, 3, 2, 1]],
    ['an action', () => ({ action: 'store' }), [3, 2]],
    ['a user', () => ({ user: 'somebody' }), [3]],
    ['a service', () => ({ service_id: 'linear' }), [6, 4, 3, 2]],
    ['an outcome', () => ({ outcome: 'denied' }), [4]],
    ['an alias of a service', () => ({ service_id: 'Google_Mail' }), [5]],
    ['the UUID of a service', () => ({ service_id: serviceId('linear').toUpperCase() }), [6, 4, 3, 2]],
    ['a service that there is not', () => ({ service_id: 'linea' }), []],
    ['a credential', (all) => ({ credential_id: all[4]?.credential_id }), [6, 2]],
    [
      'a credential, its id in capitals',
      (all) => ({ credential_id: all[4]?.credential_id?.toUpperCase() }),
      [6, 2],
    ],
    ['a time from which on', (all) => ({ since: all[2]?.at }), [6, 5, 4]],
    ['a time up to which', (all) => ({ until: all[2]?.at }), [3, 2, 1]],
    ['a day', () => ({ since: '2026-01-01', until: '2026-01-02' }), [6, 5, 4, 3, 2, 1]],
    ['another day', () => ({ since: '2026-01-02' }), []],
    ['several at once', () => ({ service_id: 'linear', action: 'delete', outcome: 'allowed' }), [6]],
    ['what nothing fits', () => ({ action: 'store', outcome: 'denied' }), []],
    ['what is left undefined', () => ({ action: undefined, user: 'somebody' }), [3]],
  ])('the audit log filtered by %s returns the matching entries', async (_, filter, expected) => {
    const made = await tickingVault();
    const all = await sixEntries(made);
    const { entries, next } = await made.vault.listAudit(made.caller(), filter(all));
    expect([positions(entries), next]).toEqual([expected, null]);
    await made.vault.close();
  });

  test.each([1, 2, 3, 5, 6, 7])(
    'the audit log in pages of %i returns every entry once, in order',
    async (limit) => {
      const made = await tickingVault();
      const all = await sixEntries(made);
      const collected: number[] = [];
      let before: number | undefined;
      let pages = 0;
      do {
        const page = await made.vault.listAudit(made.caller(), {}, limit, before);
        expect(page.entries.length).toBeLessThanOrEqual(limit);
        collected.push(...positions(page.entries));
        before = page.next ?? undefined;
        pages += 1;
      } while (before !== undefined);
      expect(collected).toEqual(positions(all));
      expect(pages).toBe(Math.ceil(6 / limit));
      await made.vault.close();
    },
  );

  test('filtered pages of the audit log skip no matching entry', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    for (let at = 0; at < 30; at++) {
      await vault.store(caller(), { ...input, name: at % 3 === 0 ? 'wanted' : `${at}` });
      if (at % 5 === 0) await outcomeOf(vault.delete(caller(), { service_id: 'linear', name: 'none' }));
    }
    const wanted = (await vault.listAudit(caller(), { action: 'delete' })).entries;
    expect(wanted).toHaveLength(6);
    const first = await vault.listAudit(caller(), { action: 'delete' }, 4);
    expect(first.next).not.toBeNull();
    const second = await vault.listAudit(caller(), { action: 'delete' }, 4, first.next ?? undefined);
    expect([...first.entries, ...second.entries]).toEqual(wanted);
    expect(second.next).toBeNull();
  });

  test('a page of the audit log has at most 100 entries, and a larger limit is refused', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    for (let at = 0; at < 110; at++) await vault.store(caller(), input);
    for (const limit of [undefined, 100]) {
      const page = await vault.listAudit(caller(), {}, limit);
      expect([page.entries.length, page.next]).toEqual([100, 12]);
    }
    for (const limit of [101, 1_000_000, Number.POSITIVE_INFINITY])
      await expect(vault.listAudit(caller(), {}, limit)).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        message: 'Invalid input: limit must be a whole number from 1 to 100.',
      });
  });

  test('a filtered page of the audit log reads 5,000 entries at most, and its next page goes on there', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    await vault.store(caller(), { ...input, service_id: 'notion' });
    await Promise.all(
      Array.from({ length: AUDIT_ENTRIES_READ_MAX + 10 }, () => vault.store(caller(), input)),
    );
    const filter = { service_id: 'notion' };
    const first = await vault.listAudit(caller(), filter);
    expect(first).toEqual({ entries: [], next: 13 });
    const second = await vault.listAudit(caller(), filter, 100, first.next ?? undefined);
    expect([positions(second.entries), second.next]).toEqual([[2], null]);
  });

  test('the audit log refuses an invalid limit, position or filter', async () => {
    const { vault, caller } = await openTestVault();
    for (const limit of [-1, 0, 0.5, 2.5, Number.NaN]) {
      expect([limit, await outcomeOf(vault.listAudit(caller(), {}, limit))]).toEqual([
        limit,
        'INVALID_INPUT',
      ]);
    }
    for (const before of [0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect([before, await outcomeOf(vault.listAudit(caller(), {}, 10, before))]).toEqual([
        before,
        'INVALID_INPUT',
      ]);
    }
    const slip = { acton: 'store' } as object;
    expect(await outcomeOf(vault.listAudit(caller(), slip))).toBe('INVALID_INPUT');
  });

  test('the audit log is empty before its first position and complete after its last', async () => {
    const made = await tickingVault();
    await sixEntries(made);
    const list = async (before: number) =>
      positions((await made.vault.listAudit(made.caller(), {}, 100, before)).entries);
    expect([await list(-5), await list(0), await list(1), await list(2)]).toEqual([[], [], [], [1]]);
    expect([await list(7), await list(1_000)]).toEqual([
      [6, 5, 4, 3, 2, 1],
      [6, 5, 4, 3, 2, 1],
    ]);
    await made.vault.close();
  });

  test('the audit log is complete across the batches in which it is read', async () => {
    const { vault, caller } = await openTestVault();
    const input = { service_id: 'linear', credential_type: 'bearer', credential_value: 'v' } as const;
    await vault.store(caller(), { ...input, name: 'first' });
    await Promise.all(
      Array.from({ length: 1_100 }, (_, at) => vault.store(caller(), { ...input, name: `${at % 50}` })),
    );
    const { entries, next } = await vault.listAudit(caller(), { action: 'init' });
    expect([positions(entries), next]).toEqual([[1], null]);
    let done: readonly [number, number] = [0, 0];
    const report = await vault.verifyAudit(caller(), {
      progress: (...progress) => {
        expect(progress[0]).toBeGreaterThan(done[0]);
        done = progress;
      },
    });
    expect(report).toEqual({ ok: true, entries: 1_102, credentials: 51, findings: [] });
    expect(done).toEqual([1_102, 1_102]);
  });
});

test.each(['list_audit', 'verify_audit'] as const)(
  'a refused %s of another organization is logged in the organization of its caller',
  async (action) => {
    const tenants = await openTenants();
    const { vault } = tenants;
    await tenants.user('globex', 'bob');
    const admin = await tenants.admin('acme');
    const refused =
      action === 'list_audit'
        ? vault.listAudit(admin, { organization: 'globex' })
        : vault.verifyAudit(admin, { organization: 'globex' });
    expect(await outcomeOf(refused)).toBe('FORBIDDEN');
    const { entries } = await vault.listAudit(admin, { action });
    expect(entries).toMatchObject([{ action, user: 'admin', outcome: 'denied' }]);
  },
);
