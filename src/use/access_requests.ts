/** Access requests with the page on which the user decides. */
import type { AccessRequest, RequestAccessInput } from '../contract/access_request.ts';
import type { Caller } from '../contract/caller.ts';
import type { CredentialStatusInput } from '../contract/credential.ts';
import { approvalUrl } from '../contract/pages.ts';
import type { ToolContext } from './tool_context.ts';

type Context = Pick<ToolContext, 'vault' | 'pages'>;

/** See `AccessRequests.request`. */
export async function requestAccess(
  context: Context,
  caller: Caller,
  input: RequestAccessInput,
): Promise<AccessRequest> {
  return withUrl(context, await context.vault.approvals.access.request(caller, input));
}

/** See `AccessRequests.statusFor`. `null` without a request that waits or was accepted. */
export async function findAccessRequest(
  context: Context,
  caller: Caller,
  input: Pick<CredentialStatusInput, 'service_id' | 'stack_id' | 'name'>,
): Promise<AccessRequest | null> {
  const found = await context.vault.approvals.access.statusFor(caller, input);
  return found === undefined ? null : withUrl(context, found);
}

async function withUrl({ pages }: Context, request: AccessRequest): Promise<AccessRequest> {
  const base_url = await pages.dashboardUrl();
  return base_url === undefined ? request : { ...request, url: approvalUrl(base_url, request.approval_id) };
}
