/** Loads the rows and chain heads that a group of changes depends on, in one round trip, and locks the heads if required. */
import type { RowRead } from '../../store.ts';
import { byteaArray } from '../arrays.ts';
import type { Query, Rows, Session } from '../connection.ts';
import {
  existingKeysQuery,
  headsQuery,
  keyOf,
  LOCK_VAULT,
  loadQuery,
  scopesQuery,
  toLoadedHeads,
  toOwnedRows,
  VAULT_KEYS,
} from '../statements.ts';
import { type Loaded, type Needs, nothingLoaded } from './group_state.ts';
import type { KnownHeads } from './known_heads.ts';
import { organizationsOf, type PendingChange } from './pending_changes.ts';

export interface LoadOptions {
  readonly changes: readonly PendingChange[];
  readonly needs: Needs;
  readonly heads: KnownHeads;
  readonly is_locked: boolean;
  /** Sent first, in the same round trip. */
  readonly begin: readonly Query[];
}

/** The heads come before the rows: if a head is unchanged later, the rows of its organization are too. */
export async function loadGroup(session: Session, options: LoadOptions): Promise<Loaded> {
  const loaded = nothingLoaded();
  const steps = [...vaultSteps(options), ...headSteps(options), ...rowSteps(options), ...scopeSteps(options)];
  const queries = [...options.begin, ...steps.map(({ query }) => query)];
  if (queries.length === 0) return loaded;
  const results = (await session.run(queries)).slice(options.begin.length);
  for (const [at, { take }] of steps.entries()) take(results[at] ?? [], loaded);
  return loaded;
}

/** Whether the heads that the change appends to are locked, or exist in no transaction but this one. */
export function isFree(change: PendingChange, { busy }: Loaded): boolean {
  return busy.size === 0 || !organizationsOf([change]).some((organization) => busy.has(keyOf(organization)));
}

interface Step {
  readonly query: Query;
  readonly take: (rows: Rows, loaded: Loaded) => void;
}

/** Before the heads, so that two nodes lock in the same order. */
function vaultSteps({ needs }: LoadOptions): Step[] {
  if (!needs.vault) return [];
  return [
    { query: LOCK_VAULT, take: () => undefined },
    {
      query: VAULT_KEYS,
      take: ([row], loaded) => {
        const [root_key_id, newest_version] = (row ?? []) as readonly [Buffer?, number?];
        if (root_key_id !== undefined) loaded.vault = { root_key_id, newest_version: newest_version ?? 0 };
      },
    },
  ];
}

function headSteps({ changes, needs, heads, is_locked, begin }: LoadOptions): Step[] {
  const organizations = [...needs.organizations.values()];
  if (organizations.length === 0) return [];
  const positions = new Map(
    organizations.map((organization) => [keyOf(organization), heads.acknowledgedPosition(organization)]),
  );
  const load: Step = {
    query: headsQuery(organizations, [...positions.values()]),
    take: (rows, loaded) => {
      for (const found of toLoadedHeads(rows)) {
        const key = keyOf(found.organization);
        const acknowledged = positions.get(key) ?? 0;
        heads.assertContains(found, acknowledged);
        const is_busy = is_locked && found.has_row && !locked.has(key);
        if (is_busy) loaded.busy.add(key);
        else loaded.heads.set(key, found.head);
        const is_behind = acknowledged > 0 && found.head?.position !== acknowledged;
        if (is_busy || (is_locked && is_behind)) loaded.contended.push(found.organization);
      }
    },
  };
  if (!is_locked) return [load];
  const locked = new Set<string>();
  const take = (rows: Rows) => {
    for (const [organization] of rows as readonly (readonly [Buffer])[]) locked.add(keyOf(organization));
  };
  const lock = (some: readonly Buffer[], waits: boolean) =>
    some.length === 0 ? [] : [{ query: lockHeadsQuery(some, waits), take }];
  const first = begin.length > 0 ? organizationsOf(changes.slice(0, 1)) : [];
  // The heads are read by a statement after the locks: it sees the commits that they have waited for.
  return [...lock(first, true), ...lock(organizations, false), load];
}

/**
 * Locks heads, and returns the organizations. Waits only in the order of the organizations, and only while the transaction has
 * locked no other head, so that two nodes never wait for each other; else it leaves out heads that are locked.
 */
function lockHeadsQuery(organizations: readonly Buffer[], waits: boolean): Query {
  return {
    name: waits ? 'lock_heads' : 'lock_free_heads',
    text: `SELECT organization FROM keyhold.audit_chain WHERE organization = ANY($1::bytea[])
      ORDER BY organization FOR UPDATE ${waits ? '' : 'SKIP LOCKED'}`,
    values: [byteaArray(organizations.toSorted(Buffer.compare))],
  };
}

function rowSteps({ changes, needs }: LoadOptions): Step[] {
  const indexes = new Map(needs.indexes);
  const ids = new Map(needs.ids);
  const with_values = new Map<string, Buffer>();
  for (const { reads } of changes)
    for (const read of reads) {
      const key = keyOfRead(read);
      if ('id' in read) ids.set(keyOf(key), key);
      else indexes.set(keyOf(key), key);
      if (read.values) with_values.set(keyOf(key), key);
    }
  if (indexes.size + ids.size === 0) return [];
  return [
    {
      query: loadQuery({
        indexes: [...indexes.values()],
        ids: [...ids.values()],
        with_values: [...with_values.values()],
      }),
      take: (rows, loaded) => {
        for (const key of indexes.keys()) loaded.by_index.set(key, undefined);
        for (const key of ids.keys()) loaded.by_id.set(key, undefined);
        for (const found of toOwnedRows(rows)) {
          const id = keyOf(found.row.id);
          const index = keyOf(found.row.index);
          // A row that was found by index and by id may have its values once only.
          const values = found.sealed_values ?? loaded.by_id.get(id)?.sealed_values;
          const row = { ...found, sealed_values: values };
          loaded.by_id.set(id, row);
          loaded.by_index.set(index, row);
        }
      },
    },
  ];
}

function scopeSteps({ needs }: LoadOptions): Step[] {
  const steps: Step[] = [];
  if (needs.scopes.size > 0)
    steps.push({
      query: scopesQuery([...needs.scopes.values()]),
      take: (rows, loaded) => {
        for (const scope of needs.scopes.keys()) loaded.scopes.set(scope, new Set());
        for (const [id, scope] of rows as readonly (readonly [Buffer, Buffer])[])
          loaded.scopes.get(keyOf(scope))?.add(keyOf(id));
      },
    });
  if (needs.keys.size > 0)
    steps.push({
      query: existingKeysQuery([...needs.keys.values()]),
      take: (rows, loaded) => {
        for (const key of needs.keys.keys()) loaded.keys.set(key, false);
        for (const [owner, version] of rows as readonly (readonly [Buffer, number])[])
          loaded.keys.set(`${keyOf(owner)} ${version}`, true);
      },
    });
  return steps;
}

function keyOfRead(read: RowRead): Buffer {
  return 'id' in read ? read.id : read.index;
}
