/** The result of a tool that needs a value which the caller did not give: a page on which the user enters it. */
import * as z from 'zod';
import type { Caller } from '../contract/caller.ts';
import { HANDLE_RETRY_AFTER_MS, type HandleInput, type NewHandle } from '../contract/handle.ts';
import { handleUrl } from '../contract/pages.ts';
import type { ToolResult } from '../contract/tool.ts';
import type { ToolContext } from './tool_context.ts';

/** The properties of such a result, for the output schema of a tool. */
export const pendingInputShape = {
  url: z.string(),
  code: z.string(),
  handle: z.string(),
  expires_at: z.string(),
  retry_after_ms: z.int(),
};

const PendingUserInput = z.strictObject({ status: z.literal('pending_user_input'), ...pendingInputShape });
export type PendingUserInput = z.infer<typeof PendingUserInput>;

/** Creates a handle. Never waits for the person. */
export async function requestValues(
  { vault, pages }: ToolContext,
  caller: Caller,
  input: HandleInput,
): Promise<{ readonly pending: PendingUserInput; readonly created: NewHandle } & Rest> {
  const created = await vault.handles.create(caller, input);
  const { handle, code, expires_at, service_name, fields } = created;
  const base_url = await pages.baseUrl().catch(async (error: unknown) => {
    await vault.handles.decline(caller, handle);
    throw error;
  });
  const url = handleUrl(base_url, handle);
  const pending: PendingUserInput = {
    status: 'pending_user_input',
    url,
    code,
    handle,
    expires_at,
    retry_after_ms: HANDLE_RETRY_AFTER_MS,
  };
  const text = [
    `The user enters ${fields.join(', ')} for ${service_name} on a page, so that you never see it. Give the user this URL, and the code ${code}, which the page shows too:`,
    url,
    `Then call get_credential_status with handle "${handle}", at most every ${HANDLE_RETRY_AFTER_MS / 1000} seconds. The page expires at ${expires_at}.`,
  ].join('\n');
  const message = `Enter the value for ${service_name} on a page of Keyhold. The page shows the code ${code}.`;
  return { pending, created, text, page: { url, message, id: handle } };
}
type Rest = Required<Pick<ToolResult<unknown>, 'text' | 'page'>>;

/** The client refused to open the page. */
export async function declineValues({ vault }: ToolContext, caller: Caller, handle: string): Promise<void> {
  await vault.handles.decline(caller, handle);
}
