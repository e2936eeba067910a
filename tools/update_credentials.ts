/** Merges field values into a credential, as in ToolRouter's documented call. */

import * as z from 'zod';
import { describePendingApproval } from '../src/contract/approval.ts';
import { UpdateOutput, UpdateToolInput } from '../src/contract/credential.ts';
import { defineTool, sameCredentialHint } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const described_there = z.unknown();
/** The properties that get_credential_status describes have their names only: models read each byte. */
const Output = UpdateOutput.extend({
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
    "Sets one or more fields of a service's credential, encrypted; fields that are not named stay as they are. A field that decides where secrets are sent (a host, a region) is accepted only together with all secret values. Makes the credential when there is none. Values cannot be read back.",
  input: UpdateToolInput,
  output: Output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    const structured = await vault.update(caller, input);
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
