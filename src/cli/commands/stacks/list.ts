/** `keyhold stacks list` and `show`. */
import type { StackSummary } from '../../../contract/stack.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { print, printJson } from '../../terminal/output.ts';
import { paintFor } from '../../terminal/terminal_text.ts';
import type { StackOptions } from './options.ts';

export async function listStacks(context: CliContext, options: StackOptions): Promise<void> {
  const connection = await connectVault(context, options);
  const stacks = await connection.withVault('existing', (vault) => vault.listStacks());
  if (options.json === true) return printJson(context, { stacks });
  const { table } = await import('../../terminal/table.ts');
  const rows = stacks.map((stack) => [
    stack.stack_id,
    stack.stack_name === stack.stack_id ? '' : stack.stack_name,
    stack.services.join(', '),
    sharingOf(stack),
    stack.updated_at,
  ]);
  const header = ['STACK', 'NAME', 'SERVICES', 'SHARING', 'CHANGED'];
  await print(context, await table(header, rows, paintFor(context)));
}

export async function showStack(context: CliContext, stack: string, options: StackOptions): Promise<void> {
  const connection = await connectVault(context, options);
  const shares = await connection.withVault('existing', (vault) => vault.listStackShares(stack));
  if (options.json === true) return printJson(context, { shares });
  if (shares.length === 0) return print(context, 'This stack is not shared.');
  const { table } = await import('../../terminal/table.ts');
  const rows = shares.map(({ user, unit_name, role, shared_by, shared_at }) => [
    user ?? '',
    unit_name ?? '',
    role,
    shared_by,
    shared_at,
  ]);
  await print(context, await table(['USER', 'UNIT', 'ROLE', 'SHARED BY', 'SINCE'], rows, paintFor(context)));
}

/** The owner of another's stack with the caller's role, or the number of shares of an own one. */
function sharingOf({ owner, role, shared_with = 0 }: StackSummary): string {
  if (role !== undefined && role !== 'owner') return `${role}, of ${owner}`;
  const of_organization = owner?.startsWith('@') === true ? 'of the organization' : '';
  const shares = shared_with === 0 ? '' : `${shared_with} ${shared_with === 1 ? 'share' : 'shares'}`;
  return [of_organization, shares].filter((text) => text !== '').join(', ');
}
