/** The result of a tool that needs a value which the caller did not give: a page on which the user enters it. */
import type { Caller } from '../contract/caller.ts';
import {
  HANDLE_RETRY_AFTER_MS,
  type HandleInput,
  type NewHandle,
  type PendingHandle,
  type PolledHandle,
} from '../contract/handle.ts';
import { handleUrl } from '../contract/pages.ts';
import type { ToolResult } from '../contract/tool.ts';
import type { ToolContext } from './tool_context.ts';

type Context = Pick<ToolContext, 'vault' | 'pages'>;
export type PendingUserInput = Omit<PendingHandle, 'service_name' | 'credential_id' | 'fields'>;

/** Creates a handle, for a program. */
export async function createHandle(
  context: Context,
  caller: Caller,
  input: HandleInput,
): Promise<PendingHandle> {
  const { pending, created } = await requestValues(context, caller, input);
  const { service_name, credential_id, fields } = created;
  return { ...pending, service_name, credential_id, fields: [...fields] };
}

/** The state of a handle, for a program. NOT_FOUND for the handle of another caller. */
export async function pollHandle(
  { vault }: Pick<ToolContext, 'vault'>,
  caller: Caller,
  handle: string,
): Promise<PolledHandle> {
  const status = await vault.handles.status(caller, handle);
  return status.state === 'pending' ? { ...status, retry_after_ms: HANDLE_RETRY_AFTER_MS } : status;
}

/** Creates a handle, for a model. Never waits for the person. */
export async function requestValues(
  { vault, pages }: Context,
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
