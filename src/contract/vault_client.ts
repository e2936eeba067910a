/**
 * The operations as programs call them, with who is asking already settled: by the process that opened the vault, or
 * by the API key that a server was called with. One interface, so that whoever uses it need not know which it is.
 */
import type { ApiKeyList, CreateKeyInput, NewApiKey, UnitInfo } from './api_key.ts';
import type { AuditFilter, AuditPage, AuditReport } from './audit.ts';
import type {
  CredentialStatus,
  CredentialStatusInput,
  CredentialSummary,
  DeleteInput,
  ListedService,
  ListServicesInput,
  StatusInput,
  StoreInput,
  StoreOutput,
  UpdateInput,
  UpdateOutput,
} from './credential.ts';
import type { Service } from './service.ts';

/** The caller's own where it is left out; others are for who runs the installation. */
export interface OrganizationOption {
  readonly organization?: string | undefined;
}

/** Called with how many entries of the log were checked, and how many there are. */
export type VerifyProgress = (done: number, total: number) => void;

/** Every method rejects with VaultError. */
export interface VaultClient {
  /** The key that values may be sealed to (libsodium sealed box, base64) and then passed as `sealed:BASE64`. */
  getPublicKey(): Promise<string>;
  storeCredential(input: StoreInput): Promise<StoreOutput>;
  updateCredentials(input: UpdateInput): Promise<UpdateOutput>;
  getCredentialStatus(input: CredentialStatusInput): Promise<CredentialStatus>;
  /** All credentials of a stack, newest first, 100 at most. */
  listCredentials(
    input?: Omit<StatusInput, 'service_id'>,
  ): Promise<{ credentials: readonly CredentialSummary[]; more: boolean }>;
  /** Removes a credential and destroys its values. */
  deleteCredential(input: DeleteInput): Promise<void>;
  /** The services that fit the query, with whether the stack has all they need. */
  listServices(input?: ListServicesInput): Promise<readonly ListedService[]>;
  /** All services, each with its whole definition. */
  listServiceDefinitions(): Promise<readonly Service[]>;
  /** A page of the audit log, newest first; `next` of one page is `before` of the next. */
  listAudit(filter?: AuditFilter & OrganizationOption, limit?: number, before?: number): Promise<AuditPage>;
  /** Holds the whole log against the records. Changes nothing. */
  verifyAudit(options?: OrganizationOption & { readonly progress?: VerifyProgress }): Promise<AuditReport>;
  /** Makes an API key, and organization and user when they are new. `key` is shown this once. */
  createKey(input?: CreateKeyInput): Promise<NewApiKey>;
  /** The caller's keys, newest first; everybody's for who administers the organization. */
  listKeys(organization?: string): Promise<ApiKeyList>;
  /** A new secret under the same id; the old one stops working at once. */
  rotateKey(id: string): Promise<NewApiKey>;
  /** The key stops working at once, and is gone. */
  revokeKey(id: string): Promise<void>;
  listUnits(organization?: string): Promise<readonly UnitInfo[]>;
  /** Makes a unit, or answers with the one of that name. */
  createUnit(name: string, organization?: string): Promise<UnitInfo>;
}
