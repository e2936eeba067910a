/** `keyhold services remove`: removes the definition of a custom service. Its credentials stay in the vault. */
import { VaultError } from '../../../contract/errors.ts';
import { assertLocal } from '../../connect/server_option.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';

interface Options {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function removeService(
  context: CliContext,
  typed: string,
  { yes, json }: Options,
): Promise<void> {
  assertLocal(context.env, 'services remove', 'Run it on the machine of the server.');
  const [{ removeCustomService }, { findService, loadCatalogue }, { printable }, prompt] = await Promise.all([
    import('../../../services/add_service.ts'),
    import('../find_service.ts'),
    import('../../terminal/table.ts'),
    import('../../terminal/prompt.ts'),
  ]);
  const catalogue = await loadCatalogue(context);
  const service = await findService(catalogue, typed, { allow_prefix: false });
  const file_name = catalogue.customFileOf(service.slug);
  if (file_name === undefined)
    throw new VaultError('INVALID_INPUT', `${service.name} is a built-in service, which cannot be removed.`);
  if (yes !== true) {
    if (!prompt.isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'Not an interactive terminal. Use --yes to remove without a confirmation.',
      );
    }
    const question = `Remove the service ${printable(service.name)} (${service.slug})? Its credentials stay.`;
    if (!(await prompt.promptConfirm(question, context))) return note(context, 'Nothing was removed.');
  }
  removeCustomService(context.settings().services_folder, file_name);
  if (json === true) return printJson(context, { success: true });
  await print(
    context,
    `Removed ${printable(service.name)}. \`keyhold status\` shows its credentials, \`keyhold delete ${service.slug}\` deletes one.`,
  );
  await note(context, 'Restart a running `keyhold serve` or `keyhold mcp` to unload it.');
}
