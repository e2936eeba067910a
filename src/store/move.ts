/** The state of a vault that moves to another store. */

/** Of a vault that is being moved to another store, or was moved: it can be read, and refuses every write. */
export interface VaultMove {
  /** Of the transfer: 32 hexadecimal digits. */
  readonly id: string;
  /** The new store, as a text for people. Contains no secret. */
  readonly location: string;
  /** The copy was verified: the other store is the vault, or becomes it. */
  readonly is_done: boolean;
}

export function isSameMove(a: VaultMove | undefined, b: VaultMove | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.id === b.id && a.location === b.location && a.is_done === b.is_done;
}
