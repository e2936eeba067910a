/** The credentials and variables of `keyhold run`. Opens no value. Messages never repeat an argument: it may be a value. */
import type { Caller } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import { RUN_SERVICES_MAX } from '../../../contract/limits.ts';
import type { AccessTokens } from '../../../use/access_tokens.ts';
import { findCredentials } from '../../../use/run/credentials.ts';
import { planVariables, type Variable } from '../../../use/run/variables.ts';
import type { UsableCredential } from '../../../vault/uses/use.ts';
import type { Vault } from '../../../vault/vault.ts';
import { findService } from '../find_service.ts';

export interface RunOptions {
  readonly service?: string;
  readonly stack?: string;
  readonly name?: string;
  readonly raw?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export interface RunPlan {
  readonly credentials: readonly UsableCredential[];
  readonly variables: readonly Variable<UsableCredential>[];
}

/** `tokens`: of the run; absent if nothing runs. */
export async function planRun(
  vault: Vault,
  caller: Caller,
  options: RunOptions,
  tokens?: AccessTokens,
): Promise<RunPlan> {
  const selection = {
    service_ids: await serviceIds(vault, options.service),
    stack_id: options.stack,
    name: options.name,
  };
  const credentials = await findCredentials(vault, caller, selection, tokens);
  return { credentials, variables: planVariables(credentials) };
}

/** Finds the services before the vault does, which would log the argument. */
async function serviceIds(vault: Vault, list: string | undefined): Promise<string[] | undefined> {
  if (list === undefined) return undefined;
  const typed = list.split(',').map((id) => id.trim());
  if (typed.includes('') || typed.length > RUN_SERVICES_MAX) {
    throw new VaultError(
      'INVALID_INPUT',
      `--service takes ids of services with commas between them, ${RUN_SERVICES_MAX} at most.`,
    );
  }
  const found: string[] = [];
  for (const id of typed) found.push((await findService(vault.services, id, { allow_prefix: false })).slug);
  return found;
}
