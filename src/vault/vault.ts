/**
 * The vault: every operation on credentials, for every edge. Each operation names its caller and passes one guard; a
 * write commits its audit entry in the same transaction. Only `credentials.reveal` returns a value.
 */
import type { AuditFilter, AuditPage, AuditReport } from '../contract/audit.ts';
import { type Caller, canUseService } from '../contract/caller.ts';
import {
  type CredentialStatus,
  type CredentialStatusInput,
  type CredentialSummary,
  type DeleteInput,
  type ListedService,
  ListServicesInput,
  StatusInput,
  type StoreInput,
  type StoreOutput,
  type UpdateInput,
  type UpdateOutput,
} from '../contract/credential.ts';
import { CREDENTIALS_READ_MAX, LIST_PAGE_MAX } from '../contract/limits.ts';
import type { SealingKey } from '../contract/sealed_value.ts';
import { parseInput } from '../contract/validation.ts';
import type { OrganizationOption } from '../contract/vault_client.ts';
import type { ServiceCatalogue } from '../services/catalogue.ts';
import type { StoreHealth } from '../store/store.ts';
import { ApiKeys } from './api_keys/api_keys.ts';
import { ApiKeySet } from './api_keys/key_set.ts';
import { AccessRequests } from './approvals/access_requests.ts';
import { Approvals } from './approvals/approvals.ts';
import { DestinationApprovals } from './approvals/destination_approvals.ts';
import { ValueApprovals } from './approvals/value_approvals.ts';
import { AuditReads } from './audit/reads.ts';
import type { VerifyOptions } from './audit/verifier.ts';
import { Backups } from './backup/backups.ts';
import { CredentialsById } from './credentials/by_id.ts';
import {
  CredentialsByService,
  type DestinationChange,
  type UpdateOptions,
} from './credentials/by_service.ts';
import type { CredentialMeta } from './credentials/codec.ts';
import { describeServices } from './credentials/connected_services.ts';
import { newestOfStack } from './credentials/listing.ts';
import { CredentialLookup } from './credentials/lookup.ts';
import { credentialStatus } from './credentials/status.ts';
import { CredentialWriter } from './credentials/writer.ts';
import { DefinitionApprovals } from './definitions/definition_approvals.ts';
import type { VaultDependencies } from './dependencies.ts';
import { reviewDestination, unapprovedReview } from './destinations/binding.ts';
import { Guard } from './guard.ts';
import { Handles } from './handles/handles.ts';
import type { OrganizationKeyring } from './keys/keyring.ts';
import { KeyRotations } from './keys/rotations/rotations.ts';
import { Moves } from './move/moves.ts';
import { Nodes } from './nodes/nodes.ts';
import { ConnectionRequests } from './oauth/connection_requests.ts';
import { DueRefreshes } from './oauth/due_refreshes.ts';
import { Organizations } from './organizations/organizations.ts';
import { OrganizationRegistry } from './organizations/registry.ts';
import { Users } from './organizations/users.ts';
import { WebSessions } from './people/web_sessions.ts';
import { PendingValues } from './protection/pending_values.ts';
import { Protection, type ProtectionState, type WriteOptions } from './protection/protection.ts';
import { CredentialActivity } from './records/credential_activity.ts';
import { StackContents } from './stacks/contents.ts';
import { StackRecords } from './stacks/repository.ts';
import { StackShares } from './stacks/shares.ts';
import { Stacks } from './stacks/stacks.ts';
import { AllCredentials } from './uses/all_credentials.ts';
import { DueTests } from './uses/due_tests.ts';
import { UsePolicies } from './uses/use_policies.ts';
import { Uses } from './uses/uses.ts';

/** `more`: the stack has further credentials. */
export interface StatusList {
  readonly credentials: readonly CredentialSummary[];
  readonly more: boolean;
}

export interface VaultHealth extends StoreHealth {
  /** See `AuditAnchor.isMissing`. */
  readonly lacks_anchor: boolean;
}

export class Vault {
  readonly #parts: VaultDependencies;
  readonly #guard: Guard;
  readonly #stacks: StackRecords;
  readonly #by_service: CredentialsByService;
  readonly #activity: CredentialActivity;
  readonly credentials: CredentialsById;
  readonly stacks: Stacks;
  readonly stack_shares: StackShares;
  readonly organizations: Organizations;
  readonly api_keys: ApiKeys;
  readonly users: Users;
  readonly approvals: Approvals;
  readonly audit: AuditReads;
  readonly definitions: DefinitionApprovals;
  /** Uses of credentials, for requests and child processes. */
  readonly uses: Uses;
  readonly use_policies: UsePolicies;
  /** Requests for values that a person enters at a page. */
  readonly handles: Handles;
  /** Connections with OAuth; `src/oauth` sends their requests. */
  readonly connections: ConnectionRequests;
  readonly due_tests: DueTests;
  readonly due_refreshes: DueRefreshes;
  readonly web_sessions: WebSessions;
  readonly nodes: Nodes;
  readonly rotations: KeyRotations;
  readonly backups: Backups;
  readonly moves: Moves;
  readonly #protection: Protection;

  constructor(parts: VaultDependencies) {
    this.#parts = parts;
    this.#guard = new Guard(parts);
    this.nodes = new Nodes(parts);
    const stacks = new StackRecords(parts);
    this.#stacks = stacks;
    const lookup = new CredentialLookup(parts);
    const activity = new CredentialActivity(parts, lookup);
    this.#activity = activity;
    const valid_keys = new ApiKeySet(parts);
    const pending = new PendingValues(parts, valid_keys);
    const contents = new StackContents(parts, this.#guard, stacks, lookup, activity, pending);
    this.stacks = new Stacks(parts, this.#guard, stacks, contents);
    const writer = new CredentialWriter(parts, this.#guard, stacks, valid_keys, pending);
    this.uses = new Uses(parts, this.#guard, stacks, lookup, valid_keys, activity, writer, this.nodes);
    this.definitions = new DefinitionApprovals(parts, this.#guard);
    const access = new AccessRequests(parts, this.#guard, stacks, valid_keys, this.definitions);
    this.#protection = new Protection(parts, this.#guard, writer, pending, this.uses.candidates, access);
    this.#by_service = new CredentialsByService(
      parts,
      this.#guard,
      writer,
      stacks,
      contents,
      activity,
      this.#protection,
      this.uses.findings,
    );
    this.handles = new Handles(parts, this.#guard, stacks, lookup, valid_keys, this.#by_service);
    this.connections = new ConnectionRequests(
      parts,
      this.#guard,
      stacks,
      lookup,
      valid_keys,
      this.handles.pending,
      this.#protection,
      this.uses.log,
    );
    const directory = new OrganizationRegistry(parts);
    this.credentials = new CredentialsById(parts, this.#guard, writer, stacks, directory, activity);
    this.organizations = new Organizations(parts.keys, this.#guard, directory);
    this.api_keys = new ApiKeys(parts, this.#guard, directory, valid_keys);
    this.web_sessions = new WebSessions(parts, this.api_keys.authentication, directory);
    this.use_policies = new UsePolicies(parts, this.#guard, writer);
    const all = new AllCredentials(parts, this.#guard, stacks);
    this.due_tests = new DueTests(parts, all, lookup, activity);
    this.due_refreshes = new DueRefreshes(parts, all, activity);
    const destinations = new DestinationApprovals(parts, writer, stacks, directory);
    const values = new ValueApprovals(parts, writer, pending, valid_keys);
    this.approvals = new Approvals(this.#guard, destinations, this.uses.approvals, values, access);
    this.audit = new AuditReads(parts, this.#guard);
    this.rotations = new KeyRotations(parts, this.#guard);
    this.backups = new Backups(parts, this.#guard);
    this.moves = new Moves(parts, this.#guard);
    this.stack_shares = new StackShares(parts, this.#guard, stacks, directory);
    this.users = new Users(parts, this.#guard, directory, stacks, contents, this.api_keys, this.stack_shares);
  }

  /** The key that values are sealed to for the caller's organization: 32 bytes in base64. */
  async publicKey(caller: Caller): Promise<string> {
    return this.#parts.keys.publicKey(await this.organizations.keyringFor(caller));
  }

  /** All that a program needs to seal values for the caller. Needs no scope: it is public. */
  async sealingKey(caller: Caller): Promise<SealingKey> {
    const { organization, user } = caller;
    return { public_key: await this.publicKey(caller), organization, user };
  }

  get services(): ServiceCatalogue {
    return this.#parts.services;
  }

  /** See `CredentialsByService.store`. */
  store(caller: Caller, input: StoreInput, options: WriteOptions = {}): Promise<StoreOutput> {
    return this.#by_service.store(caller, input, options);
  }

  /**
   * Merges values into a credential, or creates it. Fields that are not named keep their values. With
   * `require_service_in_stack`, rejects with NOT_FOUND, before it validates the values, unless the service was added to
   * the stack or has a credential in it. `commands`: see `UpdateOptions`.
   */
  update(caller: Caller, input: UpdateInput, options: UpdateOptions = {}): Promise<UpdateOutput> {
    return this.#by_service.update(caller, input, options);
  }

  /** Protects a credential, or ends that. FORBIDDEN unless the caller is a person. */
  setProtected(caller: Caller, input: DeleteInput, is_protected: boolean): Promise<ProtectionState> {
    return this.#protection.set(caller, input, is_protected);
  }

  /** Where the secrets of a credential would be sent after an update, for a person to decide. Changes nothing. */
  previewDestination(caller: Caller, input: UpdateInput): Promise<DestinationChange> {
    return this.#by_service.previewDestination(caller, input);
  }

  /** Which fields of one credential are added or missing. Never opens values. */
  status(caller: Caller, input: CredentialStatusInput): Promise<CredentialStatus> {
    return this.#by_service.status(caller, input);
  }

  /** The statuses of the credentials of a stack, newest first, 100 at most. Reads a bounded number of credentials. */
  async listCredentials(caller: Caller, raw: Omit<StatusInput, 'service_id'>): Promise<StatusList> {
    const input = parseInput(StatusInput, raw);
    const { user, stack } = await this.#guard.requestedStack(caller, input.stack_id);
    const keyring = await this.#guard.authorize(caller, 'credentials:read', { user, stack });
    await this.#stacks.assertReadable(keyring, user, stack);
    const budget = { remaining: CREDENTIALS_READ_MAX };
    const found = await newestOfStack(
      this.#parts,
      keyring,
      { user, stack },
      LIST_PAGE_MAX + 1,
      (meta) => (input.name === undefined || meta.name === input.name) && canUseService(caller, meta.service),
      budget,
    );
    const credentials = await Promise.all(
      found.slice(0, LIST_PAGE_MAX).map((meta) => this.#summarize(keyring, meta)),
    );
    return { credentials, more: found.length > LIST_PAGE_MAX || budget.remaining < 0 };
  }

  /** The services that match the query, and whether the stack has all their required fields. */
  async listServices(caller: Caller, raw: ListServicesInput): Promise<readonly ListedService[]> {
    const input = parseInput(ListServicesInput, raw);
    const { user, stack } = await this.#guard.requestedStack(caller, input.stack_id);
    const keyring = await this.#guard.authorize(caller, 'credentials:read', { user, stack });
    await this.#stacks.assertReadable(keyring, user, stack);
    const services = this.services.list(input.query).filter(({ slug }) => canUseService(caller, slug));
    return describeServices(this.#parts, keyring, user, stack, services);
  }

  /** Deletes a credential and destroys its values. */
  delete(caller: Caller, input: DeleteInput): Promise<void> {
    return this.#by_service.delete(caller, input);
  }

  /** Audit entries of the caller's organization, newest first, 100 at most. */
  listAudit(caller: Caller, filter?: AuditFilter, limit?: number, before?: number): Promise<AuditPage> {
    return this.audit.list(caller, filter, limit, before);
  }

  /** Compares the whole audit log with the records. Changes no record. */
  verifyAudit(caller: Caller, options?: VerifyOptions & OrganizationOption): Promise<AuditReport> {
    return this.audit.verify(caller, options);
  }

  /** Checks all data of the store. Slow. */
  async health(): Promise<VaultHealth> {
    const { store, anchor } = this.#parts;
    return { ...(await store.check()), lacks_anchor: (await anchor?.isMissing()) ?? false };
  }

  /** Overwrites replaced and deleted data now. The store also does so shortly after the last write. */
  async scrub(): Promise<void> {
    await this.#parts.store.scrub();
  }

  async close(): Promise<void> {
    await this.nodes.leave();
    await this.#parts.beforeClose?.();
    await this.uses.close();
    await this.#parts.audit_log.denials.flush();
    await this.#parts.anchor?.close();
    await this.#parts.store.close();
  }

  async #summarize(keyring: OrganizationKeyring, meta: CredentialMeta): Promise<CredentialSummary> {
    const service = this.services.find(meta.service);
    const review =
      service === undefined
        ? this.services.findRefused(meta.service) && unapprovedReview(meta)
        : reviewDestination(this.#parts, service, meta);
    return {
      service_id: meta.service,
      service_name: service?.name ?? meta.service,
      name: meta.name,
      ...credentialStatus(service, meta, this.#parts.now(), review),
      pending_approval: await this.#protection.pendingOf(keyring, meta),
      ...(await this.#activity.of(keyring, meta)),
    };
  }
}
