/**
 * Updates a credential. Where a field decides where stored secrets are sent, a person at the machine of the vault may change
 * it without the secrets, after a confirmation that shows the destination. A server never accepts that.
 */
import type { UpdateInput, UpdateOutput } from '../../contract/credential.ts';
import { VaultError } from '../../contract/errors.ts';
import type { ApprovedDestination } from '../../vault/credentials/changes.ts';
import type { CliContext } from '../context.ts';
import { note } from '../terminal/output.ts';
import type { ProtectOption } from './protect_option.ts';
import type { VaultConnection } from './vault_connection.ts';

/** `undefined` if the person declined; nothing was changed then. */
export async function updateDestination(
  context: CliContext,
  connection: VaultConnection,
  input: UpdateInput,
  { yes, protect }: ProtectOption & { readonly yes?: boolean | undefined },
  update: () => Promise<UpdateOutput>,
): Promise<UpdateOutput | undefined> {
  try {
    return await update();
  } catch (error) {
    const is_refused = error instanceof VaultError && error.reason === 'destination_changed';
    if (!is_refused || connection.withLocalVault === undefined) throw error;
  }
  const { withLocalVault } = connection;
  const { bound, next } = await withLocalVault((vault) => vault.previewDestination(context.caller(), input));
  if (yes !== true) {
    const { isTerminal, promptConfirm } = await import('../terminal/prompt.ts');
    await note(context, [
      'This decides where the stored secrets are sent.',
      `  bound to  ${describeDestination(bound)}`,
      `  would be  ${describeDestination(next)}`,
    ]);
    if (!isTerminal(context)) {
      const message =
        'Nothing was changed: not an interactive terminal. Use --yes to approve where the secrets are sent.';
      throw new VaultError('INVALID_INPUT', message, { reason: 'destination_changed' });
    }
    if (!(await promptConfirm('Approve?', context))) {
      await note(context, 'Nothing was changed.');
      return undefined;
    }
  }
  const options = { approved_destination: next, protect };
  return withLocalVault((vault) => vault.update(context.caller(), input, options));
}

/** Origins, or the fields of a server that is not used over HTTP. */
export function describeDestination(destination: ApprovedDestination): string {
  if (destination === null) return 'nowhere: a field is missing';
  const { origins, fields } = destination;
  if (origins.length > 0) return origins.join(', ');
  return (
    Object.entries(fields)
      .map(([id, value]) => `${id} ${value}`)
      .join(', ') || 'nowhere'
  );
}
