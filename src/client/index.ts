/**
 * The exports of `keyhold/client`: a client of a Keyhold server with the methods of the library.
 *
 * ```ts
 * import { KeyholdClient } from 'keyhold/client';
 * const vault = new KeyholdClient({ url: 'https://keyhold.example.com', key: process.env.KEYHOLD_API_KEY ?? '' });
 * (await vault.getCredentialStatus({ service_id: 'linear' })).required_credentials_added; // true
 * ```
 */
export type { AccessRequest, RequestAccessInput } from '../contract/access_request.ts';
export type {
  ApiKeyInfo,
  ApiKeyList,
  CreateKeyInput,
  NewApiKey,
  UnitInfo,
  UserInfo,
  UserList,
} from '../contract/api_key.ts';
export type { Approval, ApprovalChoiceInput, ApprovalList } from '../contract/approval.ts';
export type {
  AuditEntry,
  AuditFilter,
  AuditFinding,
  AuditPage,
  AuditReport,
  UseCounts,
} from '../contract/audit.ts';
export type {
  ConnectDescription,
  Connected,
  ConnectField,
  ConnectGrant,
  ConnectInput,
  DeviceState,
  StartedConnection,
  StartedDevice,
} from '../contract/connection.ts';
export type {
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
} from '../contract/credential.ts';
export type { ErrorCode, ErrorReason } from '../contract/errors.ts';
export type { HandleInput, PendingHandle, PolledHandle } from '../contract/handle.ts';
export type { SealingKey } from '../contract/sealed_value.ts';
export type { Service } from '../contract/service/service.ts';
export type {
  ShareInput,
  StackCreate,
  StackShare,
  StackSummary,
  UnshareInput,
} from '../contract/stack.ts';
export type { CallInput, CallOutput, ServiceStream } from '../contract/use/call.ts';
export type { UsePolicy } from '../contract/use/policy.ts';
export type { UseMethod } from '../contract/use/rules.ts';
export type { TestInput, TestOutput } from '../contract/use/test.ts';
export type { LastTest, TestReason, TestResult } from '../contract/use/test_result.ts';
export type {
  OrganizationOption,
  PersonRequests,
  VaultClient,
} from '../contract/vault_client.ts';
export { type ClientOptions, KeyholdClient, type WhoAmI } from './keyhold_client.ts';
export { KeyholdError } from './keyhold_error.ts';
