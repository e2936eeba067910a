/**
 * `keyhold services remove`: removes the definition of a custom service. Its credentials stay in the vault. Also removes a
 * definition that cannot be loaded, by the name of its file: no other command works until it is fixed or removed.
 */
import { VaultError } from '../../../contract/errors.ts';
import type { ServiceCatalogue } from '../../../services/catalogue.ts';
import { mayVaultExist } from '../../connect/presence.ts';
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
  const [{ removeCustomService }, prompt] = await Promise.all([
    import('../../../services/add_service.ts'),
    import('../../terminal/prompt.ts'),
  ]);
  const { file_name, slug, name } = await findDefinition(context, typed);
  if (yes !== true) {
    if (!prompt.isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'Not an interactive terminal. Use --yes to remove without a confirmation.',
      );
    }
    const question = `Remove the service ${name} (${slug})? Its credentials stay.`;
    if (!(await prompt.promptConfirm(question, context))) return note(context, 'Nothing was removed.');
  }
  removeCustomService(context.settings().services_folder, file_name);
  await forgetApproval(context, slug);
  if (json === true) return printJson(context, { success: true });
  await print(
    context,
    `Removed ${name}. \`keyhold status\` shows its credentials, \`keyhold delete ${slug}\` deletes one.`,
  );
  await note(context, 'Restart a running `keyhold serve` or `keyhold mcp` to unload it.');
}

/** The service is removed even if its approval stays, such as without the passphrase of the vault. */
async function forgetApproval(context: CliContext, slug: string): Promise<void> {
  try {
    if (!mayVaultExist(context)) return;
    await context.withVault('no', (vault) => vault.definitions.forget(context.caller(), slug));
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    await note(context, [
      `Its approval could not be removed: ${error.message}`,
      'A file with the same content would be used again.',
    ]);
  }
}

async function findDefinition(
  context: CliContext,
  typed: string,
): Promise<{ file_name: string; slug: string; name: string }> {
  const { findService, loadCatalogue } = await import('../find_service.ts');
  let catalogue: ServiceCatalogue;
  try {
    catalogue = await loadCatalogue(context);
  } catch (error) {
    const { findCustomFile } = await import('../../../services/add_service.ts');
    const file_name = findCustomFile(context.settings().services_folder, typed);
    if (file_name === undefined) throw error;
    return { file_name, slug: typed, name: file_name };
  }
  const { slug, name } = await findService(catalogue, typed, { allow_prefix: false });
  const file_name = catalogue.customFileOf(slug);
  if (file_name === undefined)
    throw new VaultError('INVALID_INPUT', `${name} is a built-in service, which cannot be removed.`);
  return { file_name, slug, name };
}
