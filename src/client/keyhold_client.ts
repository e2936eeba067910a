/**
 * An HTTP client of a Keyhold server with the methods of the library. It needs only `fetch`, and sends the API key to no
 * other server. Request and response types are generated from the server's OpenAPI document.
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
  /** The URL of the server: https, or http if it runs on this machine. */
  readonly url: string | URL;
  /** An API key, `kh_...`. */
  readonly key: string;
  /** Time limit of a call, including the response body. Default: 30 seconds. */
  readonly timeout_ms?: number;
}

type AuditQuery = NonNullable<paths['/v1/audit']['get']['parameters']['query']>;

/** The user and the permissions of an API key. */
export type WhoAmI = components['schemas']['Me'];

const TIMEOUT_MS = 30_000;
/** Verification reads the whole log. */
const VERIFY_TIMEOUT_MS = 10 * 60_000;
/** Visible ASCII, which a header can carry. */
const KEY_PATTERN = /^[\x21-\x7e]{1,1024}$/;

/** Every method rejects with KeyholdError. */
export class KeyholdClient implements VaultClient {
  readonly #api: Client<paths>;
  readonly #verifying: Client<paths>;
  readonly #checkHealth: () => Promise<unknown>;

  /** Sends no request. Throws INVALID_INPUT for a URL that no key may be sent to, and for an invalid key. */
  constructor({ url, key, timeout_ms = TIMEOUT_MS }: ClientOptions) {
    const baseUrl = baseUrlOf(url);
    if (typeof key !== 'string' || !KEY_PATTERN.test(key))
      throw new KeyholdError('INVALID_INPUT', 'key must be an API key, without spaces.');
    if (!Number.isInteger(timeout_ms) || timeout_ms < 1 || timeout_ms > 2 ** 31 - 1)
      throw new KeyholdError('INVALID_INPUT', 'timeout_ms must be a whole number of milliseconds from 1 on.');
    const createLimitedClient = (limit_ms: number) =>
      createClient<paths>({
        baseUrl,
        headers: { Authorization: `Bearer ${key}`, Accept: 'application/json' },
        fetch: (request) => send(request, limit_ms),
      });
    this.#api = createLimitedClient(timeout_ms);
    this.#verifying = createLimitedClient(Math.max(timeout_ms, VERIFY_TIMEOUT_MS));
    this.#checkHealth = () => send(new Request(`${baseUrl}/healthz`), timeout_ms);
  }

  async getPublicKey(): Promise<string> {
    return expectProperty(await this.#api.GET('/v1/public-key'), 'public_key').public_key;
  }

  async storeCredential(input: StoreInput): Promise<StoreOutput> {
    return expectProperty(
      await this.#api.PUT('/v1/credentials', { body: omitUndefined(input) }),
      'credential_id',
    );
  }

  async updateCredentials(input: UpdateInput): Promise<UpdateOutput> {
    return expectProperty(
      await this.#api.POST('/v1/credentials/update', { body: omitUndefined(input) }),
      'updated_fields',
    );
  }

  async getCredentialStatus(input: CredentialStatusInput): Promise<CredentialStatus> {
    const query = omitUndefined(input);
    // Without it the server would return a list.
    if (typeof query.service_id !== 'string' || query.service_id === '')
      throw new KeyholdError('INVALID_INPUT', 'service_id must be the id of a service.');
    const body = expectProperty(await this.#api.GET('/v1/credentials', { params: { query } }), 'status');
    if ('credentials' in body) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
    return body;
  }

  /** All credentials of a stack, newest first, 100 at most. */
  async listCredentials(
    input: Omit<StatusInput, 'service_id'> = {},
  ): Promise<{ credentials: readonly CredentialSummary[]; more: boolean }> {
    const query = omitUndefined(input);
    const body = expectProperty(await this.#api.GET('/v1/credentials', { params: { query } }), 'credentials');
    if (!('credentials' in body)) throw new KeyholdError('UPSTREAM', NOT_KEYHOLD);
    return body;
  }

  async deleteCredential(input: DeleteInput): Promise<void> {
    expectProperty(await this.#api.POST('/v1/credentials/delete', { body: omitUndefined(input) }), 'success');
  }

  async listServices(input: ListServicesInput = {}): Promise<readonly ListedService[]> {
    const query = omitUndefined(input);
    return expectProperty(await this.#api.GET('/v1/services', { params: { query } }), 'services').services;
  }

  async listServiceDefinitions(): Promise<readonly Service[]> {
    const { services } = expectProperty(await this.#api.GET('/v1/service-definitions'), 'services');
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
    // The server validates the action: it may know more actions than this version.
    const query = omitUndefined({ ...filter, limit, before }) as AuditQuery;
    return expectProperty(await this.#api.GET('/v1/audit', { params: { query } }), 'entries');
  }

  /** Reports no progress: the server does the work. */
  async verifyAudit(input: OrganizationOption = {}): Promise<AuditReport> {
    const { organization } = omitUndefined(input);
    const query = omitUndefined({ organization });
    return expectProperty(await this.#verifying.GET('/v1/audit/verify', { params: { query } }), 'findings');
  }

  async createKey(input: CreateKeyInput = {}): Promise<NewApiKey> {
    const { allowed_services, allowed_tools, ...rest } = omitUndefined(input);
    const permissions = { permissions: omitUndefined({ allowed_services, allowed_tools }) };
    return toNewKey(
      expectProperty(await this.#api.POST('/v1/api-keys', { body: { ...rest, ...permissions } }), 'key'),
    );
  }

  async listKeys(organization?: string): Promise<ApiKeyList> {
    const result = await this.#api.GET('/v1/api-keys', {
      params: { query: omitUndefined({ organization }) },
    });
    const more = result.response.headers.get('x-keyhold-more') === 'true';
    return { keys: expectProperty(result, 'length').map(toKeyInfo), more };
  }

  async rotateKey(id: string): Promise<NewApiKey> {
    const params = { path: { id: validKeyId(id) } };
    return toNewKey(expectProperty(await this.#api.POST('/v1/api-keys/{id}/rotate', { params }), 'key'));
  }

  async revokeKey(id: string): Promise<void> {
    const params = { path: { id: validKeyId(id) } };
    expectProperty(await this.#api.DELETE('/v1/api-keys/{id}', { params }), 'success');
  }

  async listUnits(organization?: string): Promise<readonly UnitInfo[]> {
    const query = omitUndefined({ organization });
    return expectProperty(await this.#api.GET('/v1/units', { params: { query } }), 'units').units;
  }

  async createUnit(name: string, organization?: string): Promise<UnitInfo> {
    return expectProperty(
      await this.#api.POST('/v1/units', { body: omitUndefined({ name, organization }) }),
      'id',
    );
  }

  /** Rejects if the server is unreachable or unhealthy. Sends no key. */
  async checkHealth(): Promise<void> {
    await this.#checkHealth();
  }

  /** Returns the user of the API key and the version of the server. */
  async whoAmI(): Promise<WhoAmI> {
    return expectProperty(await this.#api.GET('/v1/me'), 'scopes');
  }
}

/** Validates the URL and removes a trailing slash. */
function baseUrlOf(url: string | URL): string {
  try {
    const { origin, pathname } = parseServerUrl(String(url), 'url');
    return `${origin}${pathname}`.replace(/\/$/, '');
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    throw new KeyholdError(error.code, error.message, { reason: error.reason });
  }
}

/** Returns the body if it has `property`: JSON from a server other than Keyhold does not. */
function expectProperty<Data extends object>(
  { data, response }: { readonly data?: Data | undefined; readonly response: Response },
  property: string,
): Data {
  if (data !== undefined && property in data) return data;
  throw new KeyholdError('UPSTREAM', NOT_KEYHOLD, { status: response.status });
}

type Defined<Input> = { [Name in keyof Input]: Exclude<Input[Name], undefined> };

/** Removes properties that are `undefined`. Throws INVALID_INPUT for anything but an object. */
function omitUndefined<Input extends object>(input: Input): Defined<Input> {
  if (typeof input !== 'object' || input === null)
    throw new KeyholdError('INVALID_INPUT', 'The input must be an object.');
  return Object.fromEntries(
    Object.entries(input).filter(([, value]) => value !== undefined),
  ) as Defined<Input>;
}

/** Throws for anything but a UUID, which could be a key and must not get into a URL. */
function validKeyId(id: string): string {
  if (typeof id === 'string' && UUID_PATTERN.test(id)) return id;
  throw new KeyholdError('INVALID_INPUT', 'id must be the id of an API key: a UUID from listKeys.');
}

function toKeyInfo({ permissions, last_used: _, ...info }: components['schemas']['ApiKey']): ApiKeyInfo {
  return {
    ...info,
    allowed_services: permissions?.allowed_services ?? null,
    allowed_tools: permissions?.allowed_tools ?? null,
  };
}

function toNewKey({ key, ...shown }: components['schemas']['ApiKeyWithSecret']): NewApiKey {
  return { ...toKeyInfo(shown), key };
}
