/**
 * An HTTP client of a Keyhold server with the methods of the library. It needs only `fetch`, and sends the API key to no
 * other server. Request and response types are those that the server validates with.
 */
import type {
  ApiKeyList,
  CreateKeyInput,
  NewApiKey,
  UnitInfo,
  UserInfo,
  UserList,
} from '../contract/api_key.ts';
import type { AuditFilter, AuditPage, AuditReport, UseCounts } from '../contract/audit.ts';
import type { Scope } from '../contract/caller.ts';
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
} from '../contract/credential.ts';
import type { SealingKey } from '../contract/sealed_value.ts';
import type { Service } from '../contract/service/service.ts';
import type { ShareInput, StackCreate, StackShare, StackSummary, UnshareInput } from '../contract/stack.ts';
import type { CallInput, CallOutput, ServiceStream } from '../contract/use/call.ts';
import type { TestInput, TestOutput } from '../contract/use/test.ts';
import type { OrganizationOption, VaultClient } from '../contract/vault_client.ts';
import { ServerConnection } from './connection.ts';
import { omitUndefined, stackPath, validId, validKeyId } from './inputs.ts';
import { KeyholdError, NOT_KEYHOLD } from './keyhold_error.ts';
import { PersonClient } from './person_client.ts';
import { type StackBody, toKeyInfo, toNewKey, toStack } from './response_bodies.ts';
import { CALL_TIMEOUT_MS, callPath, sendForStream } from './stream.ts';

export interface ClientOptions {
  /** The URL of the server: https, or http if it runs on this machine. */
  readonly url: string | URL;
  /** An API key, `kh_...`. */
  readonly key: string;
  /** Time limit of a method, including the response body. Default: 30 seconds; of calls and `verifyAudit` minutes, at least. */
  readonly timeout_ms?: number;
}

/** The user and the permissions of an API key. */
export interface WhoAmI {
  readonly organization: string;
  readonly user: string;
  readonly scopes: readonly Scope[];
  /** The only stack that the key may use; null: every stack. */
  readonly stack_id: string | null;
  readonly api_key_id: string | null;
  readonly allowed_services: readonly string[] | null;
  readonly allowed_tools: readonly string[] | null;
  readonly server_version: string;
}

const TIMEOUT_MS = 30_000;
/** Verification reads the whole log. */
const VERIFY_TIMEOUT_MS = 10 * 60_000;

/** Every method rejects with KeyholdError. */
export class KeyholdClient extends PersonClient implements VaultClient {
  readonly #server: ServerConnection;
  readonly #timeout_ms: number;
  /** Of requests that wait for a service. */
  readonly #use_timeout_ms: number;

  /** Sends no request. Throws INVALID_INPUT for a URL that no key may be sent to, and for an invalid key. */
  constructor({ url, key, timeout_ms = TIMEOUT_MS }: ClientOptions) {
    const server = new ServerConnection(url, key, timeout_ms);
    super(server);
    this.#server = server;
    this.#timeout_ms = timeout_ms;
    this.#use_timeout_ms = Math.max(timeout_ms, CALL_TIMEOUT_MS);
  }

  async getPublicKey(): Promise<string> {
    return (await this.getSealingKey()).public_key;
  }

  async getSealingKey(): Promise<SealingKey> {
    return this.#server.call('public_key', 'GET', '/v1/public-key');
  }

  async storeCredential(input: StoreInput): Promise<StoreOutput> {
    const timeout_ms = this.#writeTimeout(input);
    return this.#server.call('credential_id', 'PUT', '/v1/credentials', { body: input, timeout_ms });
  }

  async updateCredentials(input: UpdateInput): Promise<UpdateOutput> {
    const timeout_ms = this.#writeTimeout(input);
    return this.#server.call('updated_fields', 'POST', '/v1/credentials/update', { body: input, timeout_ms });
  }

  async setUsePolicy(input: SetUsePolicyInput): Promise<SetUsePolicyOutput> {
    return this.#server.call('use_policy', 'PUT', '/v1/credentials/policy', { body: input });
  }

  async getCredentialStatus(input: CredentialStatusInput): Promise<CredentialStatus> {
    const { service_id } = omitUndefined(input);
    // Without it the server would return a list.
    if (typeof service_id !== 'string' || service_id === '')
      throw new KeyholdError('INVALID_INPUT', 'service_id must be the id of a service.');
    return this.#server.call('status', 'GET', '/v1/credentials', { query: input });
  }

  /** Makes an HTTP request to a service with a stored credential, at the server. Every status of the service is a result. */
  async callService(input: CallInput): Promise<CallOutput> {
    const { service_id, ...call } = omitUndefined(input);
    const timeout_ms = this.#use_timeout_ms;
    return this.#server.call('ok', 'POST', callPath(service_id), { body: call, timeout_ms });
  }

  async testCredential(input: TestInput): Promise<TestOutput> {
    const timeout_ms = this.#use_timeout_ms;
    return this.#server.call('result', 'POST', '/v1/credentials/test', { body: input, timeout_ms });
  }

  /** As `testCredential`, for one of the user's own credentials, by its id. */
  async testCredentialById(credential_id: string): Promise<TestOutput> {
    const id = validId(credential_id, 'credential_id must be the id of a credential: a UUID.');
    return this.#server.call('result', 'POST', `/v1/credentials/${id}/test`, {
      timeout_ms: this.#use_timeout_ms,
    });
  }

  /** As `callService`, with a body of any size, which is read while it arrives. */
  async streamService(input: CallInput): Promise<ServiceStream> {
    const { service_id, ...call } = omitUndefined(input);
    const request = this.#server.request('POST', `${callPath(service_id)}/raw`, { body: call });
    return sendForStream(request, this.#use_timeout_ms);
  }

  /** All credentials of a stack, newest first, 100 at most. */
  async listCredentials(
    input: Omit<StatusInput, 'service_id'> = {},
  ): Promise<{ credentials: readonly CredentialSummary[]; more: boolean }> {
    return this.#server.call('credentials', 'GET', '/v1/credentials', { query: input });
  }

  async listStacks(): Promise<readonly StackSummary[]> {
    const { body, status } = await this.#server.send('GET', '/v1/stacks');
    if (!Array.isArray(body)) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status });
    return body.map(toStack);
  }

  async createStack(input: StackCreate): Promise<StackSummary> {
    const { analytics_enabled, ...rest } = omitUndefined(input);
    const body = analytics_enabled === undefined ? rest : { ...rest, configuration: { analytics_enabled } };
    return toStack(await this.#server.call<StackBody>('stack_id', 'POST', '/v1/stacks', { body }));
  }

  async renameStack(stack_id: string, stack_name: string): Promise<StackSummary> {
    const options = { body: { stack_name } };
    return toStack(await this.#server.call<StackBody>('stack_id', 'PUT', stackPath(stack_id), options));
  }

  async deleteStack(stack_id: string): Promise<void> {
    await this.#server.call('message', 'DELETE', stackPath(stack_id));
  }

  async listStackShares(stack_id: string): Promise<readonly StackShare[]> {
    type Body = { shares: readonly StackShare[] };
    return (await this.#server.call<Body>('shares', 'GET', `${stackPath(stack_id)}/shares`)).shares;
  }

  async shareStack(stack_id: string, input: ShareInput): Promise<StackShare> {
    return this.#server.call('role', 'POST', `${stackPath(stack_id)}/shares`, { body: input });
  }

  async unshareStack(stack_id: string, input: UnshareInput): Promise<void> {
    await this.#server.call('success', 'POST', `${stackPath(stack_id)}/shares/remove`, { body: input });
  }

  async deleteCredential(input: DeleteInput): Promise<void> {
    await this.#server.call('success', 'POST', '/v1/credentials/delete', { body: input });
  }

  async listServices(input: ListServicesInput = {}): Promise<readonly ListedService[]> {
    type Body = { services: readonly ListedService[] };
    return (await this.#server.call<Body>('services', 'GET', '/v1/services', { query: input })).services;
  }

  async listServiceDefinitions(): Promise<readonly Service[]> {
    type Body = { services: readonly Service[] };
    const { services } = await this.#server.call<Body>('services', 'GET', '/v1/service-definitions');
    if (services.some(({ id }) => id === undefined)) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
    return services;
  }

  async listAudit(
    filter: AuditFilter & OrganizationOption = {},
    limit?: number,
    before?: number,
  ): Promise<AuditPage> {
    return this.#server.call('entries', 'GET', '/v1/audit', { query: { ...filter, limit, before } });
  }

  /** Uses and refused uses of each of the last `days` days (UTC), the oldest first; default: 30. */
  async countUses(days?: number, service_id?: string): Promise<UseCounts> {
    return this.#server.call('days', 'GET', '/v1/audit/uses', { query: { days, service_id } });
  }

  /** Reports no progress: the server does the work. */
  async verifyAudit(input: OrganizationOption = {}): Promise<AuditReport> {
    const { organization } = omitUndefined(input);
    return this.#server.call('findings', 'GET', '/v1/audit/verify', {
      query: { organization },
      timeout_ms: Math.max(this.#timeout_ms, VERIFY_TIMEOUT_MS),
    });
  }

  async createKey(input: CreateKeyInput = {}): Promise<NewApiKey> {
    const { allowed_services, allowed_tools, ...rest } = omitUndefined(input);
    const body = { ...rest, permissions: omitUndefined({ allowed_services, allowed_tools }) };
    return toNewKey(await this.#server.call('key', 'POST', '/v1/api-keys', { body }));
  }

  async listKeys(organization?: string): Promise<ApiKeyList> {
    const { body, headers, status } = await this.#server.send('GET', '/v1/api-keys', {
      query: { organization },
    });
    if (!Array.isArray(body)) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status });
    return { keys: body.map(toKeyInfo), more: headers.get('x-keyhold-more') === 'true' };
  }

  async rotateKey(id: string): Promise<NewApiKey> {
    return toNewKey(await this.#server.call('key', 'POST', `/v1/api-keys/${validKeyId(id)}/rotate`));
  }

  async revokeKey(id: string): Promise<void> {
    await this.#server.call('success', 'DELETE', `/v1/api-keys/${validKeyId(id)}`);
  }

  async listUnits(organization?: string): Promise<readonly UnitInfo[]> {
    type Body = { units: readonly UnitInfo[] };
    return (await this.#server.call<Body>('units', 'GET', '/v1/units', { query: { organization } })).units;
  }

  async createUnit(name: string, organization?: string): Promise<UnitInfo> {
    return this.#server.call('id', 'POST', '/v1/units', { body: { name, organization } });
  }

  async listUsers(organization?: string): Promise<UserList> {
    return this.#server.call('users', 'GET', '/v1/users', { query: { organization } });
  }

  async moveUser(name: string, unit: string, organization?: string): Promise<UserInfo> {
    return this.#server.call('id', 'POST', '/v1/users/move', { body: { name, unit, organization } });
  }

  async removeUser(name: string, organization?: string): Promise<UserInfo> {
    return this.#server.call('id', 'POST', '/v1/users/remove', { body: { name, organization } });
  }

  /** Rejects if the server is unreachable or does not take requests. Sends no key. */
  async checkHealth(): Promise<void> {
    await this.#server.checkHealth();
  }

  /** Returns the user of the API key and the version of the server. */
  async whoAmI(): Promise<WhoAmI> {
    return this.#server.call('scopes', 'GET', '/v1/me');
  }

  #writeTimeout(input: StoreInput | UpdateInput): number {
    return omitUndefined(input).verify === true ? this.#use_timeout_ms : this.#timeout_ms;
  }
}
