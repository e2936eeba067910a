/** Reports the added and missing fields of one credential, or of all in a stack. Never decrypts a value. */
import * as z from 'zod';
import { CredentialStatus, CredentialSummary, StatusInput } from '../src/contract/credential.ts';
import type { Service } from '../src/contract/service/service.ts';
import { defineTool, sameCredentialHint } from '../src/contract/tool.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const NAMES_MAX = 20;

/** The required properties of a list entry. The others are described once, for a single credential. */
const ListedStatus = z.looseObject(
  CredentialSummary.pick({ service_id: true, service_name: true, name: true, status: true }).shape,
);

const StatusOutput = CredentialStatus.partial().extend({
  credentials: z
    .array(ListedStatus)
    .optional()
    .describe('Without service_id: each credential, newest first, with all fields above.'),
  more: z.boolean().optional().describe('The stack has more than the 100 listed; ask for one service.'),
});
type StatusOutput = z.infer<typeof StatusOutput>;

export const get_credential_status = defineTool<ToolContext, StatusInput, StatusOutput>({
  name: 'get_credential_status',
  title: 'Check credentials',
  description:
    "Tells which fields of a service's credential are added or missing, when it was changed and by whom. Without service_id: every credential of the stack. Shows no values.",
  input: StatusInput,
  output: StatusOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    // Not validated yet: the input may be missing.
    const { service_id } = { ...input };
    if (service_id === undefined) {
      const list = await vault.listCredentials(caller, input);
      return {
        structured: { credentials: [...list.credentials], more: list.more },
        text: describeList(list.credentials, list.more, input),
      };
    }
    const structured = await vault.status(caller, { ...input, service_id });
    const service = vault.services.get(service_id);
    if (structured.credential_id !== null)
      return { structured, text: await describeStored(service, structured, input) };
    // Those under other names.
    const { slug } = service;
    const { credentials } = await vault.listCredentials(caller, { stack_id: input.stack_id });
    const others = credentials.filter((credential) => credential.service_id === slug);
    return { structured, text: await describeMissing(service, structured, others, input) };
  },
});

async function describeMissing(
  service: Service,
  status: CredentialStatus,
  others: readonly CredentialSummary[],
  input: StatusInput,
): Promise<string> {
  const { describeNeededFields } = await import('../src/services/missing_fields.ts');
  const needed = describeNeededFields(service, status, sameCredentialHint(input));
  if (others.length === 0) return `Nothing is stored yet. ${needed}`;
  const where = input.name === undefined ? 'without a name' : 'under this name';
  const shown = others.slice(0, NAMES_MAX);
  const names = shown.map(({ name, status }) => `${name === null ? 'unnamed' : `"${name}"`} (${status})`);
  const found = `Stored are: ${names.join(', ')}${shown.length < others.length ? ', ...' : ''}`;
  return `Nothing is stored ${where}. ${found}. Call get_credential_status with the name of one of them. ${needed}`;
}

async function describeStored(
  service: Service,
  status: CredentialStatus,
  input: StatusInput,
): Promise<string> {
  const { describeNextStep } = await import('../src/services/missing_fields.ts');
  const presences = Object.entries({ ...status.required_credentials, ...status.optional_credentials });
  const added = presences.filter(([, presence]) => presence === 'added').map(([field_id]) => field_id);
  const stored = `Status: ${status.status}. Added: ${added.join(', ') || 'nothing'}.`;
  return `${stored} ${describeNextStep(service, status, sameCredentialHint(input), new Date())}`;
}

function describeList(
  credentials: readonly CredentialSummary[],
  more: boolean,
  { stack_id }: StatusInput,
): string {
  if (credentials.length === 0)
    return 'No credential is stored in this stack yet. list_services shows the services.';
  const lines = credentials.map(
    ({ service_id, name, status }) => `${service_id}${name === null ? '' : ` (name "${name}")`}: ${status}`,
  );
  if (more) lines.push(`The stack has more than these ${credentials.length}.`);
  const same = sameCredentialHint({ stack_id });
  lines.push(
    `For details, call get_credential_status${same} with a service_id, and the name if there is one.`,
  );
  return lines.join('\n');
}
