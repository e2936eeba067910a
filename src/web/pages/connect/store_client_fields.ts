/** Stores what a connection needs first, such as the id of the client that a person has registered at the provider. */
import type { Caller } from '../../../contract/caller.ts';
import type { ConnectDescription, ConnectInput } from '../../../contract/connection.ts';
import { VaultError } from '../../../contract/errors.ts';
import { readFieldValues } from '../../forms/read_fields.ts';
import type { PageParts } from '../../page.ts';

/** Stores the sent values, if there are any. Throws INVALID_INPUT for a field that a connection does not need. */
export async function storeClientFields(
  { vault }: Pick<PageParts, 'vault'>,
  caller: Caller,
  { service_id, stack_id, name }: ConnectInput,
  { fields }: ConnectDescription,
  sent: FormData,
): Promise<void> {
  const credentials = await readFieldValues(sent);
  const given = Object.keys(credentials);
  if (given.length === 0) return;
  if (given.some((id) => !fields.some(({ field_id }) => field_id === id)))
    throw new VaultError('INVALID_INPUT', 'This page stores only the fields that a connection needs.');
  await vault.update(caller, { service_id, stack_id, name, credentials });
}
