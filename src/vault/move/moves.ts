/**
 * Moves the vault to another store while it is used: copies all rows and catches up with the writes, until few are left; then
 * refuses writes, copies the rest, and compares both stores byte by byte. Only then the other store becomes the vault. Until
 * that step the present store is the vault, and a second run continues one that was killed.
 */
import { createHash } from 'node:crypto';
import { type Caller, isOperator } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { conflictError, movedError, targetNotEmptyError } from '../../store/errors.ts';
import { isSameMove, type VaultMove } from '../../store/move.ts';
import type { RowReader } from '../../store/store.ts';
import type { StoreReceiver, TransferTarget } from '../../store/transfer.ts';
import { vaultIdOf } from '../audit/anchor.ts';
import { newEntry } from '../audit/entry.ts';
import { copyRows, hasEntries } from '../backup/copy_rows.ts';
import { verifyCopy } from '../backup/verify_copy.ts';
import type { VaultDependencies } from '../dependencies.ts';
import { type Guard, NO_SINGLE_STACK } from '../guard.ts';
import { idText } from '../records/record_codec.ts';
import { assertEqual, ComparedEntries, catchUp } from './equality.ts';
import { completeError, findingsError, otherVaultError } from './errors.ts';

/** The store that a vault moves to. */
export interface MoveDestination {
  readonly target: TransferTarget;
  /** A text for people, which contains no secret. */
  readonly location: string;
}

export interface MoveOptions {
  /** Moves although the verification of the audit logs has findings. */
  readonly accept: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

export interface MoveSummary {
  readonly location: string;
  readonly keys: number;
  readonly records: number;
  readonly entries: number;
  readonly organizations: number;
  /** How long writes were refused. */
  readonly refused_ms: number;
  /** The path of the vault file that was replaced. */
  readonly kept: string | undefined;
  /** An earlier run had moved the vault, and was killed before its end. */
  readonly was_moved: boolean;
}

export interface CancelSummary {
  /** A move was begun, and was ended. */
  readonly was_moving: boolean;
  /** Why the copy in the new store was not deleted. */
  readonly copy_failure: string | undefined;
}

/** Few enough to be copied while writes are refused. */
const REST_ROWS = 1_000;
/** Writes that are faster than the copy cannot be caught up with. */
const ROUNDS_MAX = 10;

export class Moves {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;

  constructor(parts: VaultDependencies, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
  }

  async move(caller: Caller, to: MoveDestination, options: MoveOptions): Promise<MoveSummary> {
    await this.#authorize(caller);
    const { store } = this.#parts;
    const { target, location } = to;
    const id = await this.#transferId(location);
    const begun = await store.move();
    if (begun !== undefined && begun.id !== id) throw movedError(begun);
    if (await this.#isMoved(begun, target)) return this.#summary(location, 0, undefined, true);
    // A run that was killed has left it. The vault can be written to while this run catches up.
    if (begun?.is_done === false) await store.setMove(begun, undefined);
    const is_done = begun?.is_done === true;
    if (!is_done) await this.#record(caller, id);
    const compared = new ComparedEntries();
    await this.#copy(id, target, compared, options);
    const receiver = await target.receive(id, await this.#header(), true);
    const refused_since_ms = performance.now();
    const move: VaultMove = { id, location, is_done: false };
    try {
      // Another process may have cancelled a move that was done.
      if (is_done && !isSameMove(await store.move(), begun)) throw conflictError();
      if (!is_done) await store.setMove(undefined, move);
      await this.#copyRest(receiver, compared);
      if (!is_done) await store.setMove(move, { ...move, is_done: true });
    } catch (error) {
      // Writes go on, unless an earlier run has found both stores equal.
      if (!is_done) await store.setMove(move, undefined).catch(() => undefined);
      throw error;
    } finally {
      await receiver.close();
    }
    const { kept } = await target.publish(id, { mayReplace: assertContained });
    return this.#summary(location, performance.now() - refused_since_ms, kept, false);
  }

  /** Ends a move that is not complete. The present store is the vault again. */
  async cancel(caller: Caller, { target, location }: MoveDestination): Promise<CancelSummary> {
    await this.#authorize(caller);
    const { store } = this.#parts;
    const id = await this.#transferId(location);
    const begun = await store.move();
    if (begun !== undefined && begun.id !== id) throw movedError(begun);
    if (begun?.is_done === true && (await this.#isMoved(begun, target))) throw completeError(begun);
    // Also if the other store cannot be reached: it cannot become the vault before the move is done.
    if (begun?.is_done === false) await store.setMove(begun, undefined);
    try {
      await this.#discard(id, target, begun);
    } catch (error) {
      const has_ended = begun?.is_done === false;
      if (!has_ended || !(error instanceof VaultError) || error.code !== 'UNAVAILABLE') throw error;
      return { was_moving: true, copy_failure: error.message };
    }
    return { was_moving: begun !== undefined, copy_failure: undefined };
  }

  /** Deletes the copy. Ends a move that is done, unless the other store is the vault. */
  async #discard(id: string, target: TransferTarget, begun: VaultMove | undefined): Promise<void> {
    const { store } = this.#parts;
    const done = begun?.is_done === true ? begun : undefined;
    const receiver = await target.receive(id, await this.#header());
    // Writes stay refused, and a move that is still running does not copy again.
    const ending = done && { ...done, is_done: false };
    try {
      await assertNotPublished(target, done);
      if (done !== undefined) await store.setMove(done, ending);
    } finally {
      await receiver.close();
    }
    try {
      await target.discard();
      // Until the copy was deleted, a running move could make the other store the vault.
      await assertNotPublished(target, done);
    } catch (error) {
      if (done !== undefined) await store.setMove(ending, done);
      throw error;
    }
    if (done !== undefined) await store.setMove(ending, undefined);
  }

  async #authorize(caller: Caller): Promise<void> {
    const local = await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK, 'move_vault');
    await this.#guard.auditDenials(caller, local, 'move_vault', ['FORBIDDEN'], NO_SINGLE_STACK, () => {
      if (!isOperator(caller)) throw new VaultError('FORBIDDEN', 'Only the operator may move the vault.');
    });
  }

  /** The same for each run with this destination, so that a second run continues the first one. */
  async #transferId(location: string): Promise<string> {
    const vault = vaultIdOf(await this.#parts.keys.anchorKeys());
    return createHash('sha256').update(`${vault}\0${location}`).digest('hex').slice(0, 32);
  }

  async #record(caller: Caller, id: string): Promise<void> {
    const { store, audit_log, keys, now } = this.#parts;
    const local = await keys.organization(caller.organization);
    if (local === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    const entry = newEntry(caller, 'move_vault', now(), { record_id: idText(Buffer.from(id, 'hex')) });
    await store.commit({ writes: [], audit: [audit_log.append(local, entry)] });
  }

  async #header() {
    const header = await this.#parts.store.header();
    if (header === undefined) throw new VaultError('UNAVAILABLE', 'The vault is not in its store any more.');
    return header;
  }

  /** Whether the destination is the vault already. Rejects if it contains another one, or one that is newer. */
  async #isMoved(begun: VaultMove | undefined, target: TransferTarget): Promise<boolean> {
    const existing = await target.openExisting();
    if (existing === undefined) return false;
    const present = await this.#parts.store.snapshot();
    try {
      if (existing.move === undefined) {
        if (begun?.is_done !== true) throw targetNotEmptyError();
        if (await hasEntries(existing, await present.heads())) return true;
        throw otherVaultError(begun);
      }
      // A vault that was moved away from there, to this store.
      if (!(await hasEntries(present, await existing.heads()))) throw targetNotEmptyError();
      return false;
    } finally {
      await existing.close();
      await present.close();
    }
  }

  /** While writes go on: copies everything, and verifies the audit logs of the copy. */
  async #copy(
    id: string,
    target: TransferTarget,
    compared: ComparedEntries,
    { accept, onProgress }: MoveOptions,
  ): Promise<void> {
    const { keys, random } = this.#parts;
    const receiver = await target.receive(id, await this.#header(), true);
    try {
      await this.#copyFirst(receiver, onProgress);
      for (let round = 1; round <= ROUNDS_MAX; round++) {
        const changed = await this.#round(receiver, compared);
        if (changed <= REST_ROWS) break;
      }
    } finally {
      await receiver.close();
    }
    const received = await target.openReceived(id);
    try {
      const sealing = { random, cipher: 'aes-256-gcm' as const };
      const report = await verifyCopy(received, keys.wrapped.root_key, sealing);
      if (!report.ok && !accept) throw findingsError(report.findings.length);
    } finally {
      await received.close();
    }
  }

  async #copyFirst(receiver: StoreReceiver, onProgress: MoveOptions['onProgress']): Promise<void> {
    const snapshot = await this.#parts.store.snapshot();
    try {
      const { keys, records, entries } = await snapshot.counts();
      let done = 0;
      await copyRows(snapshot, receiver, (rows) => {
        done += rows;
        onProgress(done, keys + records + entries);
      });
    } finally {
      await snapshot.close();
    }
  }

  /** Returns the number of rows that had changed. */
  async #round(receiver: StoreReceiver, compared: ComparedEntries): Promise<number> {
    const snapshot = await this.#parts.store.snapshot();
    try {
      return await catchUp(snapshot, receiver, compared);
    } finally {
      await snapshot.close();
    }
  }

  /** While writes are refused. */
  async #copyRest(receiver: StoreReceiver, compared: ComparedEntries): Promise<void> {
    const snapshot = await this.#parts.store.snapshot();
    try {
      await catchUp(snapshot, receiver, compared);
      await assertEqual(snapshot, receiver);
    } finally {
      await snapshot.close();
    }
  }

  async #summary(location: string, refused_ms: number, kept: string | undefined, was_moved: boolean) {
    const snapshot = await this.#parts.store.snapshot();
    try {
      const { keys, records, entries } = await snapshot.counts();
      const organizations = (await snapshot.heads()).length;
      const counts = { keys, records, entries, organizations };
      return { location, ...counts, refused_ms: Math.round(refused_ms), kept, was_moved };
    } finally {
      await snapshot.close();
    }
  }
}

/** The former vault at the destination may be replaced if the moved one has all of its entries. */
async function assertContained(present: RowReader | undefined, received: RowReader): Promise<void> {
  if (present === undefined || !(await hasEntries(received, await present.heads())))
    throw targetNotEmptyError();
}

/** `done`: a move that only has to make the other store the vault. */
async function assertNotPublished(target: TransferTarget, done: VaultMove | undefined): Promise<void> {
  const existing = await target.openExisting();
  await existing?.close();
  if (done !== undefined && existing !== undefined && existing.move === undefined) throw completeError(done);
}
