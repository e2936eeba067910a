/** Validates commands that are set as the sources of values. A command runs as the user of Keyhold, so only that user may set one. */
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import { parseInput } from '../../contract/validation.ts';
import { CommandSource, commandValue } from './value_source.ts';

/**
 * The commands as they are stored, by field id. Throws FORBIDDEN for every caller except the local command line, and
 * INVALID_INPUT for a field that is unknown or not secret: a host is fixed when it is stored.
 */
export function checkCommands(
  caller: Caller,
  service: Service,
  commands: ReadonlyMap<string, CommandSource>,
): Map<string, Secret> {
  if (commands.size > 0 && !isLocalCommandLine(caller))
    throw new VaultError('FORBIDDEN', 'A command can be set on the local command line only.');
  const checked = new Map<string, Secret>();
  for (const [field_id, command] of commands) {
    const field = service.fields.find((one) => one.field_id === field_id);
    if (field?.secret !== true) {
      const secret_ids = service.fields.filter(({ secret }) => secret).map((one) => one.field_id);
      throw new VaultError(
        'INVALID_INPUT',
        `Only a secret field can have a command. Those of ${service.name}: ${secret_ids.join(', ')}.`,
      );
    }
    checked.set(field_id, commandValue(parseInput(CommandSource, command)));
  }
  return checked;
}
