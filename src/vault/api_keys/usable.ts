/**
 * Rejects a new key that could do nothing: a key is shown once, and a typo in its restrictions would be noticed only where
 * it is used.
 */
import { DEFAULT_STACK } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { assertNewName, findNameProblem } from '../../contract/name_rules.ts';
import { isGeneratedStackId } from '../../contract/stack.ts';
import { TOOL_SCOPES } from '../../contract/tool.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';
import { StackAccess } from '../stacks/access.ts';
import { StackRecords } from '../stacks/repository.ts';
import type { KeyMeta } from './policy.ts';

type Granted = Pick<KeyMeta, 'scopes' | 'stack_id' | 'allowed_tools' | 'allowed_services'>;

/**
 * Throws INVALID_INPUT for a key that could do nothing, and for a user of a new organization whose name is refused. Returns
 * what its creator should know, if anything.
 */
export async function assertUsable(
  parts: VaultDependencies,
  granted: Granted,
  keyring: OrganizationKeyring | undefined,
  user: string,
): Promise<string | undefined> {
  if (keyring === undefined) assertNewName('user', user);
  assertUsableTools(granted);
  return assertUsableStack(parts, granted, keyring, user);
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

/** The tools that create a missing stack by storing a credential in it. */
const CREATES_STACK: readonly string[] = ['store_credential', 'update_credentials'];

/** Reported with a key whose stack does not exist yet. Does not repeat the name of the stack, which may be a misplaced value. */
const STACK_NOTICE =
  'The user has no stack of this name yet; the first credential that is stored with this key creates it. If the name is a typo, revoke the key.';

/**
 * Throws INVALID_INPUT for a stack that the user neither has nor shares, unless the key can create it by storing a credential: the
 * first key of a new user may be limited to a stack, and only its user can create that. Returns a notice in this case.
 */
async function assertUsableStack(
  parts: VaultDependencies,
  granted: Granted,
  keyring: OrganizationKeyring | undefined,
  user: string,
): Promise<string | undefined> {
  const { stack_id } = granted;
  if (stack_id === null || stack_id === DEFAULT_STACK) return undefined;
  if (keyring && (await new StackRecords(parts).find(keyring, user, stack_id))) return undefined;
  const member = { user, scopes: new Set(granted.scopes) };
  if (
    keyring &&
    isGeneratedStackId(stack_id) &&
    (await new StackAccess(parts).ownerOf(keyring, member, stack_id))
  )
    return undefined;
  if (canCreateStack(granted, stack_id)) return STACK_NOTICE;
  throw new VaultError(
    'INVALID_INPUT',
    'The user has no such stack, and this key could not create it. Correct its id; or create the stack first with another key of the user: `keyhold store SERVICE --stack NAME`, or POST /v1/stacks and the id in its response. A key with the scopes credentials:write and stacks:write creates the stack of a new name when it stores a credential.',
  );
}

function canCreateStack({ scopes, allowed_tools, allowed_services }: Granted, stack_id: string): boolean {
  return (
    !isGeneratedStackId(stack_id) &&
    findNameProblem(stack_id) === undefined &&
    scopes.includes('credentials:write') &&
    scopes.includes('stacks:write') &&
    (allowed_tools === null || CREATES_STACK.some((tool) => allowed_tools.includes(tool))) &&
    allowed_services?.length !== 0
  );
}
