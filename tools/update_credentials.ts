/** Merges field values into a credential, as in ToolRouter's documented call. */
import { missingFields, UpdateInput, UpdateOutput } from '../src/contract/credential.ts';
import { defineTool, sameCredentialHint } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

export const update_credentials = defineTool<ToolContext, UpdateInput, UpdateOutput>({
  name: 'update_credentials',
  title: 'Update credential fields',
  description:
    "Sets one or more fields of a service's credential, encrypted; fields that are not named stay as they are. Makes the credential when there is none. Values cannot be read back.",
  input: UpdateInput,
  output: UpdateOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    const structured = await vault.update(caller, input);
    const missing = missingFields(structured);
    const same = sameCredentialHint(input);
    return {
      structured,
      text: `${structured.message}: ${structured.updated_fields.join(', ')} (credential ${structured.credential_id}). ${
        missing.length === 0
          ? `Every required field is added; get_credential_status shows them${same}.`
          : `Still missing: ${missing.join(', ')}; set them with update_credentials${same}.`
      }`,
    };
  },
});
