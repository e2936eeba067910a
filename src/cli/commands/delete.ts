/** `keyhold delete`: removes a credential for good, once somebody has said that they mean it. */
import { Command } from 'commander';
import type { CredentialStatusInput, DeleteInput } from '../../contract/credential.ts';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';

interface Options extends ConnectionOptions {
  readonly name?: string;
  readonly stack?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const MAY_BE_THERE: ReadonlySet<ErrorCode> = new Set(['CORRUPT', 'FORBIDDEN']);

export function deleteCommand(context: CliContext): Command {
  const command = new Command('delete')
    .description('Delete a credential and destroy its values. Asks first.')
    .argument('<service>', 'id of the service, whole; a half-typed one is only offered')
    .option('--name <name>', 'which credential of the service')
    .option('--stack <stack>', 'the stack it is in (default: default)')
    .option('-y, --yes', 'do not ask (needed without a terminal)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('keyhold delete linear', 'keyhold delete github --name work --yes'))
    .action((typed: string, options: Options) => remove(context, typed, options));
  return addServerOptions(command);
}

async function remove(context: CliContext, typed: string, options: Options): Promise<void> {
  const { promptConfirm, isTerminal } = await import('../terminal/prompt.ts');
  const connection = await connectVault(context, options);
  const catalogue = await connection.services();
  const place = { name: options.name, stack_id: options.stack };
  const target = await connection.withVault('existing', (vault) =>
    findTarget(vault, catalogue, typed, place),
  );
  if (options.yes !== true) {
    if (!isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'There is no terminal to ask in. Add --yes to delete without being asked.',
      );
    }
    const which = options.name === undefined ? '' : ` "${options.name}"`;
    const where = options.stack === undefined ? '' : ` in the stack "${options.stack}"`;
    if (!(await promptConfirm(`Delete the credential${which} of ${target.name}${where}?`, context))) {
      return note(context, 'Nothing was deleted.');
    }
  }
  await connection.withVault('existing', (vault) => deleteAt(vault, { service_id: target.slug, ...place }));
  if (options.json === true) return printJson(context, { success: true });
  await print(context, `Deleted the credential of ${target.name}.`);
}

/** Says of what is not there the same as where it could be looked for before. */
async function deleteAt(vault: VaultClient, place: DeleteInput): Promise<void> {
  try {
    await vault.deleteCredential(place);
  } catch (error) {
    const is_not_there = error instanceof VaultError && error.code === 'NOT_FOUND';
    throw is_not_there && error.reason === undefined ? notThere() : error;
  }
}

/**
 * The service, also one whose definition is gone while its credential is still there. Anything else is refused here,
 * before it can get into the audit log: it may be a value in the wrong place.
 */
async function findTarget(
  vault: VaultClient,
  catalogue: ServiceCatalogue,
  typed: string,
  place: { readonly name: string | undefined; readonly stack_id: string | undefined },
): Promise<{ readonly slug: string; readonly name: string }> {
  const defined = catalogue.find(typed);
  if (defined !== undefined) {
    // Nobody should be asked about what is not there.
    if (await isThere(vault, { service_id: defined.slug, ...place })) return defined;
    throw notThere();
  }
  const { credentials } = await vault.listCredentials(place);
  const left = credentials.find(({ service_id }) => service_id === typed);
  if (left !== undefined) return { slug: left.service_id, name: left.service_name };
  const { findService } = await import('./find_service.ts');
  return findService(catalogue, typed, { allow_prefix: false });
}

function notThere(): VaultError {
  return new VaultError('NOT_FOUND', 'There is no such credential. `keyhold status` shows what there is.');
}

/**
 * A damaged credential is there as well: deleting it is what can still be done about it. What a key that only writes
 * may not see may be there: the deleting tells.
 */
async function isThere(vault: VaultClient, place: CredentialStatusInput): Promise<boolean> {
  try {
    return (await vault.getCredentialStatus(place)).status !== 'missing';
  } catch (error) {
    if (error instanceof VaultError && MAY_BE_THERE.has(error.code)) return true;
    throw error;
  }
}
