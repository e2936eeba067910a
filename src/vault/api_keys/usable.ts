/**
 * Rejects a new key that could do nothing: a key is shown once, and a typo in its restrictions would be noticed only where
 * it is used.
 */
import { DEFAULT_STACK, type Scope } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName } from '../../contract/name_rules.ts';
import { TOOL_SCOPES } from '../../contract/tool.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { StackRecords } from '../stacks/repository.ts';
import type { KeyMeta } from './policy.ts';

type Granted = Pick<KeyMeta, 'scopes' | 'stack_id' | 'allowed_tools'>;

/** Throws INVALID_INPUT for a key that could do nothing, and for a user of a new organization whose name is refused. */
export async function assertUsable(
  parts: VaultDependencies,
  granted: Granted,
  keyring: OrganizationKeyring | undefined,
  user: string,
): Promise<void> {
  if (keyring === undefined) assertNewName('user', user);
  assertUsableTools(granted);
  await assertUsableStack(parts, granted, keyring, user);
}

/** Throws INVALID_INPUT for an unknown tool, and for scopes with which none of the tools may be called. */
function assertUsableTools({ allowed_tools, scopes }: Granted): void {
  if (allowed_tools === null || allowed_tools.length === 0) return;
  const needed = allowed_tools.map((tool) => TOOL_SCOPES.get(tool));
  if (needed.includes(undefined)) {
    const known = [...TOOL_SCOPES.keys()].join(', ');
    throw new VaultError('INVALID_INPUT', `The key names a tool that does not exist. The tools: ${known}.`);
  }
  if (needed.some((scope) => scope !== undefined && scopes.includes(scope))) return;
  const lacking = [...new Set(needed)].join(', ');
  throw new VaultError(
    'INVALID_INPUT',
    `The key could call none of its tools: they need a scope that it does not have (${lacking}).`,
  );
}

/** The scopes with which a key that is limited to a missing stack can do nothing there. */
const NEEDS_STACK: ReadonlySet<Scope> = new Set(['credentials:read', 'credentials:use', 'stacks:write']);

/** Throws INVALID_INPUT for a stack that the user does not have, if the key could not create it by storing a credential. */
async function assertUsableStack(
  parts: VaultDependencies,
  { scopes, stack_id }: Granted,
  keyring: OrganizationKeyring | undefined,
  user: string,
): Promise<void> {
  if (stack_id === null || stack_id === DEFAULT_STACK || !scopes.every((scope) => NEEDS_STACK.has(scope)))
    return;
  if (keyring && (await new StackRecords(parts).find(keyring, user, stack_id))) return;
  throw new VaultError(
    'INVALID_INPUT',
    'The user has no such stack, so the key could do nothing. Correct its id, or create it first: storing a credential in a stack creates it.',
  );
}
