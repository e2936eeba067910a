/** `keyhold keys rotate` and `revoke`: what takes a key out of use. A key that is typed where its id goes stays here. */
import type { ApiKeyInfo, NewApiKey } from '../../../contract/api_key.ts';
import { VaultError } from '../../../contract/errors.ts';
import { UUID_PATTERN } from '../../../contract/patterns.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import type { VaultConnection } from '../../connect/vault_connection.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { whose } from './list.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

/** The id as it stands inside a key. */
const BARE_ID_PATTERN = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/i;

export async function rotateKey(context: CliContext, typed: string, options: Options): Promise<void> {
  const id = keyIdOf(typed);
  const connection = await connectVault(context, options);
  await printApiKey(
    context,
    'Rotated',
    await connection.withVault('existing', (vault) => vault.rotateKey(id)),
    options,
  );
}

/** Asks first. Without a terminal, throws INVALID_INPUT unless `--yes` says that it is meant. */
export async function revokeKey(
  context: CliContext,
  typed: string,
  options: Options & { readonly yes?: boolean },
): Promise<void> {
  const id = keyIdOf(typed);
  const connection = await connectVault(context, options);
  if (options.yes !== true) {
    const { promptConfirm, isTerminal } = await import('../../terminal/prompt.ts');
    if (!isTerminal(context)) {
      throw new VaultError(
        'INVALID_INPUT',
        'There is no terminal to ask in. Add --yes to revoke without being asked.',
      );
    }
    const known = await find(connection, id);
    const which = known === undefined ? `the API key ${id}` : `the API key ${id} ${whose(known)}`;
    if (!(await promptConfirm(`Revoke ${which}? What uses it stops working at once.`, context))) {
      return note(context, 'Nothing was revoked.');
    }
  }
  await connection.withVault('existing', (vault) => vault.revokeKey(id));
  if (options.json === true) return printJson(context, { success: true });
  await print(context, `Revoked the API key ${id}.`);
}

/** The key, where it is one of the caller's own organization. A key of another one can be revoked all the same. */
async function find(connection: VaultConnection, id: string): Promise<ApiKeyInfo | undefined> {
  const { keys } = await connection.withVault('existing', (vault) => vault.listKeys());
  return keys.find((key) => key.id === id);
}

/** The id, with or without its dashes. Throws before anything is sent or logged: what was typed may be a key. */
function keyIdOf(typed: string): string {
  const id = typed.replace(BARE_ID_PATTERN, '$1-$2-$3-$4-$5').toLowerCase();
  if (UUID_PATTERN.test(id)) return id;
  throw typed.startsWith('kh_')
    ? new VaultError(
        'INVALID_INPUT',
        'That is a key, or a part of one, and not its id. An argument can be seen by others and stays in the history of the shell: find its id with `keyhold keys list`, and rotate it.',
      )
    : new VaultError('INVALID_INPUT', 'Give the id of a key. `keyhold keys list` shows the ids.');
}

/** The only place that prints an API key: alone on standard output, so that a script can capture it, and only once. */
export async function printApiKey(
  context: CliContext,
  did: 'Made' | 'Rotated',
  new_key: NewApiKey,
  { json }: { readonly json?: boolean },
): Promise<void> {
  if (json === true) return printJson(context, new_key);
  const { key, ...info } = new_key;
  await note(context, `${did} the API key ${info.id} ${whose(info)}.\nIt may: ${info.scopes.join(', ')}.`);
  await print(context, key);
  await note(
    context,
    [
      'This is the only time that the key is shown. Put it where the program that uses it keeps its secrets, and paste it into no chat: whoever has it can do all that it may.',
      ...(did === 'Rotated' ? ['The key that was there before does not work any more.'] : []),
      `Next: KEYHOLD_API_KEY is where \`keyhold\` looks for it; \`keyhold keys revoke ${info.id}\` takes it out of use.`,
    ].join('\n'),
  );
}
