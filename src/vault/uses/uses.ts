/**
 * Uses of credentials: finds one, checks that the use is allowed, logs it, and only then opens the values. The one way to
 * values without the scope `values:reveal`. Sends nothing itself.
 */
import type { AuditedUse } from '../../contract/audit.ts';
import type { Caller } from '../../contract/caller.ts';
import { CredentialStatusInput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import { parseInput } from '../../contract/validation.ts';
import type { ChangePlan, LoadedRow, StoredRecord } from '../../store/store.ts';
import type { ApiKeySet } from '../api_keys/key_set.ts';
import type { BoundUse } from '../approvals/use_approval.ts';
import { UseApprovals } from '../approvals/use_approvals.ts';
import { newEntry } from '../audit/entry.ts';
import { type CredentialRef, stableRevisionOf } from '../credentials/codec.ts';
import type { CredentialLookup } from '../credentials/lookup.ts';
import { requestedRef } from '../credentials/name.ts';
import type { CredentialWriter } from '../credentials/writer.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { Guard } from '../guard.ts';
import type { Nodes } from '../nodes/nodes.ts';
import { CredentialTokens } from '../oauth/credential_tokens.ts';
import type { CredentialActivity } from '../records/credential_activity.ts';
import type { StackRecords } from '../stacks/repository.ts';
import { auditedUse } from './audited_use.ts';
import { Candidates } from './candidates.ts';
import { CredentialFindings } from './findings.ts';
import { KeptResponses } from './kept_responses.ts';
import { policiesOf, UseLimits } from './limits.ts';
import { needsApproval } from './policy.ts';
import { assertUsable, usableCredential } from './usable.ts';
import {
  type Authorization,
  type OpenedUse,
  refOf,
  type UsableCredential,
  type UsePurpose,
  type UseRequest,
} from './use.ts';
import { changedMeanwhile, USE, UseLog } from './use_log.ts';

interface Logged {
  readonly row: StoredRecord;
  readonly use: AuditedUse;
}

export class Uses {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #lookup: CredentialLookup;
  readonly #valid_keys: ApiKeySet;
  readonly #activity: CredentialActivity;
  /** For uses that other operations make. */
  readonly log: UseLog;
  readonly #limits: UseLimits;
  /** What uses and tests find out about credentials. */
  readonly findings: CredentialFindings;
  /** Values that are tested before they are stored, or without being stored. */
  readonly candidates: Candidates;
  /** Refreshes of access tokens. */
  readonly tokens: CredentialTokens;
  /** Responses that all processes of the vault can show. */
  readonly kept: KeptResponses;
  /** Decisions of a person about uses. */
  readonly approvals: UseApprovals;

  constructor(
    parts: VaultDependencies,
    guard: Guard,
    stacks: StackRecords,
    lookup: CredentialLookup,
    valid_keys: ApiKeySet,
    activity: CredentialActivity,
    writer: CredentialWriter,
    nodes: Nodes,
  ) {
    this.#parts = parts;
    this.#guard = guard;
    this.#stacks = stacks;
    this.#lookup = lookup;
    this.#valid_keys = valid_keys;
    this.#activity = activity;
    this.findings = new CredentialFindings(parts, guard, activity, writer);
    this.log = new UseLog(parts, guard);
    this.kept = new KeptResponses(parts, guard);
    this.tokens = new CredentialTokens(parts, guard, valid_keys, writer, this.log);
    this.#limits = new UseLimits(nodes);
    this.candidates = new Candidates(parts, guard, valid_keys, this.#limits, this.log);
    this.approvals = new UseApprovals(parts, valid_keys);
  }

  /**
   * The credential of a service in a stack of the caller. Opens no value. Throws NOT_FOUND for a missing one; INACTIVE,
   * EXPIRED, INVALID_INPUT for an incomplete one, and FORBIDDEN with reason `needs_review` or, unless it is for a test,
   * `credential_rejected`.
   */
  async find(
    caller: Caller,
    raw: {
      readonly service_id: string;
      readonly stack_id?: string | undefined;
      readonly name?: string | undefined;
    },
    purpose: UsePurpose = 'request',
  ): Promise<UsableCredential> {
    const input = parseInput(CredentialStatusInput, raw);
    const service = this.#parts.services.get(input.service_id);
    const ref = await requestedRef(this.#guard, caller, service, input);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    return this.log.auditRefusals(caller, keyring, ref, async () => {
      await this.#stacks.assertReadable(keyring, ref.user, ref.stack);
      const meta = await this.#lookup.find(keyring, ref);
      if (meta === undefined) throw noCredential(service.slug);
      const destination = assertUsable(this.#parts, service, meta, this.#parts.now(), purpose);
      const defined = new Set(service.fields.map(({ field_id }) => field_id));
      const fields = meta.fields.filter((field) => defined.has(field));
      return usableCredential(service, meta, fields, destination);
    });
  }

  /**
   * Checks the policies of the credential and of the caller's API key. Throws FORBIDDEN, EXPIRED or RATE_LIMITED, logged.
   * Counts nothing and changes nothing, except that it creates the approval that a person has to decide on. `begin`
   * checks again.
   */
  async authorize(caller: Caller, credential: UsableCredential, request: UseRequest): Promise<Authorization> {
    const ref = refOf(credential);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const decide = async () => {
      const policies = policiesOf(caller, credential);
      this.#limits.check(policies, request, this.#parts.now());
      if (!policies.some(({ policy }) => needsApproval(policy, request))) return {};
      return this.approvals.require({ caller, keyring, credential, request });
    };
    return this.log.auditRefusals(caller, keyring, ref, decide, auditedUse(null, request, undefined));
  }

  /**
   * Logs the use, then opens the values. Throws CONFLICT if the credential was changed since it was found. If the entry
   * cannot be written, nothing is opened. `address`: the one that the request will be sent to.
   */
  async begin(
    caller: Caller,
    credential: UsableCredential,
    request: UseRequest,
    address?: string,
  ): Promise<OpenedUse> {
    const ref = refOf(credential);
    const keyring = await this.#guard.authorize(caller, USE.scope, ref, USE.action);
    const bound = { caller, keyring, credential, request };
    const prepared = auditedUse(this.#parts.records.newId(), request, address);
    const policies = policiesOf(caller, credential);
    const { row, use } = await this.log.auditRefusals(
      caller,
      keyring,
      ref,
      async () => {
        this.#limits.count(policies, request, this.#parts.now());
        const needs_approval = policies.some(({ policy }) => needsApproval(policy, request));
        return this.#append(bound, ref, prepared, needs_approval);
      },
      prepared,
    );
    const id = credential.credential_id;
    const { revision } = row;
    // A credential that is only tested on schedule counts as not used.
    if (caller.edge !== 'schedule') this.#activity.recordUse(keyring, { id, revision });
    const usable = new Set(credential.fields);
    const opened = this.#parts.codec.openValues(keyring, row);
    const values = new Map([...opened].filter(([field]) => usable.has(field)));
    const target = { ref, credential_id: id };
    const finish = this.log.finisher({ caller, keyring, use, target });
    return { values, revision, finish };
  }

  /** Logs the outcomes that wait. Call before the vault is closed. */
  async close(): Promise<void> {
    await this.log.flush();
  }

  /** Returns the row that the use was logged for, with its values. */
  #append(
    bound: BoundUse,
    ref: CredentialRef,
    prepared: AuditedUse,
    needs_approval: boolean,
  ): Promise<Logged> {
    const { store, codec, audit_log, now } = this.#parts;
    const { caller, keyring, credential } = bound;
    const { credential_id, stable_revision, fields } = credential;
    const key_reads = this.#valid_keys.reads(caller, keyring);
    const reads = [
      { index: codec.indexOf(keyring, ref), values: true },
      ...key_reads,
      ...(needs_approval ? this.approvals.reads(bound) : []),
    ];
    const plan = ([loaded, ...others]: readonly (LoadedRow | undefined)[]): ChangePlan<Logged> => {
      const [key_set] = others.splice(0, key_reads.length);
      this.#valid_keys.assertNotRevoked(caller, keyring, key_set);
      if (loaded?.sealed_values === undefined) throw changedMeanwhile();
      const meta = codec.openFound(keyring, loaded.row);
      // A refreshed access token is used at once: nothing else has changed.
      if (meta.id !== credential_id || stableRevisionOf(meta) !== stable_revision) throw changedMeanwhile();
      const { revision } = meta;
      const approval = needs_approval ? this.approvals.consume(bound, others) : undefined;
      const use = { ...prepared, approval_id: approval?.id ?? null };
      const facts = { ref, credential_id, fields, revision, use };
      const audit = [audit_log.append(keyring, newEntry(caller, USE.action, now(), facts))];
      return {
        batch: { writes: approval === undefined ? [] : [approval.write], audit },
        result: { row: { ...loaded.row, sealed_values: loaded.sealed_values }, use },
      };
    };
    return store.change(reads, plan, keyring.id);
  }
}

function noCredential(slug: string): VaultError {
  return new VaultError(
    'NOT_FOUND',
    `No such credential is stored. Store one with \`keyhold store ${slug}\`, or check name and stack with get_credential_status.`,
    { next: `Store one with \`keyhold store ${slug}\` or store_credential, then call again.` },
  );
}
