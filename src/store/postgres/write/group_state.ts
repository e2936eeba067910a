/** The data that a group of changes is planned on, and the net writes that result. */
import type { ChainHead, RecordPut, RootKeyChange, SealedEntry, WrappedKey } from '../../store.ts';
import type { OwnedRow } from '../statements.ts';
import type { Head } from './known_heads.ts';

/** The database as far as it was loaded. `undefined` in a map: does not exist. No entry: not loaded. */
export interface Loaded {
  readonly by_id: Map<string, OwnedRow | undefined>;
  readonly by_index: Map<string, OwnedRow | undefined>;
  /** The ids of the records of a scope. */
  readonly scopes: Map<string, Set<string>>;
  /** Whether a wrapped key exists. */
  readonly keys: Map<string, boolean>;
  readonly heads: Map<string, ChainHead | undefined>;
  /** Organizations whose head another transaction has locked. */
  readonly busy: Set<string>;
  /** Organizations that another node writes to as well. */
  readonly contended: Buffer[];
  /** The id of the root key, and the highest version of a wrapped key. */
  vault: { readonly root_key_id: Buffer; readonly newest_version: number } | undefined;
}

export function nothingLoaded(): Loaded {
  return {
    by_id: new Map(),
    by_index: new Map(),
    scopes: new Map(),
    keys: new Map(),
    heads: new Map(),
    busy: new Set(),
    contended: [],
    vault: undefined,
  };
}

/** The state of a record after the writes of the group so far. */
export interface GroupRecord {
  /** Before the group: whether it existed, its revision, which is 0 otherwise, and its index. */
  readonly is_stored: boolean;
  readonly base_revision: number;
  readonly base_index: Buffer | undefined;
  /** Of the loaded row; `undefined`: not loaded, so that its revision is an assumption. */
  readonly organization: Buffer | undefined;
  /** The last write, or `undefined` if the record was only checked. */
  readonly write: RecordPut | 'delete' | undefined;
  readonly id: Buffer;
  /** The present state; `undefined`: does not exist. */
  readonly now:
    | { readonly revision: number; readonly index: Buffer | undefined; readonly scope: Buffer | undefined }
    | undefined;
}

export interface GroupEntry extends SealedEntry {
  readonly organization: Buffer;
  readonly position: number;
  readonly key_version: number;
}

export interface GroupHead {
  readonly organization: Buffer;
  /** `undefined`: the chain was empty. */
  readonly before: Head | undefined;
  readonly after: Head;
  readonly first_link: Buffer;
}

/** A change that needs more than was loaded. */
export class Needs {
  readonly organizations = new Map<string, Buffer>();
  readonly ids = new Map<string, Buffer>();
  readonly indexes = new Map<string, Buffer>();
  readonly scopes = new Map<string, Buffer>();
  readonly keys = new Map<string, WrappedKey>();
  /** The header of the vault, locked: keys are added or replaced. */
  vault = false;
  needs_lock = false;
  /** A change must be the only one of its group. */
  needs_isolation = false;

  get is_empty(): boolean {
    const maps = [this.organizations, this.ids, this.indexes, this.scopes, this.keys];
    return !this.needs_lock && !this.needs_isolation && !this.vault && maps.every(({ size }) => size === 0);
  }

  add(more: Needs): void {
    this.vault ||= more.vault;
    for (const [key, value] of more.organizations) this.organizations.set(key, value);
    for (const [key, value] of more.ids) this.ids.set(key, value);
    for (const [key, value] of more.indexes) this.indexes.set(key, value);
    for (const [key, value] of more.scopes) this.scopes.set(key, value);
    for (const [key, value] of more.keys) this.keys.set(key, value);
  }
}

/** Changes of one plan on top of those before it; merged if the plan succeeds. */
export class Layer {
  readonly records = new Map<string, GroupRecord>();
  readonly holders = new Map<string, string | undefined>();
  readonly heads = new Map<string, GroupHead>();
  readonly keys: WrappedKey[] = [];
  root_key: RootKeyChange | undefined;
  readonly entries: GroupEntry[] = [];
}
