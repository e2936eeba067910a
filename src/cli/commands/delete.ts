/** `keyhold delete`: deletes a credential for good, after a confirmation. */
import { Command } from 'commander';
import type { CredentialStatusInput, DeleteInput } from '../../contract/credential.ts';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { sameOptions } from '../terminal/next_command.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';

interface Options extends ConnectionOptions {
  readonly name?: string;
  readonly stack?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const MAY_EXIST: ReadonlySet<ErrorCode> = new Set(['CORRUPT', 'FORBIDDEN']);

export function deleteCommand(context: CliContext): Command {
  const command = new Command('delete')
    .description('Delete a credential and destroy its values, after a confirmation.')
    .argument('<service>', 'full id of the service')
    .option('--name <name>', 'which credential of the service')
    .option('--stack <stack>', 'the stack it is in (default: default)')
    .option('-y, --yes', 'skip the confirmation (required without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold delete linear', 'keyhold delete github --name work --yes'))
    .action((typed: string, options: Options) => remove(context, typed, options));
  return addServerOptions(command);
}

async function remove(context: CliContext, typed: string, options: Options): Promise<void> {
  const { promptConfirm, isTerminal } = await import('../terminal/prompt.ts');
  const connection = await connectVault(context, options);
  const catalogue = await connection.services();
  const selector = { name: options.name, stack_id: options.stack };
  const target = await connection.withVault('existing', (vault) =>
    findTarget(vault, catalogue, typed, selector, options),
  );
  if (options.yes !== true) {
    if (!isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'Not an interactive terminal. Use --yes to delete without a confirmation.',
      );
    }
    const which = options.name === undefined ? '' : ` "${options.name}"`;
    const where = options.stack === undefined ? '' : ` in the stack "${options.stack}"`;
    if (!(await promptConfirm(`Delete the credential${which} of ${target.name}${where}?`, context))) {
      return note(context, 'Nothing was deleted.');
    }
  }
  await connection.withVault('existing', (vault) =>
    deleteAt(vault, { service_id: target.slug, ...selector }, options),
  );
  if (options.json === true) return printJson(context, { success: true });
  await print(context, `Deleted the credential of ${target.name}.`);
}

/** Makes a NOT_FOUND after the fact read the same as one found before the confirmation prompt. */
async function deleteAt(vault: VaultClient, credential: DeleteInput, options: Options): Promise<void> {
  try {
    await vault.deleteCredential(credential);
  } catch (error) {
    const is_missing = error instanceof VaultError && error.code === 'NOT_FOUND';
    throw is_missing && error.reason === undefined ? notFoundError(options) : error;
  }
}

/**
 * The service, also if its definition was deleted and its credential still exists. Rejects any other argument before it can
 * get into the audit log: it may be a misplaced value.
 */
async function findTarget(
  vault: VaultClient,
  catalogue: ServiceCatalogue,
  typed: string,
  selector: { readonly name: string | undefined; readonly stack_id: string | undefined },
  options: Options,
): Promise<{ readonly slug: string; readonly name: string }> {
  const defined = catalogue.find(typed);
  if (defined !== undefined) {
    if (await exists(vault, { service_id: defined.slug, ...selector })) return defined;
    throw notFoundError(options);
  }
  const { credentials, more } = await vault.listCredentials(selector);
  const orphan = credentials.find(({ service_id }) => service_id === typed);
  if (orphan !== undefined) return { slug: orphan.service_id, name: orphan.service_name };
  const { SLUG_PATTERN } = await import('../../contract/service/texts.ts');
  // A list has 100 credentials at most, so the deletion itself reports whether there is one.
  if (more && SLUG_PATTERN.test(typed)) return { slug: typed, name: 'a removed service' };
  const { findService } = await import('./find_service.ts');
  return findService(catalogue, typed, { allow_prefix: false });
}

function notFoundError({ stack, url, keyFile }: Options): VaultError {
  const where = sameOptions({ stack, url, keyFile });
  return new VaultError('NOT_FOUND', `No such credential. \`keyhold status\`${where} lists the credentials.`);
}

/**
 * Whether the credential exists or may exist: a damaged one can still be deleted, and a write-only key cannot see any, so the
 * deletion itself reports the result.
 */
async function exists(vault: VaultClient, credential: CredentialStatusInput): Promise<boolean> {
  try {
    return (await vault.getCredentialStatus(credential)).status !== 'missing';
  } catch (error) {
    if (error instanceof VaultError && MAY_EXIST.has(error.code)) return true;
    throw error;
  }
}
