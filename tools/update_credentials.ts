/** Merges field values into a credential, as in ToolRouter's documented call. Without values, the user enters them on a page. */

import * as z from 'zod';
import { describePendingApproval } from '../src/contract/approval.ts';
import { UpdateOutput } from '../src/contract/credential.ts';
import { pendingInputShape, UpdateToolInput } from '../src/contract/handle.ts';
import { defineTool, sameCredentialHint } from '../src/contract/tool.ts';
import { parseInput } from '../src/contract/validation.ts';
import { declineValues, requestValues } from '../src/use/handle_results.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const described_there = z.unknown().optional();
/** The properties that get_credential_status describes have their names only: models read each byte. */
const Output = UpdateOutput.partial().extend({
  message: z.string(),
  status: z.string(),
  required_credentials: described_there,
  optional_credentials: described_there,
  required_credentials_added: described_there,
  pending_approval: described_there,
  test: described_there,
  ...z.object(pendingInputShape).partial().shape,
  all_credentials_added: described_there,
  credential_type: described_there,
  destination: described_there,
  use_policy: described_there,
  protected: described_there,
  updated_at: described_there,
  modified_by: described_there,
  expires_at: described_there,
  last_used_at: described_there,
  last_test: described_there,
});
type Output = z.infer<typeof Output>;

export const update_credentials = defineTool<ToolContext, UpdateToolInput, Output>({
  name: 'update_credentials',
  title: 'Update credential fields',
  description:
    "Sets fields of a service's credential, encrypted; others stay. Best without values: the user then enters them on a page, which you never see. A field that decides where secrets are sent (a host, a region) is accepted only with all secret values. Makes the credential when there is none.",
  input: UpdateToolInput,
  output: Output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  declinePage: declineValues,
  handle: async (context, caller, input) => {
    const { vault } = context;
    if (Object(input).credentials === undefined) {
      const { credentials: _, ...request } = parseInput(UpdateToolInput, input);
      const { pending, created, ...shown } = await requestValues(context, caller, request);
      const { credential_id } = created;
      const message = 'The user has to enter the values';
      return { structured: { message, credential_id, updated_fields: [], ...pending }, ...shown };
    }
    const structured = await vault.update(caller, { ...input, credentials: input.credentials ?? {} });
    if (structured.status === 'pending_approval' && structured.pending_approval !== null) {
      const text = `${describePendingApproval(structured.pending_approval)}. Ask the user to run that; do not update again.`;
      return { structured, text };
    }
    const same = sameCredentialHint(input);
    const { describeMissingFields } = await import('../src/services/missing_fields.ts');
    return {
      structured,
      text: `${structured.message}: ${structured.updated_fields.join(', ')} (credential ${structured.credential_id}). ${
        structured.required_credentials_added
          ? `Every required field is added; get_credential_status shows them${same}.`
          : `Still missing: ${describeMissingFields(vault.services.get(input.service_id), structured, same)}`
      }`,
    };
  },
});
