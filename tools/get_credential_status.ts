/** Reports the added and missing fields of one credential, or of all in a stack. Never decrypts a value. */
import * as z from 'zod';
import {
  CredentialStatus,
  CredentialSummary,
  missingFields,
  StatusInput,
} from '../src/contract/credential.ts';
import { defineTool } from '../src/contract/tool.ts';
import type { Vault } from '../src/vault/vault.ts';

/** The required properties of a list entry. The others are described once, for a single credential. */
const ListedStatus = z.looseObject(
  CredentialSummary.pick({ service_id: true, service_name: true, name: true, status: true }).shape,
);

const StatusOutput = CredentialStatus.partial().extend({
  credentials: z
    .array(ListedStatus)
    .optional()
    .describe(
      'Without service_id: one entry for each credential, newest first, each with all the fields above.',
    ),
  more: z
    .boolean()
    .optional()
    .describe('Whether the stack has more than the 100 listed; ask for one service then.'),
});
type StatusOutput = z.infer<typeof StatusOutput>;

export const get_credential_status = defineTool<Vault, StatusInput, StatusOutput>({
  name: 'get_credential_status',
  title: 'Check credentials',
  description:
    "Tells which required and optional fields of a service's credential are added or missing, when it was changed and by whom. Without service_id: every credential of the stack. Shows no values.",
  input: StatusInput,
  output: StatusOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async (vault, caller, input) => {
    // Not validated yet: the input may be missing.
    const { service_id } = { ...input };
    if (service_id === undefined) {
      const list = await vault.listCredentials(caller, input);
      return {
        structured: { credentials: [...list.credentials], more: list.more },
        text: describeList(list.credentials),
      };
    }
    const structured = await vault.status(caller, { ...input, service_id });
    return { structured, text: describeOne(structured, selectorsOf(input)) };
  },
});

/** The arguments to give again, without which another credential would change. */
function selectorsOf(input: StatusInput): string {
  const given = (['name', 'stack_id'] as const).filter((key) => input[key] !== undefined);
  return given.length === 0 ? '' : ` with the same ${given.join(' and ')}`;
}

function describeOne(status: CredentialStatus, selectors: string): string {
  const missing = missingFields(status);
  if (status.credential_id === null) {
    return `Nothing is stored yet. Needed: ${missing.join(', ') || 'any field'}. Use store_credential or update_credentials${selectors}.`;
  }
  if (missing.length > 0)
    return `Status: ${status.status}. Missing: ${missing.join(', ')}; set them with update_credentials${selectors}.`;
  return `Status: ${status.status}. Every required field is added (credential ${status.credential_id}); update_credentials changes it.`;
}

function describeList(credentials: readonly CredentialSummary[]): string {
  if (credentials.length === 0)
    return 'No credential is stored in this stack yet. list_services shows the services.';
  const lines = credentials.map(
    ({ service_id, name, status }) => `${service_id}${name === null ? '' : ` (${name})`}: ${status}`,
  );
  return `${lines.join('\n')}\nFor details, call get_credential_status with a service_id.`;
}
