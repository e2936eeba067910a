/** Stores one value, as in Danube's documented call. Without a value, the user enters it on a page. */
import * as z from 'zod';
import { describePendingApproval } from '../src/contract/approval.ts';
import type { Caller } from '../src/contract/caller.ts';
import { StoreOutput, StoreToolInput } from '../src/contract/credential.ts';
import { pendingInputShape } from '../src/contract/handle.ts';
import { defineTool, sameCredentialHint, type ToolResult } from '../src/contract/tool.ts';
import { parseInput } from '../src/contract/validation.ts';
import { isSealedValue } from '../src/crypto/sealed_value.ts';
import { declineValues, requestValues } from '../src/use/handle_results.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

/** Models read each byte of a schema: the names are enough where a result explains itself. */
const named = z.unknown().optional();
const Output = StoreOutput.partial()
  .required({ success: true, service_id: true, service_name: true, credential_type: true })
  .extend({
    credential_id: StoreOutput.shape.credential_id.nullable(),
    status: z.enum(['stored', 'pending_approval', 'pending_user_input']),
    pending_approval: named,
    updated_fields: named,
    kept_fields: named,
    removed_fields: named,
    test: named,
    ...z.object(pendingInputShape).partial().shape,
  });
type Output = z.infer<typeof Output>;

export const store_credential = defineTool<ToolContext, StoreToolInput, Output>({
  name: 'store_credential',
  title: 'Store a credential',
  description:
    'Stores one token or key for a service, encrypted. Best without a value: the user then enters it on a page, unseen by you. Storing again replaces it and keeps id and other fields, not the old refresh token. For several fields use update_credentials. A value for a protected one waits for the user.',
  input: StoreToolInput,
  output: Output,
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  declinePage: declineValues,
  handle: async (context, caller, input) => {
    const { vault } = context;
    if (Object(input).credential_value === undefined) return requestValue(context, caller, input);
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

async function requestValue(
  context: ToolContext,
  caller: Caller,
  input: StoreToolInput,
): Promise<ToolResult<Output>> {
  const { credential_value: _, ...request } = parseInput(StoreToolInput, input);
  const { pending, created, ...shown } = await requestValues(context, caller, request);
  const { service_id, credential_type } = request;
  const { service_name, credential_id } = created;
  const stored = { success: true, service_id, service_name, credential_type, credential_id } as const;
  return { structured: { ...stored, ...pending }, ...shown };
}

function otherFields({ kept_fields, removed_fields }: StoreOutput): string {
  const kept = kept_fields.length === 0 ? '' : `Kept: ${kept_fields.join(', ')}. `;
  const removed =
    removed_fields.length === 0 ? '' : `Removed with the old value: ${removed_fields.join(', ')}. `;
  return kept + removed;
}
