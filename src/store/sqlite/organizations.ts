/** Fills in the organization of records written by format 1, which lacks that column. Never touches a sealed part. */
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import type { Database } from 'better-sqlite3';
import { BoundedMap } from '../../io/bounded_map.ts';
import type { Store, StoredMeta } from '../store.ts';

/** Returns the organization of a row, or `undefined` if it belongs to none of them (a damaged row). */
export type FindOrganization = (
  row: StoredMeta,
  organizations: readonly Buffer[],
) => Promise<Buffer | undefined>;

/** In one transaction. */
const BATCH_ROWS = 500;
/** Stops after about this time; the rest is done when the vault is opened next. */
const ASSIGN_MAX_MS = 2_000;
const SCOPES_MAX = 10_000;

/** Works in batches through the records without an organization. Each batch is committed, so it can be interrupted. */
export async function assignOrganizations(
  database: Database,
  store: Pick<Store, 'change' | 'getMany'>,
  find: FindOrganization,
): Promise<void> {
  const unassigned = database.prepare<[number, number], { readonly seq: number; readonly id: Buffer }>(
    "SELECT rowid AS seq, id FROM record WHERE organization = x'' AND rowid > ? ORDER BY rowid LIMIT ?",
  );
  const assign = database.prepare("UPDATE record SET organization = ? WHERE id = ? AND organization = x''");
  const organizations = database
    .prepare<[], Buffer>('SELECT DISTINCT owner FROM wrapped_key WHERE owner <> zeroblob(16)')
    .pluck()
    .all();
  // A scope is a keyed hash, so all its records belong to one organization.
  const by_scope = new BoundedMap<string, Buffer>(SCOPES_MAX);
  const until_ms = performance.now() + ASSIGN_MAX_MS;
  let last_seq = 0;
  do {
    const rows = unassigned.all(last_seq, BATCH_ROWS);
    if (rows.length === 0) return;
    last_seq = rows.at(-1)?.seq ?? last_seq;
    const found: (readonly [Buffer, Buffer])[] = [];
    for (const row of await store.getMany(rows.map(({ id }) => id))) {
      if (row === undefined) continue;
      if (performance.now() > until_ms) break;
      const scope = row.scope.toString('latin1');
      const known = by_scope.get(scope);
      if (known === undefined) await yieldToEventLoop();
      const organization = known ?? (await find(row, organizations));
      if (organization === undefined) continue;
      by_scope.set(scope, organization);
      found.push([organization, row.id]);
    }
    await store.change([], () => {
      for (const [organization, id] of found) assign.run(organization, id);
      return { batch: { writes: [], audit: [] }, result: undefined };
    });
  } while (performance.now() < until_ms);
}
