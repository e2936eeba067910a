/** What the vault needs of a storage engine before a store is open. */
import type { OnCommit, Store } from './store.ts';
import type { TransferTarget } from './transfer.ts';

/** `unknown`: only a connection to the server finds out. */
export type StorePresence = 'absent' | 'empty' | 'filled' | 'unknown';

/** What a database server reports about itself, the connection and the role. */
export interface ServerFacts {
  readonly version: string;
  /** 150008 for 15.8. */
  readonly version_number: number;
  /** Whether the connection has TLS. */
  readonly is_encrypted: boolean;
  /** Attributes of the role that a vault does not need. */
  readonly excess_rights: readonly string[];
  readonly synchronous_commit: string;
  /** How far the clock of the server is ahead of that of this machine. */
  readonly clock_difference_ms: number;
}

export interface StoreEngine {
  /** Whether programs on other machines use the same store. Then only `keyhold init` creates a vault in it. */
  readonly is_remote: boolean;
  /** Opens and creates nothing. Throws VaultError if the location cannot be a store. */
  inspect(): StorePresence;
  /** Throws LOCKED if every user of this machine could change the stored data, or those of a new vault. */
  assertPrivate(): void;
  /** Throws UNAVAILABLE if the driver cannot be loaded, which would prevent opening any store. */
  assertDriverLoads(): Promise<void>;
  /** Creates what `open` needs for a new vault. Changes nothing that exists. */
  prepare(): void;
  /** Connects to the server of a remote engine; absent without one. Rejects with VaultError. */
  readonly inspectServer?: () => Promise<ServerFacts>;
  /** Where a move or a restore puts a vault. Connects to nothing before it is used. */
  openTarget(): Promise<TransferTarget>;
  /** Rejects with VaultError. */
  open(onCommit: OnCommit): Promise<Store>;
}
