/** `keyhold stacks create`, `rename` and `delete`. */
import { VaultError } from '../../../contract/errors.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand } from '../../terminal/next_command.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import type { StackOptions } from './options.ts';

export async function createStack(
  context: CliContext,
  stack_name: string,
  options: StackOptions & { readonly organizationOwned?: boolean },
): Promise<void> {
  const input = { stack_name, ...(options.organizationOwned === true ? { organization_owned: true } : {}) };
  const connection = await connectVault(context, options);
  const stack = await connection.withVault('new_or_existing', (vault) => vault.createStack(input));
  if (options.json === true) return printJson(context, stack);
  const next = nextCommand(['store', 'SERVICE', '--stack', stack.stack_id], options);
  await print(context, [`The stack ${stack.stack_name} is ${stack.stack_id}.`, `Next: ${next}`]);
}

export async function renameStack(
  context: CliContext,
  stack_id: string,
  stack_name: string,
  options: StackOptions,
): Promise<void> {
  const connection = await connectVault(context, options);
  const stack = await connection.withVault('existing', (vault) => vault.renameStack(stack_id, stack_name));
  if (options.json === true) return printJson(context, stack);
  await print(context, `The name is now ${stack.stack_name}.`);
}

export async function deleteStack(
  context: CliContext,
  stack_id: string,
  options: StackOptions & { readonly yes?: boolean },
): Promise<void> {
  const connection = await connectVault(context, options);
  if (options.yes !== true) {
    const { isTerminal, promptConfirm } = await import('../../terminal/prompt.ts');
    if (!isTerminal(context))
      throw new VaultError('INVALID_INPUT', 'Deleting a stack deletes its credentials. Add --yes.');
    const stacks = await connection.withVault('existing', (vault) => vault.listStacks());
    const found = stacks.find((stack) => stack.stack_id === stack_id);
    if (found === undefined) throw new VaultError('NOT_FOUND', 'No such stack. Run `keyhold stacks list`.');
    const services = found.services.length === 0 ? 'no services' : found.services.join(', ');
    const question = `Delete the stack ${found.stack_name} (${services}) with all credentials in it?`;
    if (!(await promptConfirm(question, context))) return note(context, 'Nothing was deleted.');
  }
  await connection.withVault('existing', (vault) => vault.deleteStack(stack_id));
  if (options.json === true) return printJson(context, { success: true });
  await print(context, 'Deleted the stack with all credentials in it.');
}
