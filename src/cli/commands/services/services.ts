/** `keyhold services`: lists, shows and adds services. Never opens the local vault. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service.ts';
import { addServerOptions, assertLocal, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { nextCommand } from '../terminal/next_command.ts';
import { examples, note, paintFor, print, printJson } from '../terminal/output.ts';

interface Options extends ConnectionOptions {
  readonly json?: boolean;
}

export function servicesCommand(context: CliContext): Command {
  const list = new Command('list')
    .description('List the services, or those that match a query.')
    .argument('[query...]', 'text to find in names, ids, categories and descriptions')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold services list', 'keyhold services list google mail'))
    .action((query: readonly string[], options: Options) => listServices(context, query.join(' '), options));
  const show = new Command('show')
    .description('Show what a service needs: fields, environment names, help pages and hosts.')
    .argument('<service>', 'id of a service; the start of one is enough when only one starts so')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('keyhold services show gmail'))
    .action((typed: string, options: Options) => showService(context, typed, options));
  const add = new Command('add')
    .description('Add a custom service: a definition, or the server.json of an MCP server.')
    .argument('<file>', 'path of the JSON file; - for standard input')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      examples('keyhold services add ./intranet.json', 'curl -s URL | keyhold services add -'),
    )
    .action((file: string, options: Options) => addFile(context, file, options));
  return new Command('services')
    .description('List, show and add services.')
    .addCommand(addServerOptions(list))
    .addCommand(addServerOptions(show))
    .addCommand(add)
    .addHelpText('after', examples('keyhold services list crm', 'keyhold services show linear'));
}

async function listServices(context: CliContext, query: string, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const services = (await connection.services()).list(query);
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
      })),
    });
  }
  if (services.length === 0) {
    return print(
      context,
      'No service matches. `keyhold services list` shows all, `keyhold services add FILE` adds one.',
    );
  }
  const { printable, table } = await import('../terminal/table.ts');
  const rows = services.map((service) => [
    service.slug,
    printable(service.name),
    service.category,
    printable(service.description),
  ]);
  await print(context, await table(['SERVICE', 'NAME', 'CATEGORY', 'DESCRIPTION'], rows, paintFor(context)));
}

async function showService(context: CliContext, typed: string, options: Options): Promise<void> {
  const { findService } = await import('./find_service.ts');
  const connection = await connectVault(context, options);
  const service = await findService(await connection.services(), typed, { allow_prefix: true });
  if (options.json === true) return printJson(context, publicDefinition(service));
  await print(context, await drawService(context, service, options));
}

function publicDefinition({ slug, ...rest }: Service) {
  return { service_id: slug, ...rest };
}

async function drawService(context: CliContext, service: Service, options: Options): Promise<string> {
  const { printable, table } = await import('../terminal/table.ts');
  const paint = paintFor(context);
  const facts = [
    ['id', [service.slug, ...(service.aliases ?? [])].join(', ')],
    ['category', service.category],
    ['homepage', service.homepage ?? ''],
    ['types', service.credential_types.join(', ')],
    ['hosts', service.hosts.length === 0 ? 'none: it is not used over HTTP' : service.hosts.join(', ')],
  ].flatMap(([label = '', text = '']) => (text === '' ? [] : [`${label.padEnd(9)} ${printable(text)}`]));
  const rows = service.fields.map((field) => [
    field.field_id,
    field.required ? 'yes' : 'no',
    field.secret ? 'secret' : 'shown',
    field.env ?? '',
    printable([field.description, field.help_url ?? ''].join(' ').trim()),
  ]);
  return [
    paint('bold', printable(service.name)),
    printable(service.description),
    '',
    ...facts,
    '',
    await table(['FIELD', 'REQUIRED', 'KIND', 'ENV', 'DESCRIPTION'], rows, paint),
    '',
    `Next: ${nextCommand(['store', service.slug], options)}`,
  ].join('\n');
}

async function addFile(context: CliContext, file: string, { json }: Options): Promise<void> {
  assertLocal(context.env, 'services add', 'Run it on the machine of the server.');
  const [{ addService }, { loadCatalogue }] = await Promise.all([
    import('../../services/add_service.ts'),
    import('./find_service.ts'),
  ]);
  const { definition, file_name } = await readDefinition(context, file);
  const catalogue = await loadCatalogue(context);
  const service = addService(definition, file_name, context.settings().services_folder, catalogue);
  if (json === true) return printJson(context, publicDefinition(service));
  const { printable } = await import('../terminal/table.ts');
  await print(
    context,
    `Added ${printable(service.name)} (${service.slug}).\nNext: keyhold store ${service.slug}`,
  );
  // Both read the folder only at start.
  await note(context, 'Restart a running `keyhold serve` or `keyhold mcp` to load it.');
}

async function readDefinition(
  context: CliContext,
  file: string,
): Promise<{ definition: unknown; file_name: string }> {
  const { parseJson, readJsonFile } = await import('../../services/definition_file.ts');
  if (file === '-') {
    const { SERVICE_FILE_MAX_BYTES } = await import('../../contract/limits.ts');
    const { readStdin } = await import('../terminal/read_value.ts');
    const too_large = `A service definition is at most ${SERVICE_FILE_MAX_BYTES / 1024} KiB.`;
    const text = await readStdin(context, SERVICE_FILE_MAX_BYTES, too_large);
    return { definition: parseJson(text, 'standard input'), file_name: 'standard input' };
  }
  const { statSync } = await import('node:fs');
  const { basename } = await import('node:path');
  let exists = false;
  try {
    exists = statSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // The path is too long or contains a file in place of a folder, so the file cannot exist.
  }
  // Messages may show the name of an existing file; any other argument may be a value.
  if (!exists)
    throw new VaultError(
      'INVALID_INPUT',
      'No such file. Give the path of a definition, or - for standard input.',
    );
  return { definition: readJsonFile(file), file_name: basename(file) };
}
