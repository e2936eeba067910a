/** Stores one value, as in Danube's documented call. */
import { describePendingApproval } from '../src/contract/approval.ts';
import { StoreOutput, StoreToolInput } from '../src/contract/credential.ts';
import { defineTool, sameCredentialHint } from '../src/contract/tool.ts';
import { isSealedValue } from '../src/crypto/sealed_value.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

export const store_credential = defineTool<ToolContext, StoreToolInput, StoreOutput>({
  name: 'store_credential',
  title: 'Store a credential',
  description:
    'Stores one token or key for a service, encrypted. Storing again replaces it, keeps its id and the other fields, and removes the refresh token of the old one. A stored value cannot be read back. For services with several fields use update_credentials. A value for a protected one waits for the user.',
  input: StoreToolInput,
  output: StoreOutput,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    const structured = await vault.store(caller, input);
    const is_plaintext = !isSealedValue(input.credential_value ?? '');
    const advice = is_plaintext
      ? ' The value has passed through this conversation; next time seal it first with `keyhold seal`, or have the user run `keyhold store`.'
      : '';
    if (structured.pending_approval !== undefined) {
      const text = `${describePendingApproval(structured.pending_approval)}. Ask the user to run that; do not store again.${advice}`;
      return { structured, text };
    }
    const { service_id, stack_id, name } = input;
    // A caller that may not read the status gets no list of missing fields.
    const status = caller.scopes.has('credentials:read')
      ? await vault.status(caller, { service_id, stack_id, name })
      : undefined;
    const same = sameCredentialHint(input);
    const { describeMissingFields } = await import('../src/services/missing_fields.ts');
    return {
      structured,
      text:
        `Stored for ${structured.service_name} (credential ${structured.credential_id}). ` +
        otherFields(structured) +
        (status === undefined || status.required_credentials_added
          ? `Check it with get_credential_status${same}.`
          : `It cannot be used yet. Still missing: ${describeMissingFields(vault.services.get(service_id), status, same)}`) +
        advice,
    };
  },
});

function otherFields({ kept_fields, removed_fields }: StoreOutput): string {
  const kept = kept_fields.length === 0 ? '' : `Kept: ${kept_fields.join(', ')}. `;
  const removed =
    removed_fields.length === 0 ? '' : `Removed with the old value: ${removed_fields.join(', ')}. `;
  return kept + removed;
}
