/** The credentials of a run: which ones it uses, and their values after the use is authorized and logged. */
import type { Caller } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { RUN_SERVICES_MAX } from '../../contract/limits.ts';
import type { OpenedUse, UsableCredential, UseRequest } from '../../vault/uses/use.ts';
import type { Vault } from '../../vault/vault.ts';
import type { AccessTokens } from '../access_tokens.ts';
import { hasVariables } from './variables.ts';

export interface Selection {
  /** Without it: all services of the stack that name variables. */
  readonly service_ids?: readonly string[] | undefined;
  readonly stack_id?: string | undefined;
  /** The name of each credential; without it, the credentials without a name. */
  readonly name?: string | undefined;
}

/**
 * Opens no value. Rejects with VaultError for a credential that is missing, incomplete or not usable, and without any. With
 * `tokens`, refreshes stored access tokens. Obtains none: a command that has a key file or a client secret does so itself.
 */
export async function findCredentials(
  vault: Vault,
  caller: Caller,
  selection: Selection,
  tokens?: AccessTokens,
): Promise<readonly UsableCredential[]> {
  const { stack_id, name } = selection;
  const service_ids = selection.service_ids ?? (await storedServices(vault, caller, selection));
  const found = new Map<string, UsableCredential>();
  for (const service_id of service_ids) {
    const stored = await vault.uses.find(caller, { service_id, stack_id, name });
    const credential =
      tokens === undefined || !hasAccessToken(stored) ? stored : await tokens.fresh(caller, stored);
    found.set(credential.service.slug, credential);
  }
  return [...found.values()];
}

function hasAccessToken({ service, fields }: UsableCredential): boolean {
  const field = service.oauth?.access_token_field;
  return field !== undefined && fields.includes(field);
}

async function storedServices(
  vault: Vault,
  caller: Caller,
  { stack_id, name }: Selection,
): Promise<string[]> {
  const { credentials, more } = await vault.listCredentials(caller, { stack_id, name });
  if (more) {
    throw new VaultError(
      'INVALID_INPUT',
      `The stack has more than ${RUN_SERVICES_MAX} credentials. Choose services with --service.`,
    );
  }
  const usable = credentials.filter((credential) => {
    const service = vault.services.find(credential.service_id);
    const is_selected = name !== undefined || credential.name === null;
    // A person switched an inactive one off, so it is not missing.
    return is_selected && credential.status !== 'inactive' && service !== undefined && hasVariables(service);
  });
  if (usable.length > 0) return usable.map(({ service_id }) => service_id).sort();
  throw new VaultError(
    'NOT_FOUND',
    'The stack has no credential that a command can use. Store one with `keyhold store SERVICE`. Nothing was started.',
  );
}

/**
 * Authorizes and logs the use of each credential, then opens its values. If one of them is refused, the others are not
 * used. Rejects with VaultError.
 */
export async function openCredentials(
  vault: Vault,
  caller: Caller,
  credentials: readonly UsableCredential[],
  request: UseRequest,
): Promise<ReadonlyMap<UsableCredential, OpenedUse>> {
  for (const credential of credentials) await vault.uses.authorize(caller, credential, request);
  // Together, so that their audit entries share one transaction.
  const results = await Promise.allSettled(
    credentials.map((credential) => vault.uses.begin(caller, credential, request)),
  );
  const uses = new Map<UsableCredential, OpenedUse>();
  credentials.forEach((credential, at) => {
    const result = results[at];
    if (result?.status === 'fulfilled') uses.set(credential, result.value);
  });
  const refused = results.find((result) => result.status === 'rejected');
  if (refused === undefined) return uses;
  for (const use of uses.values()) use.finish({ reason: 'not started: another credential was refused' });
  throw refused.reason;
}
