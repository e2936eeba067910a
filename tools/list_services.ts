/** Lists the services, a page of them in detail, and the public key that values can be sealed to. */
import * as z from 'zod';
import { ListedService, ListServicesInput } from '../src/contract/credential.ts';
import { defineTool } from '../src/contract/tool.ts';
import { parseInput } from '../src/contract/validation.ts';
import type { ToolContext } from '../src/use/tool_context.ts';

const IN_DETAIL_MAX = 15;
const IDS_MAX = 200;
const CURSOR_PATTERN = /^[1-9]\d{0,4}$/;

const Input = ListServicesInput.extend({
  cursor: z
    .string()
    .regex(CURSOR_PATTERN, 'must be next_cursor of a previous result')
    .optional()
    .describe('The next_cursor of the previous result, to list the services after it.'),
});
type Input = z.infer<typeof Input>;

const Output = z.strictObject({
  services: z.array(ListedService).describe('At most 15.'),
  more_service_ids: z.array(z.string()).describe('The ids of those that follow, at most 200.'),
  next_cursor: z.string().nullable().describe('Lists the next ones in detail; null at the end.'),
  total: z.int(),
  public_key: z
    .string()
    .describe('Values may be sealed to this key by `keyhold seal SERVICE FIELD` and sent as "sealed:...".'),
  organization: z.string().describe('The organization that a sealed value must name.'),
  user: z.string().describe('The user that a sealed value must name.'),
});
type Output = z.infer<typeof Output>;

export const list_services = defineTool<ToolContext, Input, Output>({
  name: 'list_services',
  title: 'List services',
  description:
    'Lists services with their ids, the fields each needs, and whether they are connected in this stack; connected ones first. Give a query to find one by name, id, category or description.',
  input: Input,
  output: Output,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async ({ vault }, caller, input) => {
    const { cursor, ...search } = parseInput(Input, input);
    const start = Number(cursor ?? 0);
    const found = await vault.listServices(caller, search);
    const all = search.query === undefined ? found.toSorted(byConnection) : found;
    const end = start + IN_DETAIL_MAX;
    const structured = {
      services: all.slice(start, end).map((service) => inDetail(vault, service)),
      more_service_ids: all.slice(end, end + IDS_MAX).map(({ service_id }) => service_id),
      next_cursor: end < all.length ? String(end) : null,
      total: all.length,
      ...(await vault.sealingKey(caller)),
    };
    return { structured, text: describe(structured) };
  },
});

const byConnection = (a: ListedService, b: ListedService) => Number(b.connected) - Number(a.connected);

/** The vault leaves descriptions and types out of a long list. */
function inDetail(vault: ToolContext['vault'], service: ListedService): ListedService {
  const { fields, credential_types } = vault.services.get(service.service_id);
  const descriptions = new Map(fields.map(({ field_id, description }) => [field_id, description]));
  return {
    ...service,
    credential_types: [...credential_types],
    fields: service.fields.map((field) => ({
      ...field,
      description: descriptions.get(field.field_id) ?? '',
    })),
  };
}

/** Many clients show a model only this text. */
function describe({ services, more_service_ids, next_cursor, total, ...seal }: Output): string {
  if (services.length === 0)
    return 'No service matches. Call list_services with another query, or without arguments.';
  const counted = `${total} ${total === 1 ? 'service' : 'services'}`;
  const lines = [
    total === services.length ? `${counted}:` : `${counted}, ${services.length} of them in detail:`,
    ...services.map(describeService),
  ];
  if (next_cursor !== null) {
    const rest = total - services.length - more_service_ids.length;
    lines.push(`Others: ${more_service_ids.join(', ')}${rest > 0 ? ', ...' : ''}.`);
    lines.push(`For their fields, call list_services with a query, or with cursor "${next_cursor}".`);
  }
  lines.push(
    `Store a value with store_credential or update_credentials. Seal it with keyhold seal to the public key ${seal.public_key} for user ${seal.user} of ${seal.organization}.`,
  );
  return lines.join('\n');
}

function describeService({ service_id, name, fields, connected }: ListedService): string {
  const ids = (wanted: boolean) =>
    fields.filter(({ required }) => required === wanted).map((one) => one.field_id);
  const optional = ids(false).length === 0 ? '' : `; optional ${ids(false).join(', ')}`;
  return `${service_id} (${name}): required ${ids(true).join(', ') || 'none'}${optional}${connected ? '; connected' : ''}`;
}
