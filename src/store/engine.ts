/** What the vault needs of a storage engine before a store is open. */
import type { OnCommit, Store } from './store.ts';

/** `unknown`: only a connection to the server finds out. */
export type StorePresence = 'absent' | 'empty' | 'filled' | 'unknown';

export interface StoreEngine {
  /** Whether programs on other machines use the same store. Then only `keyhold init` creates a vault in it. */
  readonly is_remote: boolean;
  /** Opens and creates nothing. Throws VaultError if the location cannot be a store. */
  inspect(): StorePresence;
  /** Throws LOCKED if every user of this machine could change the stored data. */
  assertPrivate(): void;
  /** Throws UNAVAILABLE if the driver cannot be loaded, which would prevent opening any store. */
  assertDriverLoads(): Promise<void>;
  /** Creates what `open` needs for a new vault. Changes nothing that exists. */
  prepare(): void;
  /** Rejects with VaultError. */
  open(onCommit: OnCommit): Promise<Store>;
}
