/** Lists the services, and the public key that values can be sealed to. */
import * as z from 'zod';
import { ListedService, ListServicesInput } from '../src/contract/credential.ts';
import { defineTool } from '../src/contract/tool.ts';
import type { Vault } from '../src/vault/vault.ts';

const ListServicesOutput = z.strictObject({
  services: z.array(ListedService),
  public_key: z
    .string()
    .describe('Values may be sealed to this key by `keyhold seal SERVICE FIELD` and sent as "sealed:...".'),
  organization: z.string().describe('The organization that a sealed value must name.'),
  user: z.string().describe('The user that a sealed value must name.'),
});
type ListServicesOutput = z.infer<typeof ListServicesOutput>;

const IDS_IN_TEXT_MAX = 20;

export const list_services = defineTool<Vault, ListServicesInput, ListServicesOutput>({
  name: 'list_services',
  title: 'List services',
  description:
    'Lists services with their ids, the fields each needs, and whether they are connected in this stack. Give a query to find one by name, id, category or description.',
  input: ListServicesInput,
  output: ListServicesOutput,
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  handle: async (vault, caller, input) => {
    const services = [...(await vault.listServices(caller, input))];
    return {
      structured: { services, ...(await vault.sealingKey(caller)) },
      text: describe(services, input.query),
    };
  },
});

function describe(services: readonly ListedService[], query: string | undefined): string {
  if (services.length === 0)
    return 'No service matches. Call list_services with another query, or without one.';
  const connected = services.filter((service) => service.connected).map(({ service_id }) => service_id);
  const ids = services.slice(0, IDS_IN_TEXT_MAX).map(({ service_id }) => service_id);
  return (
    `${services.length} ${services.length === 1 ? 'service' : 'services'}: ${ids.join(', ')}${services.length > ids.length ? ', ...' : ''}. ` +
    `Connected: ${connected.join(', ') || 'none'}.` +
    (query === undefined
      ? ' Call list_services with a query to list fewer.'
      : ' Store a value with store_credential or update_credentials.')
  );
}
