/**
 * The record of a node and those of the others: which nodes serve the vault, and what they have counted in the last minute. Reads
 * and writes once for each call; `Nodes` calls it every second.
 */
import { LOCAL_ORGANIZATION } from '../../contract/caller.ts';
import { MinuteWindows, WINDOW_MS, type Window } from '../../io/minute_windows.ts';
import { isSameRow, type RecordWrite, type StoredMeta } from '../../store/store.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { keyMissing } from '../keys/wrapped_keys.ts';
import { EntityRepository } from '../records/entity_repository.ts';
import { scanRows } from '../records/scan.ts';

/** A key, how often it was counted, and when its window ends, in milliseconds since 1970. */
type CountedKey = readonly [key: string, count: number, ends_at_ms: number];

interface NodeMeta {
  readonly seen_at_ms: number;
  /** By the names of the windows. */
  readonly counts: Readonly<Record<string, readonly CountedKey[]>>;
}

interface SharedWindows {
  readonly name: string;
  readonly limit: number;
  readonly windows: MinuteWindows;
}

interface KnownNode {
  readonly row: StoredMeta;
  readonly meta: NodeMeta;
}

type Parts = Pick<VaultDependencies, 'store' | 'records' | 'keys' | 'now'>;

/** Between two writes of a node that counts nothing. */
const SEEN_EVERY_MS = 60_000;
/** After that time without a write, a node has ended. */
const ENDED_AFTER_MS = 3 * SEEN_EVERY_MS;
/** Of a record; those nearest to their limits. */
const COUNTS_MAX = 1_000;

export class CountExchange {
  readonly #parts: Parts;
  readonly #records: EntityRepository<NodeMeta>;
  readonly #id: string;
  readonly #windows: SharedWindows[] = [];
  /** The records of others as they were read last, by id. */
  #known: ReadonlyMap<string, KnownNode> = new Map();
  #written: { readonly at_ms: number; readonly counts: string } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#records = new EntityRepository(parts, 'node');
    this.#id = parts.records.newId();
  }

  /** Whether the last run found other nodes. */
  get hasOthers(): boolean {
    return this.#known.size > 0;
  }

  /** Windows whose counts are exchanged under the name. */
  windows(name: string, limit: number, keys_max: number): MinuteWindows {
    const windows = new MinuteWindows(keys_max);
    this.#windows.push({ name, limit, windows });
    return windows;
  }

  /** Deletes the record of this node. */
  async remove(): Promise<void> {
    const row = await this.#records.rowOf(this.#id);
    if (row !== undefined) await this.#delete([row]);
  }

  /** Reads the records of the others. Writes that of this node the first time, and then if there are others and it has changed. */
  async run(): Promise<void> {
    const keyring = await this.#parts.keys.organization(LOCAL_ORGANIZATION);
    if (keyring === undefined) throw keyMissing();
    const now_ms = this.#parts.now().getTime();
    const own = await this.#readAll(keyring, now_ms);
    this.#mergeCounts(now_ms);
    const written = this.#written;
    if (written !== undefined && !this.hasOthers) return;
    const counts = this.#ownCounts(now_ms);
    const text = JSON.stringify(counts);
    const is_recent = written !== undefined && Math.abs(now_ms - written.at_ms) < SEEN_EVERY_MS;
    if (own !== undefined && is_recent && text === written.counts) return;
    await this.#parts.store.commit({
      writes: [this.#put(keyring, own, { seen_at_ms: now_ms, counts })],
      audit: [],
    });
    this.#written = { at_ms: now_ms, counts: text };
  }

  /** Reads the records of the other nodes and deletes those of ended ones. Returns the row of this node. */
  async #readAll(keyring: OrganizationKeyring, now_ms: number): Promise<StoredMeta | undefined> {
    let own: StoredMeta | undefined;
    const known = new Map<string, KnownNode>();
    const ended: StoredMeta[] = [];
    for await (const row of scanRows(this.#parts.store, this.#records.scope(keyring, []))) {
      const id = row.id.toString('hex');
      if (id === this.#id.replaceAll('-', '')) {
        own = row;
        continue;
      }
      const before = this.#known.get(id);
      const meta =
        before !== undefined && isSameRow(before.row, row)
          ? before.meta
          : this.#records.openOwn(keyring, row)?.meta;
      if (meta === undefined || Math.abs(now_ms - meta.seen_at_ms) > ENDED_AFTER_MS) ended.push(row);
      else known.set(id, { row, meta });
    }
    this.#known = known;
    if (ended.length > 0) await this.#delete(ended);
    return own;
  }

  #mergeCounts(now_ms: number): void {
    const elapsed_ms = performance.now() - now_ms;
    for (const { name, windows } of this.#windows) {
      const others = new Map<string, Window[]>();
      for (const { meta } of this.#known.values()) {
        for (const [key, count, ends_at_ms] of meta.counts[name] ?? []) {
          const of_key = others.get(key) ?? [];
          // The clock of the other node may be ahead.
          const ends_ms = Math.min(ends_at_ms, now_ms + WINDOW_MS) + elapsed_ms;
          of_key.push({ count, ends_ms });
          others.set(key, of_key);
        }
      }
      windows.setOthers(others);
    }
  }

  #ownCounts(now_ms: number): NodeMeta['counts'] {
    const elapsed_ms = performance.now() - now_ms;
    const all = this.#windows.flatMap(({ name, limit, windows }) =>
      [...windows.own(performance.now())].map(([key, { count, ends_ms }]) => ({
        name,
        share: count / limit,
        counted: [key, count, Math.round(ends_ms - elapsed_ms)] as const,
      })),
    );
    if (all.length > COUNTS_MAX) all.sort((a, b) => b.share - a.share);
    const counts: Record<string, CountedKey[]> = {};
    for (const { name, counted } of all.slice(0, COUNTS_MAX)) {
      counts[name] ??= [];
      counts[name].push(counted);
    }
    return counts;
  }

  #put(keyring: OrganizationKeyring, own: StoredMeta | undefined, meta: NodeMeta): RecordWrite {
    const ref = { key: [this.#id], scope: this.#records.scope(keyring, []) };
    return this.#records.put(keyring, ref, this.#id, (own?.revision ?? 0) + 1, meta);
  }

  async #delete(rows: readonly StoredMeta[]): Promise<void> {
    const writes = rows.map(
      ({ id, revision }) => ({ do: 'delete', expected_revision: revision, id }) as const,
    );
    // Another node may have deleted them.
    await this.#parts.store.commit({ writes, audit: [] }).catch(() => undefined);
  }
}
