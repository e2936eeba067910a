/** Removes a credential and destroys its values. */
import { DeleteInput, DeleteOutput } from '../src/contract/credential.ts';
import { defineTool } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

export const delete_credential = defineTool<ToolContext, DeleteInput, DeleteOutput>({
  name: 'delete_credential',
  title: 'Delete a credential',
  description:
    "Deletes a service's credential and destroys its values. This cannot be undone; ask the user first. A protected one only the user deletes.",
  input: DeleteInput,
  output: DeleteOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    await vault.delete(caller, input);
    return {
      structured: { success: true },
      text: 'The credential was deleted and its values destroyed. list_services shows which services are still connected.',
    };
  },
});
