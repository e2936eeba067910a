/**
 * The library: a vault inside your own process, for agent frameworks and programs that embed Keyhold.
 *
 * ```ts
 * import { openVault } from 'keyhold';
 * const vault = await openVault();
 * await vault.storeCredential({ service_id: 'linear', credential_type: 'api_key', credential_value: key });
 * (await vault.getCredentialStatus({ service_id: 'linear' })).required_credentials_added; // true
 * await vault.close();
 * ```
 */
import { resolve } from 'node:path';
import * as z from 'zod';
import packageJson from '../package.json' with { type: 'json' };
import { TOOLS } from '../tools/catalogue.ts';
import { compose } from './app/compose.ts';
import { type QuotaLimits, SEALED_VALUE_AGE_MS } from './contract/limits.ts';
import type { SealingKey } from './contract/sealed_value.ts';
import { Secret } from './contract/secret.ts';
import type { ToolAnnotations, ToolResult } from './contract/tool.ts';
import type { PersonRequests, VaultClient } from './contract/vault_client.ts';
import { findAccessRequest, requestAccess } from './use/access_requests.ts';
import { createHandle, pollHandle } from './use/handle_results.ts';
import { localClient } from './vault/local_client.ts';

export type { AccessRequest, RequestAccessInput } from './contract/access_request.ts';
export type {
  ApiKeyInfo,
  ApiKeyList,
  CreateKeyInput,
  NewApiKey,
  UnitInfo,
  UserInfo,
  UserList,
} from './contract/api_key.ts';
export type { Approval, ApprovalChoiceInput, ApprovalList } from './contract/approval.ts';
export type {
  AuditEntry,
  AuditFilter,
  AuditFinding,
  AuditPage,
  AuditReport,
  UseCounts,
} from './contract/audit.ts';
export type {
  CredentialStatus,
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
} from './contract/credential.ts';
export { type ErrorCode, type ErrorReason, VaultError } from './contract/errors.ts';
export type { HandleInput, PendingHandle, PolledHandle } from './contract/handle.ts';
export type { QuotaLimits } from './contract/limits.ts';
export type { SealingKey } from './contract/sealed_value.ts';
export type { Service } from './contract/service/service.ts';
export type { StackSummary } from './contract/stack.ts';
export type { CallInput, CallOutput, ServiceStream } from './contract/use/call.ts';
export type { UsePolicy } from './contract/use/policy.ts';
export type { UseMethod } from './contract/use/rules.ts';
export type { TestInput, TestOutput } from './contract/use/test.ts';
export type { LastTest, TestReason, TestResult } from './contract/use/test_result.ts';
export type {
  OrganizationOption,
  PersonRequests,
  VaultClient,
  VerifyProgress,
} from './contract/vault_client.ts';

/** Each option overrides the environment variable that it names. */
export interface OpenOptions {
  /** KEYHOLD_HOME: the folder of all files. */
  readonly home?: string;
  /** KEYHOLD_STORE: `sqlite:PATH`. */
  readonly store?: string;
  /** KEYHOLD_ROOT_KEY: `file:PATH`, `env:NAME` or `passphrase`. */
  readonly root_key?: string;
  /** KEYHOLD_PASSPHRASE, for the root key source `passphrase`. */
  readonly passphrase?: string;
  /** `false`: reject if there is no vault, instead of creating one. */
  readonly create?: boolean;
  /** The quota of a user. Default: 10,000 credentials, and 256 MiB of values, encrypted. */
  readonly quota?: QuotaLimits;
}

/** A tool for agent frameworks: its description for the model, and the function to call. */
export interface VaultTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** JSON Schema 2020-12. */
  readonly input_schema: Record<string, unknown>;
  readonly annotations: ToolAnnotations;
  /** Rejects with VaultError. */
  call(input: unknown): Promise<ToolResult<unknown>>;
}

/** An open vault, used as the local user. `KeyholdClient` of `keyhold/client` has the same methods for a server. */
export interface OpenedVault extends VaultClient, PersonRequests {
  /** The key that `sealValue` seals to. */
  readonly public_key: string;
  /** The tools that `keyhold mcp` serves, for frameworks that take tools directly. */
  readonly tools: readonly VaultTool[];
  close(): Promise<void>;
}

/** Opens the vault that the options and the environment name, or creates it. Rejects with VaultError. */
export async function openVault(options: OpenOptions = {}): Promise<OpenedVault> {
  const { env, promptSecret } = toComposeOptions(options);
  const app = compose({ env, promptSecret, now: () => new Date(), quota: options.quota });
  const vault = await app.openVault(options.create === false ? 'no' : 'if_new', 'library');
  const calls = app.calls(vault);
  const tests = app.tests(vault);
  const pages = app.pages(vault, packageJson.version);
  const caller = () => app.caller('library');
  return {
    ...localClient(vault, caller, calls, tests),
    createHandle: (input) => createHandle({ vault, pages }, caller(), input),
    getHandle: (handle) => pollHandle({ vault }, caller(), handle),
    declineHandle: (handle) => vault.handles.decline(caller(), handle),
    requestAccess: (input) => requestAccess({ vault, pages }, caller(), input),
    getAccessRequest: (input) => findAccessRequest({ vault, pages }, caller(), input),
    public_key: await vault.publicKey(caller()),
    tools: TOOLS.map((tool) => ({
      name: tool.name,
      title: tool.title,
      description: tool.description,
      input_schema: z.toJSONSchema(tool.input, { io: 'input' }),
      annotations: tool.annotations,
      call: (input) => tool.call({ vault, calls, tests, pages }, caller(), input),
    })),
    close: async () => {
      await pages.close();
      await vault.close();
      await app.closeEgress();
    },
  };
}

/** A value to seal: for a field of a service, until a time. */
export interface SealOptions {
  /** Any id of the service. */
  readonly service: string;
  /** The id of the field, as `listServices` returns it. */
  readonly field: string;
  /** The user whose credential it will be. Default: the user of the key. */
  readonly user?: string;
  /** ISO 8601 with an offset or Z, at most 30 days from now. Default: 24 hours from now. */
  readonly expires_at?: string;
}

/**
 * Seals a value for one use in the given field, as text that may pass through a model. `key` is what `getSealingKey` of a
 * vault or of a `KeyholdClient` returns. Rejects with VaultError.
 */
export async function sealValue(key: SealingKey, options: SealOptions, value: string): Promise<string> {
  const { sealValue: seal } = await import('./crypto/sealed_value.ts');
  const { systemRandom } = await import('./crypto/random.ts');
  const { loadSodium } = await import('./crypto/sodium.ts');
  const expires_at = options.expires_at ?? new Date(Date.now() + SEALED_VALUE_AGE_MS).toISOString();
  const { public_key, organization, user } = { ...key, ...(options.user && { user: options.user }) };
  const bound = { organization, user, service: options.service, field: options.field, expires_at };
  return seal(await loadSodium(), systemRandom, public_key, bound, value);
}

function toComposeOptions({ home, store, root_key, passphrase }: OpenOptions) {
  // Relative to the working directory of the program, unlike the setting.
  const folder = home === undefined || /^~|^\s*$/.test(home) ? home : resolve(home);
  const given = { KEYHOLD_HOME: folder, KEYHOLD_STORE: store, KEYHOLD_ROOT_KEY: root_key };
  const env = {
    ...process.env,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  // Not in the environment, which programs print.
  const secret = passphrase === undefined ? undefined : new Secret(passphrase);
  if (secret !== undefined) delete env.KEYHOLD_PASSPHRASE;
  return { env, promptSecret: async () => secret };
}
