/** Reports the added and missing fields of one credential, or of all in a stack. Never decrypts a value. */
import * as z from 'zod';
import { describeAccessRequest } from '../src/contract/access_request.ts';
import { type Caller, DEFAULT_STACK } from '../src/contract/caller.ts';
import { CredentialStatus, CredentialSummary } from '../src/contract/credential.ts';
import { HANDLE_RETRY_AFTER_MS, HANDLE_STATES, StatusToolInput } from '../src/contract/handle.ts';
import { defineTool, type ToolResult } from '../src/contract/tool.ts';
import { parseInput } from '../src/contract/validation.ts';
import { connectPageHint } from '../src/use/connect_page.ts';
import { describeList, describeMissing, describeStored } from '../src/use/status_texts.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

/** The required properties of a list entry. The others are described once, for a single credential. */
const listed = CredentialSummary.pick({ service_id: true, service_name: true, name: true, status: true });
const ListedStatus = z.looseObject(listed.shape);

const StatusOutput = CredentialStatus.partial().extend({
  credentials: z
    .array(ListedStatus)
    .optional()
    .describe('Without service_id: each credential, newest first, with all fields above.'),
  handle_status: z.enum(HANDLE_STATES).optional().describe('With handle.'),
  retry_after_ms: z.int().optional(),
  access_request: z.looseObject({}).optional(),
  more: z.boolean().optional().describe('The stack has more than the 100 listed; ask for one service.'),
});
type StatusOutput = z.infer<typeof StatusOutput>;

export const get_credential_status = defineTool<ToolContext, StatusToolInput, StatusOutput>({
  name: 'get_credential_status',
  title: 'Check credentials',
  description:
    "Reports which fields of a service's credential are added or missing, when it was changed and by whom. Without service_id: every credential of the stack. With handle: whether the user has entered the values. Shows no values.",
  input: StatusToolInput,
  output: StatusOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault, pages }, caller, input) => {
    // Not validated yet: the input may be missing.
    const { service_id, handle } = { ...input };
    if (handle !== undefined) return describeHandle(vault, caller, parseInput(StatusToolInput, input));
    if (service_id === undefined) {
      const list = await vault.listCredentials(caller, input);
      return {
        structured: { credentials: [...list.credentials], more: list.more },
        text: describeList(list.credentials, list.more, input),
      };
    }
    const access = await vault.approvals.access.statusFor(caller, { ...input, service_id });
    if (access !== undefined)
      return { structured: { access_request: access }, text: describeAccessRequest(access) };
    const structured = await vault.status(caller, { ...input, service_id });
    const service = vault.services.get(service_id);
    const page = await connectPageHint(pages, service, structured.status, input);
    if (structured.credential_id !== null)
      return { structured, text: `${await describeStored(service, structured, input)}${page}` };
    const { credentials } = await vault.listCredentials(caller, { stack_id: input.stack_id });
    const others = credentials.filter((credential) => credential.service_id === service.slug);
    return { structured, text: `${await describeMissing(service, structured, others, input)}${page}` };
  },
});

/** Whether the user has entered the values; then also the status of the credential. */
async function describeHandle(
  vault: ToolContext['vault'],
  caller: Caller,
  { handle = '' }: StatusToolInput,
): Promise<ToolResult<StatusOutput>> {
  const { state, code, expires_at, service_id, stack_id, name } = await vault.handles.status(caller, handle);
  const handle_status = state;
  if (state === 'pending') {
    const text = `The user has not entered the values yet (code ${code}, until ${expires_at}). Call get_credential_status with this handle again, at most every ${HANDLE_RETRY_AFTER_MS / 1000} seconds.`;
    return { structured: { handle_status, expires_at, retry_after_ms: HANDLE_RETRY_AFTER_MS }, text };
  }
  if (state !== 'done') {
    const text =
      state === 'declined'
        ? 'The user declined; nothing was stored. Do not request it again unless the user wants it.'
        : 'The page has expired; nothing was stored. When the user is ready, call store_credential or update_credentials again for a new page.';
    return { structured: { handle_status }, text };
  }
  const same = { name: name ?? undefined, stack_id: stack_id === DEFAULT_STACK ? undefined : stack_id };
  const status = await vault.status(caller, { service_id, ...same });
  const service = vault.services.get(service_id);
  const text = `The user has entered the values for ${service.name}. ${await describeStored(service, status, same)}`;
  return { structured: { handle_status, ...status }, text };
}
