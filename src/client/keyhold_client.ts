/**
 * A client of a Keyhold server, over HTTP, with the methods of the library door. It needs nothing but `fetch`, keeps
 * the API key to itself and sends it to the one server that it was made for. Types of requests and answers come from
 * the server's own OpenAPI document.
 */

import createClient, { type Client } from 'openapi-fetch';
import type { ApiKeyInfo, ApiKeyList, CreateKeyInput, NewApiKey, UnitInfo } from '../contract/api_key.ts';
import type { AuditFilter, AuditPage, AuditReport } from '../contract/audit.ts';
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
} from '../contract/credential.ts';
import { VaultError } from '../contract/errors.ts';
import { UUID_PATTERN } from '../contract/patterns.ts';
import type { Service } from '../contract/service.ts';
import type { OrganizationOption, VaultClient } from '../contract/vault_client.ts';
import { parseServerUrl } from '../io/server_url.ts';
import { KeyholdError, NOT_KEYHOLD } from './keyhold_error.ts';
import type { components, paths } from './schema.ts';
import { send } from './transport.ts';

export interface ClientOptions {
  /** Where the server is: https, or http for a server on this machine. */
  readonly url: string | URL;
  /** An API key, `kh_...`. */
  readonly key: string;
  /** How long a call may take, its whole answer included. 30 seconds where it is left out. */
  readonly timeout_ms?: number;
}

type AuditQuery = NonNullable<paths['/v1/audit']['get']['parameters']['query']>;

/** Whom an API key stands for. */
export type WhoAmI = components['schemas']['Me'];

const TIMEOUT_MS = 30_000;
/** The whole log is read for it. */
const VERIFY_TIMEOUT_MS = 10 * 60_000;
/** What can stand in a header. */
const KEY_PATTERN = /^[\x21-\x7e]{1,1024}$/;

/** Every method rejects with KeyholdError. */
export class KeyholdClient implements VaultClient {
  readonly #api: Client<paths>;
  readonly #verifying: Client<paths>;
  readonly #checkHealth: () => Promise<unknown>;

  /** Sends nothing yet. Throws INVALID_INPUT for a URL that no key may be sent to, and for what can be no key. */
  constructor({ url, key, timeout_ms = TIMEOUT_MS }: ClientOptions) {
    const baseUrl = addressOf(url);
    if (typeof key !== 'string' || !KEY_PATTERN.test(key))
      throw new KeyholdError('INVALID_INPUT', 'key must be an API key: one word, without blanks.');
    if (!Number.isInteger(timeout_ms) || timeout_ms < 1 || timeout_ms > 2 ** 31 - 1)
      throw new KeyholdError('INVALID_INPUT', 'timeout_ms must be a whole number of milliseconds from 1 on.');
    const clientWithin = (limit_ms: number) =>
      createClient<paths>({
        baseUrl,
        headers: { Authorization: `Bearer ${key}`, Accept: 'application/json' },
        fetch: (request) => send(request, limit_ms),
      });
    this.#api = clientWithin(timeout_ms);
    this.#verifying = clientWithin(Math.max(timeout_ms, VERIFY_TIMEOUT_MS));
    this.#checkHealth = () => send(new Request(`${baseUrl}/healthz`), timeout_ms);
  }

  async getPublicKey(): Promise<string> {
    return answerOf(await this.#api.GET('/v1/public-key'), 'public_key').public_key;
  }

  async storeCredential(input: StoreInput): Promise<StoreOutput> {
    return answerOf(await this.#api.PUT('/v1/credentials', { body: given(input) }), 'credential_id');
  }

  async updateCredentials(input: UpdateInput): Promise<UpdateOutput> {
    return answerOf(await this.#api.POST('/v1/credentials/update', { body: given(input) }), 'updated_fields');
  }

  async getCredentialStatus(input: CredentialStatusInput): Promise<CredentialStatus> {
    const query = given(input);
    // Without it the server would answer with a list.
    if (typeof query.service_id !== 'string' || query.service_id === '')
      throw new KeyholdError('INVALID_INPUT', 'service_id must be the id of a service.');
    const answer = answerOf(await this.#api.GET('/v1/credentials', { params: { query } }), 'status');
    if ('credentials' in answer) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
    return answer;
  }

  /** All credentials of a stack, newest first, 100 at most. */
  async listCredentials(
    input: Omit<StatusInput, 'service_id'> = {},
  ): Promise<{ credentials: readonly CredentialSummary[]; more: boolean }> {
    const query = given(input);
    const answer = answerOf(await this.#api.GET('/v1/credentials', { params: { query } }), 'credentials');
    if (!('credentials' in answer)) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
    return answer;
  }

  async deleteCredential(input: DeleteInput): Promise<void> {
    answerOf(await this.#api.POST('/v1/credentials/delete', { body: given(input) }), 'success');
  }

  async listServices(input: ListServicesInput = {}): Promise<readonly ListedService[]> {
    const query = given(input);
    return answerOf(await this.#api.GET('/v1/services', { params: { query } }), 'services').services;
  }

  async listServiceDefinitions(): Promise<readonly Service[]> {
    const { services } = answerOf(await this.#api.GET('/v1/service-definitions'), 'services');
    return services.map(({ id, ...definition }) => {
      if (id === undefined) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
      return { ...definition, id };
    });
  }

  async listAudit(
    filter: AuditFilter & OrganizationOption = {},
    limit?: number,
    before?: number,
  ): Promise<AuditPage> {
    // The server says which actions there are; a list here would be another one.
    const query = given({ ...filter, limit, before }) as AuditQuery;
    return answerOf(await this.#api.GET('/v1/audit', { params: { query } }), 'entries');
  }

  /** Tells of no progress: the server does the work. */
  async verifyAudit(input: OrganizationOption = {}): Promise<AuditReport> {
    const { organization } = given(input);
    const query = given({ organization });
    return answerOf(await this.#verifying.GET('/v1/audit/verify', { params: { query } }), 'findings');
  }

  async createKey(input: CreateKeyInput = {}): Promise<NewApiKey> {
    const { allowed_services, allowed_tools, ...rest } = given(input);
    const permissions = { permissions: given({ allowed_services, allowed_tools }) };
    return newKey(
      answerOf(await this.#api.POST('/v1/api-keys', { body: { ...rest, ...permissions } }), 'key'),
    );
  }

  async listKeys(organization?: string): Promise<ApiKeyList> {
    const answer = await this.#api.GET('/v1/api-keys', { params: { query: given({ organization }) } });
    const more = answer.response.headers.get('x-keyhold-more') === 'true';
    return { keys: answerOf(answer, 'length').map(keyInfo), more };
  }

  async rotateKey(id: string): Promise<NewApiKey> {
    const params = { path: { id: keyId(id) } };
    return newKey(answerOf(await this.#api.POST('/v1/api-keys/{id}/rotate', { params }), 'key'));
  }

  async revokeKey(id: string): Promise<void> {
    const params = { path: { id: keyId(id) } };
    answerOf(await this.#api.DELETE('/v1/api-keys/{id}', { params }), 'success');
  }

  async listUnits(organization?: string): Promise<readonly UnitInfo[]> {
    const query = given({ organization });
    return answerOf(await this.#api.GET('/v1/units', { params: { query } }), 'units').units;
  }

  async createUnit(name: string, organization?: string): Promise<UnitInfo> {
    return answerOf(await this.#api.POST('/v1/units', { body: given({ name, organization }) }), 'id');
  }

  /** Rejects where the server cannot be reached or is not well. Sends no key. */
  async checkHealth(): Promise<void> {
    await this.#checkHealth();
  }

  /** Whom the API key stands for, and which version of Keyhold answers. */
  async whoAmI(): Promise<WhoAmI> {
    return answerOf(await this.#api.GET('/v1/me'), 'scopes');
  }
}

/** Without a slash at its end. */
function addressOf(url: string | URL): string {
  try {
    const { origin, pathname } = parseServerUrl(String(url), 'url');
    return `${origin}${pathname}`.replace(/\/$/, '');
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    throw new KeyholdError(error.code, error.message, { reason: error.reason });
  }
}

/** The answer, once it is certain to be the one that was asked for: what else answers JSON has no such property. */
function answerOf<Data extends object>(
  { data, response }: { readonly data?: Data | undefined; readonly response: Response },
  property: string,
): Data {
  if (data !== undefined && property in data) return data;
  throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status: response.status });
}

type Given<Input> = { [Name in keyof Input]: Exclude<Input[Name], undefined> };

/** Without what is `undefined`, which says nothing. Throws INVALID_INPUT for what is no object. */
function given<Input extends object>(input: Input): Given<Input> {
  if (typeof input !== 'object' || input === null)
    throw new KeyholdError('INVALID_INPUT', 'The input must be an object.');
  return Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined)) as Given<Input>;
}

/** Throws before it could get into a URL: what is no id may be a key. */
function keyId(id: string): string {
  if (typeof id === 'string' && UUID_PATTERN.test(id)) return id;
  throw new KeyholdError('INVALID_INPUT', 'id must be the id of an API key: a UUID, as listKeys has it.');
}

function keyInfo({ permissions, last_used: _, ...info }: components['schemas']['ApiKey']): ApiKeyInfo {
  return {
    ...info,
    allowed_services: permissions?.allowed_services ?? null,
    allowed_tools: permissions?.allowed_tools ?? null,
  };
}

function newKey({ key, ...shown }: components['schemas']['ApiKeyWithSecret']): NewApiKey {
  return { ...keyInfo(shown), key };
}
