/** Makes an HTTP request to a service with a stored credential, which the model never sees. */

import { defineTool } from '../src/contract/tool.ts';
import { CallInput, type CallInput as CallInputType, CallOutput } from '../src/contract/use/call.ts';
import { withConnectPage } from '../src/use/connect_page.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const EXAMPLES = [
  {
    service_id: 'github',
    path: '/repos/octo/app/issues',
    query: { state: 'open', per_page: 20 },
    select: '[].{number: number, title: title}',
  },
  { service_id: 'linear', method: 'POST', path: '/graphql', body: { query: '{ viewer { id name } }' } },
];

const DESCRIPTION = `Makes an HTTP request to the API of a service with the stored credential. Keyhold adds host and authentication; you give the path, as in the service's documentation, never a key. A status such as 404 is a result with ok: false and a hint; an error has the next step, and _meta has retry. Redirects are not followed: see location.
Long results are shortened: see truncated, then call with response_id and offset, or with select. For the next page call with the arguments in next. If a person must approve the request, the call fails with FORBIDDEN, reason approval_required, and a command with an id: give that command to the user, do not wait or poll, and repeat exactly the same call once the user has approved.
Examples:
${EXAMPLES.map((example) => JSON.stringify(example)).join('\n')}
Services: list_services.`;

const TEXT_MAX_CHARACTERS = 500;

export const call_service = defineTool<ToolContext, CallInputType, CallOutput>({
  name: 'call_service',
  title: 'Call a service',
  description: DESCRIPTION,
  input: CallInput,
  output: CallOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
  handle: async ({ calls, pages }, caller, input) => {
    const { output, image } = await withConnectPage(pages, input, () => calls.call(caller, input));
    return { structured: output, text: describe(output), image };
  },
});

/** Many clients show a model only this text, so that it has the body. */
function describe(output: CallOutput): string {
  const { dry_run, status, ok, body, binary, truncated, next, redacted = 0, hint, replayed } = output;
  if (dry_run !== undefined)
    return `Not sent: ${dry_run.method} ${dry_run.url}. ${dry_run.policy === 'allowed' ? 'The call is allowed; call_service without dry_run makes it.' : `${dry_run.policy} After that, call_service without dry_run makes the call.`}`;
  const lines = [
    `Status ${status}${ok ? '' : ', not ok'}${replayed ? ' (stored response; nothing was sent)' : ''}.`,
  ];
  if (hint !== undefined) lines.push(hint);
  if (truncated !== undefined) lines.push(describeTruncated(truncated));
  if (next !== undefined) lines.push(`Next page: call_service with ${JSON.stringify(next)}.`);
  if (redacted > 0) lines.push(`${redacted} secret values were replaced by [redacted].`);
  if (binary !== undefined)
    lines.push(`Content: ${binary.content_type}, ${binary.bytes} bytes, SHA-256 ${binary.sha256}.`);
  if (body !== undefined) lines.push(typeof body === 'string' ? body : JSON.stringify(body));
  return lines.join('\n');
}

function describeTruncated({
  items,
  total_chars,
  response_id,
  next_offset,
  keys,
}: NonNullable<CallOutput['truncated']>): string {
  const shown =
    items === undefined
      ? 'A part of the body'
      : `Items ${items.from + 1} to ${items.from + items.kept} of ${items.of}${items.path === '' ? '' : ` in ${items.path}`}`;
  const rest =
    next_offset === null
      ? ''
      : ` The rest: call_service with response_id "${response_id}" and offset ${next_offset}, or with response_id and select.`;
  const shape = keys === undefined ? '' : ` Shape: ${keys.join('; ').slice(0, TEXT_MAX_CHARACTERS)}.`;
  return `${shown}; ${total_chars} characters in all.${rest}${shape}`;
}
