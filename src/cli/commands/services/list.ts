/**
 * `keyhold services list` and `keyhold services show`. They open the local vault only for the approvals of custom services, and
 * create nothing.
 */
import type { Service } from '../../../contract/service/service.ts';
import type { ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { nextCommand } from '../../terminal/next_command.ts';
import { print, printJson } from '../../terminal/output.ts';
import { type Part, paintFor } from '../../terminal/terminal_text.ts';
import { customStates, describeState, type ShownState } from './states.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

export async function listServices(context: CliContext, query: string, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const catalogue = await connection.services();
  const services = catalogue.list(query);
  const states = await customStates(context, catalogue);
  if (options.json === true) {
    return printJson(context, {
      services: services.map(({ slug, id, name, description, category, credential_types, fields }) => ({
        service_id: slug,
        id,
        name,
        description,
        category,
        credential_types,
        fields: fields.map(({ field_id, description, required, secret }) => ({
          field_id,
          description,
          required,
          secret,
        })),
        ...stateOf(states, slug),
      })),
    });
  }
  if (services.length === 0) {
    return print(
      context,
      'No service matches. `keyhold services list` shows all, `keyhold services add FILE` adds one.',
    );
  }
  const { table } = await import('../../terminal/table.ts');
  const rows = services.map(({ slug, name, category, description }) => [slug, name, category, description]);
  const refused = services
    .map(({ slug }) => ({ slug, state: states.get(slug) ?? 'approved' }))
    .filter(({ state }) => state !== 'approved')
    .map(({ slug, state }) => `${slug}: ${describeState(state, slug)}`);
  await print(context, [
    await table(['SERVICE', 'NAME', 'CATEGORY', 'DESCRIPTION'], rows, paintFor(context)),
    ...(refused.length === 0 ? [] : ['', ...refused]),
  ]);
}

/** Only custom services have one. */
function stateOf(states: ReadonlyMap<string, ShownState>, slug: string): { readonly state?: ShownState } {
  const state = states.get(slug);
  return state === undefined ? {} : { state };
}

export async function showService(context: CliContext, typed: string, options: Options): Promise<void> {
  const { findService } = await import('../find_service.ts');
  const connection = await connectVault(context, options);
  const catalogue = await connection.services();
  const service = await findService(catalogue, typed, { allow_prefix: true });
  const state =
    catalogue.customDefinition(service.slug) && (await customStates(context, catalogue)).get(service.slug);
  if (options.json === true)
    return printJson(context, { ...publicDefinition(service), ...(state === undefined ? {} : { state }) });
  await print(context, await drawService(context, service, state, options));
}

/** A definition as commands print it. */
export function publicDefinition({ slug, ...rest }: Service) {
  return { service_id: slug, ...rest };
}

async function drawService(
  context: CliContext,
  service: Service,
  state: ShownState | undefined,
  options: Options,
): Promise<Part[]> {
  const { table } = await import('../../terminal/table.ts');
  const paint = paintFor(context);
  const facts = [
    ['id', [service.slug, ...(service.aliases ?? [])].join(', ')],
    ['category', service.category],
    ['homepage', service.homepage ?? ''],
    ['types', service.credential_types.join(', ')],
    ['state', state === undefined ? '' : describeState(state, service.slug)],
    ['hosts', service.hosts.length === 0 ? 'none: it is not used over HTTP' : service.hosts.join(', ')],
  ].flatMap(([label = '', text = '']) => (text === '' ? [] : [`${label.padEnd(9)} ${text}`]));
  const rows = service.fields.map((field) => [
    field.field_id,
    field.required ? 'yes' : 'no',
    field.secret ? 'secret' : 'shown',
    [...(field.env ?? []), ...(field.env_file ?? [])].join(' '),
    [field.description, field.help_url ?? ''].join(' ').trim(),
  ]);
  return [
    paint('bold', service.name),
    service.description,
    '',
    ...facts,
    '',
    await table(['FIELD', 'REQUIRED', 'KIND', 'ENV', 'DESCRIPTION'], rows, paint),
    '',
    `Next: ${nextCommand(['store', service.slug], options)}`,
  ];
}
