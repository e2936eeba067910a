/** `keyhold keys create`: validates the options strictly, so that a typo never widens what a key may do. */
import type { CreateKeyInput } from '../../../contract/api_key.ts';
import { SCOPES, type Scope } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { VaultClient } from '../../../contract/vault_client.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { parseExpiry } from '../../terminal/expiry.ts';
import { note } from '../../terminal/output.ts';
import type { UsePolicyOptions } from '../../use_policy/options.ts';
import { parseUsePolicy } from '../../use_policy/parse.ts';
import { printApiKey } from './change.ts';

export interface CreateOptions extends ConnectionOptions, UsePolicyOptions {
  readonly org?: string;
  readonly user?: string;
  readonly unit?: string;
  readonly name?: string;
  readonly scopes?: string;
  readonly stack?: string;
  readonly services?: string;
  readonly tools?: string;
  readonly expires?: string;
  readonly json?: boolean;
}

export async function createKey(context: CliContext, options: CreateOptions): Promise<void> {
  const input: CreateKeyInput = {
    organization: options.org,
    user: options.user,
    unit: options.unit,
    name: options.name,
    scopes: options.scopes === undefined ? undefined : parseScopes(options.scopes),
    stack_id: options.stack,
    allowed_services: parseList('--services', options.services),
    allowed_tools: parseList('--tools', options.tools),
    use_policy: parseUsePolicy(options, new Date()),
    expires_at: options.expires === undefined ? undefined : parseExpiry(options.expires, new Date()),
  };
  const connection = await connectVault(context, options);
  const key = await connection.withVault('new_or_existing', (vault) =>
    announceNewOrganization(context, vault, options, () => vault.createKey(input)),
  );
  await printApiKey(context, 'Created', key, options);
}

function parseScopes(text: string): Scope[] {
  return (parseList('--scopes', text) ?? []).map((word) => {
    const scope = SCOPES.find((known) => known === word);
    if (scope !== undefined) return scope;
    throw new VaultError(
      'INVALID_INPUT',
      `--scopes takes one or more of these, with commas: ${SCOPES.join(', ')}.`,
    );
  });
}

function parseList(option: string, text: string | undefined): string[] | undefined {
  const words = text?.split(',').map((word) => word.trim());
  if (words === undefined || words.every((word) => word !== '')) return words;
  throw new VaultError('INVALID_INPUT', `${option} takes a list with commas, without empty items.`);
}

/** Runs `create` and reports a new organization: `--org` creates a missing one, so a typo would go unnoticed. */
export async function announceNewOrganization<Created>(
  context: CliContext,
  vault: VaultClient,
  { org, json }: Pick<CreateOptions, 'org' | 'json'>,
  create: () => Promise<Created>,
): Promise<Created> {
  const is_new = org !== undefined && json !== true && (await isNewOrganization(vault, org));
  const created = await create();
  if (is_new) await note(context, `Created the organization ${org}.`);
  return created;
}

/** False if the caller may not look; `create` then reports the error. */
async function isNewOrganization(vault: VaultClient, organization: string): Promise<boolean> {
  try {
    await vault.listUnits(organization);
    return false;
  } catch (error) {
    return error instanceof VaultError && error.code === 'NOT_FOUND';
  }
}
