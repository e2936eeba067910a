/**
 * The operations for programs, for a fixed caller: the user of the process that opened the vault, or the user of the API
 * key for a server. A local vault and a server have the same interface.
 */
import type { AccessRequest, RequestAccessInput } from './access_request.ts';
import type { ApiKeyList, CreateKeyInput, NewApiKey, UnitInfo, UserInfo, UserList } from './api_key.ts';
import type { Approval, ApprovalChoiceInput, ApprovalList } from './approval.ts';
import type { AuditFilter, AuditPage, AuditReport, UseCounts } from './audit.ts';
import type {
  CredentialStatus,
  CredentialStatusInput,
  CredentialSummary,
  DeleteInput,
  ListedService,
  ListServicesInput,
  SetUsePolicyInput,
  SetUsePolicyOutput,
  StatusInput,
  StoreInput,
  StoreOutput,
  UpdateInput,
  UpdateOutput,
} from './credential.ts';
import type { HandleInput, PendingHandle, PolledHandle } from './handle.ts';
import type { SealingKey } from './sealed_value.ts';
import type { Service } from './service/service.ts';
import type { ShareInput, StackCreate, StackShare, StackSummary, UnshareInput } from './stack.ts';
import type { CallInput, CallOutput, ServiceStream } from './use/call.ts';
import type { TestInput, TestOutput } from './use/test.ts';

/** Default: the caller's own organization. Others are for the operator. */
export interface OrganizationOption {
  readonly organization?: string | undefined;
}

/** Called with the number of checked entries and the number of all entries. */
export type VerifyProgress = (done: number, total: number) => void;

export interface VerifyAuditOptions extends OrganizationOption {
  readonly progress?: VerifyProgress;
  /** Accepts a rolled-back vault file as current. For the vault in this process only. */
  readonly accept?: boolean;
}

/** Every method rejects with VaultError. */
export interface VaultClient {
  /** The public key that values are sealed to, in base64. `getSealingKey` also returns the organization and user of a sealed value. */
  getPublicKey(): Promise<string>;
  /** What `sealValue` takes. */
  getSealingKey(): Promise<SealingKey>;
  storeCredential(input: StoreInput): Promise<StoreOutput>;
  updateCredentials(input: UpdateInput): Promise<UpdateOutput>;
  /** Limits the uses of a credential. Only administrators, and the command line at the vault, can widen what is set. */
  setUsePolicy(input: SetUsePolicyInput): Promise<SetUsePolicyOutput>;
  getCredentialStatus(input: CredentialStatusInput): Promise<CredentialStatus>;
  /** The credentials of a stack, newest first, 100 at most. */
  listCredentials(
    input?: Omit<StatusInput, 'service_id'>,
  ): Promise<{ credentials: readonly CredentialSummary[]; more: boolean }>;
  /** The stacks of the caller and those that are shared with it, newest first, `default` last. */
  listStacks(): Promise<readonly StackSummary[]>;
  createStack(input: StackCreate): Promise<StackSummary>;
  renameStack(stack_id: string, stack_name: string): Promise<StackSummary>;
  /** Deletes a stack with all credentials in it. `default` stays, empty. */
  deleteStack(stack_id: string): Promise<void>;
  /** Users and units that a stack is shared with. For those who may manage it. */
  listStackShares(stack_id: string): Promise<readonly StackShare[]>;
  /** Shares a created stack, or changes the role of a share. */
  shareStack(stack_id: string, input: ShareInput): Promise<StackShare>;
  /** Ends a share; takes effect for the next request. */
  unshareStack(stack_id: string, input: UnshareInput): Promise<void>;
  /** Makes an HTTP request to a service with a stored credential. The response has no values; every status is a result. */
  callService(input: CallInput): Promise<CallOutput>;
  /** As `callService`, with a body of any size, which is read while it arrives. */
  streamService(input: CallInput): Promise<ServiceStream>;
  /** Finds out whether the service accepts a stored credential. Every finding is a result. */
  testCredential(input: TestInput): Promise<TestOutput>;
  /** Removes a credential and destroys its values. */
  deleteCredential(input: DeleteInput): Promise<void>;
  /** The services that match the query, and whether the stack has all their required fields. */
  listServices(input?: ListServicesInput): Promise<readonly ListedService[]>;
  /** All services with their definitions. */
  listServiceDefinitions(): Promise<readonly Service[]>;
  /** A page of the audit log, newest first; `next` of one page is `before` of the next. */
  listAudit(filter?: AuditFilter, limit?: number, before?: number): Promise<AuditPage>;
  /** Uses and refused uses of each of the last `days` days, today included; default: 30. */
  countUses(days?: number, service_id?: string): Promise<UseCounts>;
  /**
   * Approvals, newest first, 100 at most: by default those that wait for a decision. Only a person lists them and decides: at
   * the command line of the vault, or with an API key that has `approvals:decide` and did not make the request.
   */
  listApprovals(which?: ApprovalList, organization?: string): Promise<readonly Approval[]>;
  getApproval(id: string, organization?: string): Promise<Approval>;
  /** Approves; a request for more than once, or an access request with limits, if `choice` has them. */
  approve(id: string, choice?: ApprovalChoiceInput, organization?: string): Promise<Approval>;
  deny(id: string, organization?: string): Promise<Approval>;
  /** Ends an approval of a request that is in force. The next such request needs a new one. */
  revokeApproval(id: string, organization?: string): Promise<Approval>;
  /** Verifies the log and compares it with the records. Changes nothing. */
  verifyAudit(options?: VerifyAuditOptions): Promise<AuditReport>;
  /** Creates an API key, and its organization and user if they are new. `key` is returned only once. */
  createKey(input?: CreateKeyInput): Promise<NewApiKey>;
  /** The caller's keys, newest first; for an administrator all keys of the organization. */
  listKeys(organization?: string): Promise<ApiKeyList>;
  /** Gives the key a new secret under the same id; the old one stops working at once. */
  rotateKey(id: string): Promise<NewApiKey>;
  /** Deletes the key, which stops working at once. */
  revokeKey(id: string): Promise<void>;
  listUnits(organization?: string): Promise<readonly UnitInfo[]>;
  /** Creates a unit, or returns the existing one of that name. */
  createUnit(name: string, organization?: string): Promise<UnitInfo>;
  /** The users of an organization, newest first. For administrators. */
  listUsers(organization?: string): Promise<UserList>;
  /** Moves a user to the unit with this id or name. For administrators. */
  moveUser(name: string, unit: string, organization?: string): Promise<UserInfo>;
  /** Deletes a user with all credentials, stacks and API keys. For administrators. */
  removeUser(name: string, organization?: string): Promise<UserInfo>;
}

/** Requests that a person completes on a page. Of a server, and of a vault that is opened as a library. */
export interface PersonRequests {
  /** Requests values: the person enters them at `url`. Then poll with `getHandle`. */
  createHandle(input: HandleInput): Promise<PendingHandle>;
  /** Whether the person has entered the values. For the caller that created the handle. */
  getHandle(handle: string): Promise<PolledHandle>;
  /** Ends a handle without values. */
  declineHandle(handle: string): Promise<void>;
  /** Requests a service, in the catalogue or not: the person decides at `url`. A request that waits is returned again. */
  requestAccess(input: RequestAccessInput): Promise<AccessRequest>;
  /** The access request for a credential that waits or was accepted; `null` without one, and once values are stored. */
  getAccessRequest(
    input: Pick<CredentialStatusInput, 'service_id' | 'stack_id' | 'name'>,
  ): Promise<AccessRequest | null>;
}
