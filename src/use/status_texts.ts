/** Texts about the status of credentials, for tools: models that see no structured content read only these. */
import type { CredentialStatus, CredentialSummary, StatusInput } from '../contract/credential.ts';
import type { Service } from '../contract/service/service.ts';
import { sameCredentialHint } from '../contract/tool.ts';

const NAMES_MAX = 20;

/** Of a credential that is not stored; `others`: those of the service under other names. */
export async function describeMissing(
  service: Service,
  status: CredentialStatus,
  others: readonly CredentialSummary[],
  input: StatusInput,
): Promise<string> {
  const { describeNeededFields } = await import('../services/missing_fields.ts');
  const needed = describeNeededFields(service, status, sameCredentialHint(input));
  if (others.length === 0) return `Nothing is stored yet. ${needed}`;
  const where = input.name === undefined ? 'without a name' : 'under this name';
  const shown = others.slice(0, NAMES_MAX);
  const names = shown.map(({ name, status }) => `${name === null ? 'unnamed' : `"${name}"`} (${status})`);
  const found = `Stored are: ${names.join(', ')}${shown.length < others.length ? ', ...' : ''}`;
  return `Nothing is stored ${where}. ${found}. Call get_credential_status with the name of one of them. ${needed}`;
}

/** The state of a credential, its fields and the next step. */
export async function describeStored(
  service: Service,
  status: CredentialStatus,
  input: StatusInput,
): Promise<string> {
  const { describeNextStep } = await import('../services/missing_fields.ts');
  const presences = Object.entries({ ...status.required_credentials, ...status.optional_credentials });
  const added = presences.filter(([, presence]) => presence === 'added').map(([field_id]) => field_id);
  const stored = `Status: ${status.status}. Added: ${added.join(', ') || 'nothing'}.`;
  return `${stored} ${describeNextStep(service, status, sameCredentialHint(input), new Date())}`;
}

/** A line for each credential. */
export function describeList(
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
