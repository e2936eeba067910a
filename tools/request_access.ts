/** Requests a service from a person. The person narrows the request, accepts and enters the values: none of them passes the model. */
import { AccessRequest, describeAcceptedAs, RequestAccessInput } from '../src/contract/access_request.ts';
import { defineTool } from '../src/contract/tool.ts';
import { requestAccess } from '../src/use/access_requests.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

// Where the person stores the credential is in the text only: the list of tools has a maximum size.
const Output = AccessRequest.omit({ accepted_as: true });
type Output = Omit<AccessRequest, 'accepted_as'>;

export const request_access = defineTool<ToolContext, RequestAccessInput, Output>({
  name: 'request_access',
  title: 'Request access',
  description:
    'Requests access to a service, listed or not, from the user. Give the user url and code; do not wait.',
  input: RequestAccessInput,
  output: Output,
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async (context, caller, input) => {
    const { accepted_as, ...structured } = await requestAccess(context, caller, input);
    const { approval_id, code, expires_at, state, url } = structured;
    const where =
      url === undefined
        ? `with \`keyhold approvals show ${approval_id}\`, which shows the code ${code}.`
        : `on this page or with \`keyhold approvals show ${approval_id}\`; both show the code ${code}:\n${url}`;
    const text =
      state === 'approved'
        ? `The user has accepted${accepted_as === undefined ? '' : `, with ${describeAcceptedAs(accepted_as)}`}. If values are missing, the user enters them: check get_credential_status.`
        : `Ask the user to decide, ${where}\nExpires at ${expires_at}. Then check get_credential_status.`;
    return { structured, text };
  },
});
