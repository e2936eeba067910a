/**
 * The operations that rotate keys. Data keys and key pairs for sealed values are an organization's, so its administrators may rotate
 * them; all else is the operator's. A model over MCP never rotates a key.
 */
import type { AuditAction } from '../../../contract/audit.ts';
import { type Caller, isOperator } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { Batch } from '../../../store/store.ts';
import { type EntryFacts, newEntry } from '../../audit/entry.ts';
import type { VaultDependencies } from '../../dependencies.ts';
import { type Guard, NO_SINGLE_STACK } from '../../guard.ts';
import { retryOnConflict } from '../../records/conflict_retry.ts';
import type { KeyVersions } from '../key_versions.ts';
import type { OrganizationKeyring } from '../keyring.ts';
import type { RootKeySource } from '../root_key.ts';
import type { NewKeys } from '../wrapped_keys.ts';
import { DataRotation, type DataRotationReport } from './data_rotation.ts';
import { type FormerRootKey, FormerRootKeys } from './former_root_key.ts';
import { type RootRotationReport, rotateRootKey } from './root_rotation.ts';

type Progress = (done: number) => void;

interface Authorized {
  readonly actor: Caller;
  readonly keyring: KeyVersions;
}

export class KeyRotations {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #data: DataRotation;

  constructor(parts: VaultDependencies, guard: Guard) {
    this.#parts = parts;
    this.#guard = guard;
    this.#data = new DataRotation(parts);
  }

  /**
   * Replaces the root key. `to`: where the new one is; default: a new key in the file of the present one. INVALID_INPUT for what
   * would lose the vault, such as a file that exists. `progress`: keys wrapped again.
   */
  async rotateRoot(
    caller: Caller,
    to?: RootKeySource,
    progress: Progress = () => undefined,
  ): Promise<RootRotationReport> {
    const local = await this.#authorizeOperator(caller, 'rotate_root_key');
    const from = this.#parts.root_key;
    const report = await rotateRootKey(
      this.#parts,
      caller,
      local,
      { from, to: to ?? sameSource(from) },
      progress,
    );
    // Overwrites the keys that the former root key opens. Later writes do so too.
    await this.#parts.store.scrub().catch(() => undefined);
    return report;
  }

  /** The former root keys that no rotation has removed from their sources. */
  async formerRoots(caller: Caller): Promise<readonly FormerRootKey[]> {
    const local = await this.#authorizeOperator(caller, 'rotate_root_key');
    return new FormerRootKeys(this.#parts).list(local);
  }

  /** Rotates the data key of an organization, or goes on with a rotation that was stopped. `progress`: records encrypted again. */
  async rotateData(
    caller: Caller,
    organization?: string,
    progress: Progress = () => undefined,
  ): Promise<DataRotationReport> {
    const { actor, keyring } = await this.#authorizeIn(caller, organization, 'rotate_data_key');
    return this.#data.run(actor, keyring, progress);
  }

  /**
   * Replaces the key pair that values are sealed to, and returns the public key in base64. Values that are sealed to earlier keys
   * stay readable until they expire, or until `retireBoxes`.
   */
  async rotateBox(caller: Caller, organization?: string): Promise<string> {
    const { actor, keyring } = await this.#authorizeIn(caller, organization, 'rotate_box_key');
    const { keys, random } = this.#parts;
    await this.#commit(actor, keyring, 'rotate_box_key', () => keys.nextBox(keyring, random, false));
    return keys.publicKey(keyring);
  }

  /** Ends the time in which values that are sealed to earlier keys can be stored. Returns the public key, which stays the same. */
  async retireBoxes(caller: Caller, organization?: string): Promise<string> {
    const { actor, keyring } = await this.#authorizeIn(caller, organization, 'retire_box_keys');
    const { keys, random } = this.#parts;
    await this.#commit(actor, keyring, 'retire_box_keys', () => keys.nextBox(keyring, random, true));
    return keys.publicKey(keyring);
  }

  /** Replaces the keys that sign the anchor file and encrypt sign-ins that wait for an identity provider. */
  async rotateSigning(caller: Caller): Promise<void> {
    const local = await this.#authorizeOperator(caller, 'rotate_signing_key');
    const { keys, random } = this.#parts;
    await this.#commit(caller, local, 'rotate_signing_key', () => keys.nextSigningKey(random));
  }

  async #authorizeIn(
    caller: Caller,
    organization: string | undefined,
    action: AuditAction,
  ): Promise<Authorized> {
    const { actor, keyring } = await this.#guard.authorizeIn(caller, organization, 'org:admin', action);
    await this.#assertNoModel(caller, keyring, action);
    const known = await this.#parts.keys.organizationOf(keyring.id);
    if (known === undefined) throw new VaultError('NOT_FOUND', 'No such organization.');
    return { actor, keyring: known };
  }

  async #authorizeOperator(caller: Caller, action: AuditAction): Promise<OrganizationKeyring> {
    const local = await this.#guard.authorize(caller, 'org:admin', NO_SINGLE_STACK, action);
    await this.#assertNoModel(caller, local, action);
    if (isOperator(caller)) return local;
    await this.#guard.recordDenial(caller, local, action, NO_SINGLE_STACK, 'not the operator');
    throw new VaultError('FORBIDDEN', 'Only the operator of the vault may rotate this key.');
  }

  async #assertNoModel(caller: Caller, keyring: OrganizationKeyring, action: AuditAction): Promise<void> {
    if (caller.edge !== 'mcp') return;
    await this.#guard.recordDenial(caller, keyring, action, NO_SINGLE_STACK, 'over MCP');
    throw new VaultError('FORBIDDEN', 'Keys are not rotated over MCP. Run `keyhold rotate` at the vault.');
  }

  async #commit(
    caller: Caller,
    keyring: OrganizationKeyring,
    action: AuditAction,
    makeKeys: () => Promise<NewKeys>,
    facts: EntryFacts = {},
  ): Promise<void> {
    const { store, audit_log, now } = this.#parts;
    await retryOnConflict(async () => {
      const audit = [audit_log.append(keyring, newEntry(caller, action, now(), facts))];
      const batch: Batch = { ...(await makeKeys()), writes: [], audit };
      await store.commit(batch);
    });
  }
}

/** Throws INVALID_INPUT for a source whose new key only a person can give. */
function sameSource(source: RootKeySource): RootKeySource {
  if (source.kind === 'passphrase')
    throw new VaultError(
      'INVALID_INPUT',
      'This vault opens with a passphrase. Run `keyhold change-passphrase`.',
    );
  if (source.kind !== 'env') return source;
  const message =
    'The root key is in an environment variable, which Keyhold cannot change. Put a new key (`openssl rand -base64 32`) into another variable, and run `keyhold rotate root --to env:NAME`.';
  throw new VaultError('INVALID_INPUT', message);
}
