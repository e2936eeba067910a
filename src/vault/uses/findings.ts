/**
 * Keeps what uses and tests find out about a credential: that the service refuses or accepts its values, the SSH host key of
 * its server, and the result of its last test. Has no effect if the credential was changed or deleted since it was found.
 */
import type { AuditAction } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import type { CredentialChange, ExistingCredential, Mutation } from '../credentials/changes.ts';
import type { CredentialMeta } from '../credentials/codec.ts';
import { CredentialMovedError, type CredentialWriter } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import { refOf, type TestFinding, type UsableCredential } from './use.ts';

type FoundCredential = Pick<
  UsableCredential,
  'credential_id' | 'revision' | 'user' | 'stack' | 'service' | 'name' | 'is_rejected'
>;

export class CredentialFindings {
  readonly #parts: Pick<VaultDependencies, 'now' | 'store' | 'codec'>;
  readonly #guard: Guard;
  readonly #activity: CredentialActivity;
  readonly #writer: CredentialWriter;

  constructor(
    parts: Pick<VaultDependencies, 'now' | 'store' | 'codec'>,
    guard: Guard,
    activity: CredentialActivity,
    writer: CredentialWriter,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#activity = activity;
    this.#writer = writer;
  }

  /** Marks the credential as rejected until a secret is stored again. `status`: of the response that refused the values. */
  async reject(caller: Caller, credential: FoundCredential, status: number): Promise<void> {
    await this.#write(caller, credential, 'reject', { status });
  }

  /**
   * Keeps the result of a test. A refused credential is then rejected, an accepted one no longer, and a host key is stored with
   * the credential.
   */
  async keepTest(caller: Caller, credential: FoundCredential, finding: TestFinding): Promise<void> {
    const { test, verdict, host_key } = finding;
    let tested = credential;
    const write = async (action: 'reject' | 'accept' | 'pin_host_key') => {
      const meta = await this.#write(caller, tested, action, { host_key });
      tested = { ...tested, revision: meta?.revision ?? tested.revision };
    };
    if (host_key !== undefined) await write('pin_host_key');
    if (verdict === 'refused' && !credential.is_rejected) await write('reject');
    if (verdict === 'accepted' && credential.is_rejected) await write('accept');
    const keyring = await this.#guard.authorize(caller, 'credentials:use', refOf(credential), 'use');
    const { codec, store } = this.#parts;
    const row = await store.find(codec.indexOf(keyring, refOf(credential)));
    const meta = row && codec.openFound(keyring, row);
    if (meta?.id !== tested.credential_id || meta.revision !== tested.revision) return;
    try {
      await this.#activity.recordTest(keyring, meta, test);
    } catch (error) {
      if (!(error instanceof VaultError && error.code === 'CONFLICT')) throw error;
    }
  }

  /** The credential as written; `undefined` if it was changed or deleted since it was found. */
  async #write(
    caller: Caller,
    credential: FoundCredential,
    action: AuditAction & ('reject' | 'accept' | 'pin_host_key'),
    found: { readonly status?: number; readonly host_key?: TestFinding['host_key'] },
  ): Promise<CredentialMeta | undefined> {
    const ref = refOf(credential);
    const keyring = await this.#guard.authorize(caller, 'credentials:use', ref, 'use');
    const { credential_id: id, revision } = credential;
    const change: Mutation = (current) => {
      if (current?.meta.revision !== revision) throw new CredentialMovedError();
      const { type } = current.meta;
      const at = this.#parts.now().toISOString();
      if (action === 'reject')
        return { type, values: current.values(), rejected: { status: found.status, at } };
      if (action === 'accept') return { type, values: current.values(), rejected: null };
      return pinned(current, found.host_key);
    };
    const request = { caller, keyring, action, ref, id, fields: [], needs_values: true, change } as const;
    try {
      return await this.#writer.write(request);
    } catch (error) {
      if (error instanceof CredentialMovedError) return undefined;
      throw error;
    }
  }
}

/** The credential with the fingerprint in its field and in its destination. */
function pinned(current: ExistingCredential, host_key: TestFinding['host_key']): CredentialChange {
  const { type, destination } = current.meta;
  if (host_key === undefined) throw new Error('no host key');
  const { field_id, fingerprint } = host_key;
  const values = new Map([...current.values(), [field_id, new Secret(fingerprint)] as const]);
  const fields = { ...destination?.fields, [field_id]: fingerprint };
  return { type, values, ...(destination === undefined ? {} : { destination: { ...destination, fields } }) };
}
