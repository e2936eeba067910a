/**
 * Whether a command founds an organization: a name that was mistyped makes one, and its key then sees nothing of what
 * was meant.
 */
import { VaultError } from '../../../contract/errors.ts';
import type { VaultClient } from '../../../contract/vault_client.ts';
import type { CliContext } from '../../context.ts';
import { note } from '../../terminal/output.ts';
import { printable } from '../../terminal/table.ts';

interface Options {
  readonly org?: string;
  readonly json?: boolean;
}

/** Runs `make`, which founds the organization `org` where there is none yet, and says so of one that it founded. */
export async function announceNewOrganization<Made>(
  context: CliContext,
  vault: VaultClient,
  { org, json }: Options,
  make: () => Promise<Made>,
): Promise<Made> {
  const is_new = org !== undefined && json !== true && (await isNew(vault, org));
  const made = await make();
  if (is_new) await note(context, `Made the organization ${printable(org)}.`);
  return made;
}

/** For certain: where the caller may not look, making it tells what is wrong. */
async function isNew(vault: VaultClient, organization: string): Promise<boolean> {
  try {
    await vault.listUnits(organization);
    return false;
  } catch (error) {
    return error instanceof VaultError && error.code === 'NOT_FOUND';
  }
}
