/** The one place where an API key is shown: alone on standard output, so that a script can take it, and only once. */
import type { ApiKeyInfo, NewApiKey } from '../../../contract/api_key.ts';
import type { CliContext } from '../../context.ts';
import { note, print, printJson } from '../../terminal/output.ts';
import { printable } from '../../terminal/table.ts';

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

/** What a key is called, whom it stands for, and what it is held to, behind its id. */
export function whose({ name, user, organization, expires_at, ...rest }: ApiKeyInfo): string {
  return [
    `${name === null ? '' : `("${printable(name)}") `}of ${printable(user)} in ${printable(organization)}`,
    ...limitsOf(rest),
    ...(expires_at === null ? [] : [`ends ${expires_at}`]),
  ].join(', ');
}

/** What a key is held to, besides its scopes. */
export function limitsOf({
  stack_id,
  allowed_services,
  allowed_tools,
}: Pick<ApiKeyInfo, 'stack_id' | 'allowed_services' | 'allowed_tools'>): string[] {
  return [
    ...(stack_id === null ? [] : [`only the stack ${printable(stack_id)}`]),
    ...(allowed_services === null ? [] : [`only ${printable(allowed_services.join(', ') || 'no service')}`]),
    ...(allowed_tools === null ? [] : [`only the tools ${printable(allowed_tools.join(', ') || '(none)')}`]),
  ];
}
