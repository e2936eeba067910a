/** `keyhold store`: stores a credential. The value comes from a prompt or is read, never from an argument. */
import { Command, Option } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import { addProtectOptions, type ProtectOption } from '../connect/protect_option.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault, type VaultConnection } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { EXPIRES_OPTION, type ExpiryOption, parseExpiryOption } from '../terminal/expiry_option.ts';
import { sameOptions } from '../terminal/next_command.ts';
import { examples } from '../terminal/output.ts';
import type { ValueOptions } from '../terminal/read_value.ts';
import { collectPair, parseSetOptions, SET_OPTION } from '../terminal/set_option.ts';

type SingleType = 'bearer' | 'api_key';

interface Options extends ValueOptions, ConnectionOptions, ProtectOption, ExpiryOption {
  readonly type?: SingleType;
  readonly name?: string;
  readonly stack?: string;
  readonly set?: readonly string[];
  readonly yes?: boolean;
  readonly verify?: boolean;
  readonly json?: boolean;
}

export function storeCommand(context: CliContext): Command {
  const command = new Command('store')
    .description('Store a credential from a prompt or standard input. Replaces an existing one.')
    .argument('[service]', 'id of the service; without it, you choose from a list')
    .addOption(
      new Option('--type <type>', 'what the value is (default: the first type of the service)').choices([
        'bearer',
        'api_key',
      ] satisfies SingleType[]),
    )
    .option('--name <name>', 'name of the credential, if a service has several')
    .option('--stack <stack>', 'the stack to store it in (default: default)')
    .option('--stdin', 'read the value from standard input (the default without a terminal)')
    .option('--from-env <name>', 'take the value of this environment variable')
    .option(...SET_OPTION, collectPair)
    .option('--verify', 'test the values first, and store them only if the service accepts them')
    .option(...EXPIRES_OPTION)
    .option('-y, --yes', 'approve without a confirmation where kept secrets are sent')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
A value is the plain secret, or "sealed:..." made by \`keyhold seal\`. In a terminal, a service with several
fields prompts for each. Requires the full service id; a prefix is only suggested.
${examples(
  'keyhold store linear',
  'keyhold store github --name work --from-env GITHUB_TOKEN',
  'keyhold store datadog --from-env DD_API_KEY --set datadog_site=datadoghq.eu',
)}`,
    )
    .action((typed: string | undefined, options: Options) => store(context, typed, options));
  return addServerOptions(addProtectOptions(command));
}

async function store(context: CliContext, typed: string | undefined, options: Options): Promise<void> {
  const { findService } = await import('./find_service.ts');
  const { assertNoFields, willPrompt, readValue } = await import('../terminal/read_value.ts');
  const { isTerminal } = await import('../terminal/prompt.ts');
  const { createForWriting } = await import('../connect/presence.ts');
  // Reports a wrong time before the value is typed.
  await parseExpiryOption(options);
  const connection = await connectVault(context, options);
  const catalogue = await connection.services();
  const service =
    typed === undefined
      ? await choose(context, catalogue.list())
      : await findService(catalogue, typed, { allow_prefix: false });
  // Reports a vault that `store` may not create before the value is typed.
  if (connection.isVaultAbsent() && createForWriting(context) === 'no')
    await connection.withVault('existing', async () => {});
  const set = parseSetOptions(service, options.set);
  const only_field = service.fields.length === 1 ? service.fields[0] : undefined;
  if (
    options.type === undefined &&
    only_field === undefined &&
    willPrompt(context, options) &&
    isTerminal(context)
  ) {
    const { promptFields } = await import('../terminal/prompt_fields.ts');
    const credentials = await promptFields(context, service, 'store', set);
    return update(context, connection, service, credentials, options);
  }
  const field = singleField(service);
  const question = field === undefined ? service.name : `${service.name}: ${field.name}`;
  if (field !== undefined) {
    const value = (await readValue(context, options, question)).reveal();
    assertNoFields(service, value, options);
    const others = { ...set, ...(await promptDestination(context, connection, service, set, options)) };
    if (Object.keys(others).length > 0)
      return update(context, connection, service, { ...others, [field.field_id]: value }, options);
    return storeValue(context, connection, service, options, value);
  }
  if (only_field === undefined || options.type !== undefined) throw severalFieldsError(service, options);
  const value = (await readValue(context, options, `${service.name}: ${only_field.name}`)).reveal();
  assertNoFields(service, value, options);
  return update(context, connection, service, { [only_field.field_id]: value }, options);
}

/** In a terminal, the required fields that decide where the value is sent and that are not stored yet. */
async function promptDestination(
  context: CliContext,
  connection: VaultConnection,
  service: Service,
  set: Readonly<Record<string, string>>,
  { name, stack: stack_id }: Options,
): Promise<Record<string, string>> {
  const { isTerminal } = await import('../terminal/prompt.ts');
  if (!isTerminal(context)) return {};
  const { fieldRole } = await import('../../services/destination.ts');
  const fields = service.fields.filter(
    ({ field_id, required }) =>
      required && set[field_id] === undefined && fieldRole(service, field_id) === 'destination',
  );
  if (fields.length === 0) return {};
  const status = connection.isVaultAbsent()
    ? undefined
    : await connection.withVault('existing', async (vault) => {
        const { statusIfReadable } = await import('../terminal/write_result.ts');
        return statusIfReadable(context, vault, { service_id: service.slug, name, stack_id });
      });
  const { promptField } = await import('../terminal/prompt_fields.ts');
  const given: Record<string, string> = {};
  for (const field of fields) {
    if (status?.required_credentials[field.field_id] === 'added') continue;
    const value = await promptField(context, service, field, { needed: true, hidden: false });
    if (value !== undefined) given[field.field_id] = value;
  }
  return given;
}

async function choose(context: CliContext, services: readonly Service[]): Promise<Service> {
  const { promptChoice, isTerminal } = await import('../terminal/prompt.ts');
  if (!isTerminal(context)) {
    throw new VaultError(
      'INVALID_INPUT',
      'Name a service: keyhold store SERVICE. `keyhold services list` shows the services.',
    );
  }
  const choices = services.map(({ slug, name, description }) => ({
    value: slug,
    label: name,
    hint: description,
  }));
  const slug = await promptChoice('Which service?', choices, context);
  const chosen = services.find((service) => service.slug === slug);
  if (chosen === undefined) throw new VaultError('INVALID_INPUT', 'No service was chosen.');
  return chosen;
}

/** The field of a bearer token or an API key. */
function singleField({ fields, value_field }: Service) {
  const id = value_field.bearer ?? value_field.api_key;
  return fields.find(({ field_id }) => field_id === id);
}

function defaultType({ credential_types, value_field }: Service): SingleType {
  const first = credential_types.find((type) => type === 'bearer' || type === 'api_key');
  return first ?? (value_field.bearer === undefined ? 'api_key' : 'bearer');
}

function severalFieldsError({ name, slug, fields }: Service, options: Options): VaultError {
  const ids = fields.map(({ field_id }) => field_id).join(', ');
  const where = sameOptions(options);
  return new VaultError(
    'INVALID_INPUT',
    `${name} takes several fields instead of one value: ${ids}. Run \`keyhold store ${slug}\`${where} in a terminal for a prompt for each, or \`keyhold update ${slug} --create --stdin\`${where} and a JSON object of field ids and values.`,
  );
}

async function storeValue(
  context: CliContext,
  connection: VaultConnection,
  service: Service,
  options: Options,
  credential_value: string,
): Promise<void> {
  const { name, stack: stack_id, verify } = options;
  const expires_at = await parseExpiryOption(options);
  const credential = { service_id: service.slug, name, stack_id };
  const credential_type = options.type ?? defaultType(service);
  const { printWriteResult, statusIfReadable } = await import('../terminal/write_result.ts');
  const { stored, status } = await connection.withVault('new_or_existing', async (vault) => ({
    stored: await vault.storeCredential({
      ...credential,
      credential_type,
      credential_value,
      verify,
      expires_at,
    }),
    status: options.json === true ? undefined : await statusIfReadable(context, vault, credential),
  }));
  await printWriteResult(context, service, {
    message: `Stored ${service.name}.`,
    output: stored,
    status,
    pending: stored.pending_approval,
    options,
  });
}

async function update(
  context: CliContext,
  connection: VaultConnection,
  service: Service,
  credentials: Readonly<Record<string, string>>,
  options: Options,
): Promise<void> {
  const { name, stack: stack_id, verify } = options;
  const expires_at = await parseExpiryOption(options);
  const input = { service_id: service.slug, credentials, name, stack_id, verify, expires_at };
  const { updateDestination } = await import('../connect/update_destination.ts');
  const output = await updateDestination(context, connection, input, options, () =>
    connection.withVault('new_or_existing', (vault) => vault.updateCredentials(input)),
  );
  if (output === undefined) return;
  const { printWriteResult, updateResult } = await import('../terminal/write_result.ts');
  const result = { ...updateResult(output), message: `Stored ${service.name}.`, options };
  await printWriteResult(context, service, result);
}
