/** `keyhold keys list`: lists API keys by their ids and never prints a key. */
import type { ApiKeyInfo } from '../../../contract/api_key.ts';
import { describePolicy } from '../../../contract/use/rules.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand } from '../../terminal/next_command.ts';
import { print, printJson } from '../../terminal/output.ts';
import { relativeTime } from '../../terminal/relative_time.ts';
import { table } from '../../terminal/table.ts';
import { type Paint, type Part, paintFor, type TerminalText } from '../../terminal/terminal_text.ts';

interface Options extends ConnectionOptions {
  readonly org?: string;
  readonly json?: boolean;
}

export async function listKeys(context: CliContext, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const { keys, more } = await connection.withVault('existing', (vault) => vault.listKeys(options.org));
  if (options.json === true) return printJson(context, { keys, more });
  if (keys.length === 0)
    return print(context, [
      'There are no API keys.',
      `Next: ${nextCommand(['keys', 'create', '--user', 'USER'], options)}`,
    ]);
  const text = await draw(keys, new Date(), paintFor(context));
  await print(context, more ? [text, 'There are more; these are the newest.'] : text);
}

function draw(keys: readonly ApiKeyInfo[], now: Date, paint: Paint): Promise<TerminalText> {
  const rows = keys.map((key) => [
    key.id,
    key.name ?? '',
    key.user,
    key.scopes.join(' '),
    restrictionsOf(key).join('; '),
    expiry(key, now, paint),
    key.last_used_at === null ? 'never' : relativeTime(key.last_used_at, now),
  ]);
  return table(['ID', 'NAME', 'USER', 'SCOPES', 'RESTRICTIONS', 'EXPIRES', 'LAST USED'], rows, paint);
}

function expiry({ expires_at }: ApiKeyInfo, now: Date, paint: Paint): Part {
  if (expires_at === null) return '';
  return Date.parse(expires_at) <= now.getTime()
    ? paint('red', 'expired')
    : expires_at.slice(0, 'YYYY-MM-DD'.length);
}

/** The name, user, restrictions and expiry of a key, to print after its id. */
export function describeKey({ name, user, organization, expires_at, ...rest }: ApiKeyInfo): string {
  return [
    `${name === null ? '' : `("${name}") `}of ${user} in ${organization}`,
    ...restrictionsOf(rest),
    ...(expires_at === null ? [] : [`expires ${expires_at}`]),
  ].join(', ');
}

/** The restrictions of a key in addition to its scopes. */
export function restrictionsOf({
  stack_id,
  allowed_services,
  allowed_tools,
  use_policy,
}: Pick<ApiKeyInfo, 'stack_id' | 'allowed_services' | 'allowed_tools' | 'use_policy'>): string[] {
  const policy = describePolicy(use_policy);
  return [
    ...(stack_id === null ? [] : [`only the stack ${stack_id}`]),
    ...(allowed_services === null ? [] : [`only ${allowed_services.join(', ') || 'no service'}`]),
    ...(allowed_tools === null ? [] : [`only the tools ${allowed_tools.join(', ') || '(none)'}`]),
    ...(policy === null ? [] : [`uses: ${policy}`]),
  ];
}
