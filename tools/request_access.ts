/** Requests a service from a person. The person narrows the request, accepts and enters the values: none of them passes the model. */
import * as z from 'zod';
import { NewAccessRequest, RequestAccessInput } from '../src/contract/access_request.ts';
import { approvalUrl } from '../src/contract/pages.ts';
import { defineTool } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const Output = NewAccessRequest.extend({ url: z.string().optional() });
type Output = z.infer<typeof Output>;

export const request_access = defineTool<ToolContext, RequestAccessInput, Output>({
  name: 'request_access',
  title: 'Request access',
  description:
    'Requests access to a service, listed or not, from the user. Give the user url and code; do not wait.',
  input: RequestAccessInput,
  output: Output,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault, pages }, caller, input) => {
    const request = await vault.approvals.access.request(caller, input);
    const { approval_id, code, expires_at, state } = request;
    const base_url = await pages.dashboardUrl();
    const url = base_url === undefined ? undefined : approvalUrl(base_url, approval_id);
    const where =
      url === undefined
        ? `with \`keyhold approvals show ${approval_id}\`, which shows the code ${code}.`
        : `on this page or with \`keyhold approvals show ${approval_id}\`; both show the code ${code}:\n${url}`;
    const text =
      state === 'approved'
        ? 'The user has accepted. If values are missing, the user enters them: check get_credential_status.'
        : `Ask the user to decide, ${where}\nExpires at ${expires_at}. Then check get_credential_status.`;
    return { structured: { ...request, ...(url === undefined ? {} : { url }) }, text };
  },
});
