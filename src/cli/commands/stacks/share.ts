/** `keyhold stacks share` and `unshare`. */
import { ShareInput, UnshareInput } from '../../../contract/stack.ts';
import { parseInput } from '../../../contract/validation.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import type { GranteeOptions } from './options.ts';

export async function shareStack(
  context: CliContext,
  stack_id: string,
  options: GranteeOptions & { readonly role: string },
): Promise<void> {
  const { user, unit, role } = options;
  const input = parseInput(ShareInput, { user, unit, role }, 'the share');
  const connection = await connectVault(context, options);
  const share = await connection.withVault('existing', (vault) => vault.shareStack(stack_id, input));
  if (options.json === true) return printJson(context, share);
  const grantee = share.user === null ? `the unit ${share.unit_name}` : share.user;
  await print(context, `Shared with ${grantee}, role ${share.role}.`);
}

export async function unshareStack(
  context: CliContext,
  stack_id: string,
  options: GranteeOptions,
): Promise<void> {
  const { user, unit } = options;
  const input = parseInput(UnshareInput, { user, unit }, 'the share');
  const connection = await connectVault(context, options);
  await connection.withVault('existing', (vault) => vault.unshareStack(stack_id, input));
  if (options.json === true) return printJson(context, { success: true });
  await print(context, 'Ended the share.');
}
