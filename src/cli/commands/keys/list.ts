/** `keyhold keys list`: every key by its id, and never a key. */
import type { ApiKeyInfo } from '../../../contract/api_key.ts';
import { connectVault } from '../../connect/choose_connection.ts';
import type { ConnectionOptions } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { type Paint, paintFor, print, printJson } from '../../terminal/output.ts';
import { relativeTime } from '../../terminal/relative_time.ts';
import { printable, table } from '../../terminal/table.ts';
import { limitsOf } from './print_api_key.ts';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly json?: boolean;
}

export async function listKeys(context: CliContext, options: Options): Promise<void> {
  const access = await connectVault(context, options);
  const { keys, more } = await access.withVault('existing', (vault) => vault.listKeys(options.org));
  if (options.json === true) return printJson(context, { keys, more });
  if (keys.length === 0)
    return print(context, 'There are no API keys.\nNext: keyhold keys create --user USER');
  const text = await draw(keys, new Date(), paintFor(context));
  await print(context, more ? `${text}\nThere are more; these are the newest.` : text);
}

function draw(keys: readonly ApiKeyInfo[], now: Date, paint: Paint): Promise<string> {
  const rows = keys.map((key) => [
    key.id,
    printable(key.name ?? ''),
    printable(key.user),
    key.scopes.join(' '),
    limitsOf(key).join('; '),
    ends(key, now, paint),
    key.last_used_at === null ? 'never' : relativeTime(key.last_used_at, now),
  ]);
  return table(['ID', 'NAME', 'USER', 'MAY', 'LIMITS', 'ENDS', 'USED'], rows, paint);
}

function ends({ expires_at }: ApiKeyInfo, now: Date, paint: Paint): string {
  if (expires_at === null) return '';
  return Date.parse(expires_at) <= now.getTime()
    ? paint('red', 'ended')
    : expires_at.slice(0, 'YYYY-MM-DD'.length);
}
