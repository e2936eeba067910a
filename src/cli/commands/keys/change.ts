/** `keyhold keys rotate` and `revoke`. Never sends or logs a key that is typed in place of its id. */
import type { ApiKeyInfo, NewApiKey } from '../../../contract/api_key.ts';
import { VaultError } from '../../../contract/errors.ts';
import { UUID_PATTERN } from '../../../contract/patterns.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import type { VaultConnection } from '../../connect/vault_connection.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand, sameOptions } from '../../terminal/next_command.ts';
import { note, print, printJson, writeOnce } from '../../terminal/output.ts';
import { printable, toJson } from '../../terminal/terminal_text.ts';
import { describeKey } from './list.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

/** The id without dashes, as it is written inside a key. */
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

/** Prompts for confirmation. Without a terminal, throws INVALID_INPUT unless `--yes` is set. */
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
        'Not an interactive terminal. Use --yes to revoke without a confirmation.',
      );
    }
    const known = await findKey(connection, id);
    const which = known === undefined ? `the API key ${id}` : `the API key ${id} ${describeKey(known)}`;
    if (!(await promptConfirm(`Revoke ${which}? Programs that use it stop working at once.`, context))) {
      return note(context, 'Nothing was revoked.');
    }
  }
  await connection.withVault('existing', (vault) => vault.revokeKey(id));
  if (options.json === true) return printJson(context, { success: true });
  await print(context, `Revoked the API key ${id}.`);
}

/** The key, if it is of the caller's own organization. Keys of another one can be revoked without it. */
async function findKey(connection: VaultConnection, id: string): Promise<ApiKeyInfo | undefined> {
  const { keys } = await connection.withVault('existing', (vault) => vault.listKeys());
  return keys.find((key) => key.id === id);
}

/** Parses the id, with or without dashes. Throws before anything is sent or logged: the argument may be a key. */
function keyIdOf(typed: string): string {
  const id = typed.replace(BARE_ID_PATTERN, '$1-$2-$3-$4-$5').toLowerCase();
  if (UUID_PATTERN.test(id)) return id;
  throw typed.startsWith('kh_')
    ? new VaultError(
        'INVALID_INPUT',
        'The argument is a key or a part of one, not its id. Other users can see arguments, and the shell history keeps them: find the id with `keyhold keys list`, and rotate the key.',
      )
    : new VaultError('INVALID_INPUT', 'Give the id of a key. `keyhold keys list` shows the ids.');
}

/** The only function that prints an API key: alone on standard output, so that a script can capture it, and only once. */
export async function printApiKey(
  context: CliContext,
  action: 'Created' | 'Rotated',
  new_key: NewApiKey,
  { url, keyFile, json }: ConnectionOptions & { readonly json?: boolean },
): Promise<void> {
  const { key, notice, ...info } = new_key;
  const revoke = nextCommand(['keys', 'revoke', info.id], { url, keyFile });
  const write = async (text: string) => {
    try {
      await writeOnce(context.stdout, `${text}\n`);
    } catch (cause) {
      throw new VaultError(
        'UNAVAILABLE',
        `The API key ${info.id} was ${action.toLowerCase()}, but the key could not be printed and cannot be shown again. Revoke it: \`keyhold keys revoke ${info.id}\`${sameOptions({ url, keyFile })}. Or rotate it to get another one.`,
        { cause },
      );
    }
  };
  if (json === true) return write(toJson(new_key));
  await note(context, [
    `${action} the API key ${info.id} ${describeKey(info)}.`,
    `Scopes: ${info.scopes.join(', ')}.`,
    `Credentials belong to a user: this key sees those of ${info.user} in ${info.organization} only, as all keys of that user do. A new user has none.`,
    ...(notice === undefined ? [] : [`Warning: ${notice}`]),
  ]);
  await write(printable(key));
  await note(context, [
    'The key is shown only once. Save it where the program that uses it keeps its secrets, and never paste it into a chat: anyone who has it can use its scopes.',
    ...(action === 'Rotated' ? ['The previous key no longer works.'] : []),
    `Next: set KEYHOLD_API_KEY to use it with \`keyhold\`; \`${revoke}\` revokes it.`,
  ]);
}
