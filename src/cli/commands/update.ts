/** `keyhold update`: changes some fields of a credential and keeps the others. No value comes from an argument. */
import { Command } from 'commander';
import { type ErrorCode, VaultError } from '../../contract/errors.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import type { Service } from '../../contract/service/service.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import { addProtectOptions, type ProtectOption } from '../connect/protect_option.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { EXPIRES_OPTION, type ExpiryOption, parseExpiryOption } from '../terminal/expiry_option.ts';
import { examples } from '../terminal/output.ts';
import { fieldOf, readObject } from '../terminal/read_fields.ts';
import { collectPair, parseSetOptions, SET_OPTION } from '../terminal/set_option.ts';
import { addUsePolicyOptions, type UsePolicyOptions } from '../use_policy/options.ts';

interface Options extends ConnectionOptions, UsePolicyOptions, ProtectOption, ExpiryOption {
  readonly stdin?: boolean;
  readonly fromEnv?: readonly string[];
  readonly fromCommand?: string;
  readonly cache?: string;
  readonly name?: string;
  readonly stack?: string;
  readonly create?: boolean;
  /** False with --no-policy. */
  readonly policy?: boolean;
  readonly set?: readonly string[];
  readonly yes?: boolean;
  readonly verify?: boolean;
  readonly json?: boolean;
}

/** The codes of a status that cannot be read although the credential may exist. */
const MAY_EXIST: ReadonlySet<ErrorCode> = new Set(['CORRUPT', 'FORBIDDEN']);

export function updateCommand(context: CliContext): Command {
  const command = new Command('update')
    .description('Change fields of a credential and keep the others.')
    .argument('<service>', 'full id of the service')
    .argument(
      '[fields...]',
      'ids of the fields to prompt for; with --from-command the program and its arguments',
    )
    .option('--stdin', 'read the value of the one FIELD, or without FIELD a JSON object: field id to value')
    .option(
      '--from-env <field=name>',
      'take a field from an environment variable; may be given several times',
      collectPair,
    )
    .option(
      '--from-command <field>',
      'run the program after -- at each use; its output is the value of the field',
    )
    .option('--cache <time>', 'with --from-command: use its output again for this time, such as 55m')
    .option(...SET_OPTION, collectPair)
    .option('--name <name>', 'which credential of the service')
    .option('--stack <stack>', 'the stack it is in (default: default)')
    .option(...EXPIRES_OPTION)
    .option('--create', 'create the credential if it is missing')
    .option('--verify', 'test the values first, and store them only if the service accepts them')
    .option('-y, --yes', 'approve without a confirmation where the stored secrets are sent')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples(
        'keyhold update gmail gmail_refresh_token',
        'keyhold update stripe --read-only --calls-per-minute 60',
        'keyhold update github --protect',
        'keyhold update github --expires 2030-01-31',
        'keyhold update github --from-command github_token --cache 55m -- gh auth token',
        'keyhold update datadog --create --from-env datadog_api_key=DD_API_KEY --set datadog_site=datadoghq.eu',
      ),
    )
    .action((typed: string, fields: readonly string[], options: Options) =>
      update(context, typed, fields, options),
    );
  addUsePolicyOptions(command).option(
    '--no-policy',
    'remove all limits of its uses, or all but the given ones',
  );
  return addServerOptions(addProtectOptions(command));
}

async function update(
  context: CliContext,
  typed: string,
  fields: readonly string[],
  options: Options,
): Promise<void> {
  if (options.cache !== undefined && options.fromCommand === undefined)
    throw new VaultError('INVALID_INPUT', '--cache is for --from-command.');
  if (options.fromCommand !== undefined) {
    const { assertLocalCommand } = await import('../values/command_source.ts');
    assertLocalCommand(context, options);
  }
  const { findService } = await import('./find_service.ts');
  const connection = await connectVault(context, options);
  const service = await findService(await connection.services(), typed, { allow_prefix: false });
  const { changesPolicy, setPolicy } = await import('../use_policy/set.ts');
  const takes_values =
    fields.length > 0 ||
    [options.stdin, options.fromEnv, options.fromCommand, options.set].some((one) => one !== undefined);
  if (changesPolicy(options)) {
    const takes_more = takes_values || options.protect !== undefined || options.expires !== undefined;
    return setPolicy(context, connection, service, options, takes_more);
  }
  const expires_at = await parseExpiryOption(options);
  const keeps_values = !takes_values && options.create !== true;
  if (options.protect !== undefined && keeps_values && expires_at === undefined) {
    const { setProtection } = await import('../connect/set_protection.ts');
    return setProtection(context, connection, service, options);
  }
  if (options.fromCommand !== undefined) return setCommand(context, service, fields, options);
  const requireCredential = async () => {
    if (options.create === true) return;
    if (connection.isVaultAbsent()) throw missingError(service, []);
    await connection.withVault('existing', (vault) => assertExists(vault, service, options));
  };
  const credentials =
    keeps_values && expires_at !== undefined
      ? {}
      : await collect(context, service, fields, options, requireCredential);
  const { name, stack: stack_id, verify } = options;
  const input = { service_id: service.slug, credentials, name, stack_id, verify, expires_at };
  const which = options.create === true ? 'new_or_existing' : 'existing';
  if (options.create !== true && connection.isVaultAbsent()) throw missingError(service, []);
  const { updateDestination } = await import('../connect/update_destination.ts');
  const output = await updateDestination(context, connection, input, options, () =>
    connection.withVault(which, async (vault) => {
      if (options.create !== true) await assertExists(vault, service, options);
      return vault.updateCredentials(input);
    }),
  );
  if (output === undefined) return;
  const { printWriteResult, updateResult } = await import('../terminal/write_result.ts');
  const updated = [...output.updated_fields, ...(expires_at === undefined ? [] : ['expires_at'])];
  const message = `Updated ${service.name}: ${updated.join(', ')}`;
  await printWriteResult(context, service, { ...updateResult(output), message, options });
}

/** The output of the program is not needed now, so that the program only runs with `--verify`. */
async function setCommand(
  context: CliContext,
  service: Service,
  command: readonly string[],
  options: Options,
): Promise<void> {
  const [{ parseCommandSource }, { createForWriting }, { localClient }, { printWriteResult, updateResult }] =
    await Promise.all([
      import('../values/command_source.ts'),
      import('../connect/presence.ts'),
      import('../../vault/local_client.ts'),
      import('../terminal/write_result.ts'),
    ]);
  const { field_id } = fieldOf(service, options.fromCommand ?? '');
  const commands = new Map([[field_id, parseCommandSource(context, command, options)]]);
  const { name, stack: stack_id, verify } = options;
  const expires_at = await parseExpiryOption(options);
  const input = { service_id: service.slug, credentials: {}, name, stack_id, verify, expires_at };
  const output = await context.withVault(
    options.create === true ? createForWriting(context) : 'no',
    async (vault) => {
      const client = localClient(vault, () => context.caller(), context.calls(vault), context.tests(vault));
      if (options.create !== true) await assertExists(client, service, options);
      return vault.update(context.caller(), input, { commands, protect: options.protect });
    },
  );
  const message = `Set a command for ${service.name}: ${field_id}`;
  await printWriteResult(context, service, { ...updateResult(output), message, options });
}

/**
 * Throws NOT_FOUND without a credential to update: a typo in a name would make a second one. A key that may only write
 * cannot look, so its update creates a missing credential.
 */
async function assertExists(vault: VaultClient, service: Service, options: Options): Promise<void> {
  const { slug } = service;
  let names: string[];
  try {
    const selector = { service_id: slug, name: options.name, stack_id: options.stack };
    if ((await vault.getCredentialStatus(selector)).status !== 'missing') return;
    const { credentials } = await vault.listCredentials({ stack_id: options.stack });
    names = credentials.flatMap((one) => (one.service_id === slug ? [one.name ?? '(without a name)'] : []));
  } catch (error) {
    if (error instanceof VaultError && MAY_EXIST.has(error.code)) return;
    throw error;
  }
  throw missingError(service, names);
}

function missingError({ name }: Service, stored_names: readonly string[]): VaultError {
  const stored = stored_names.length === 0 ? '' : ` Stored for it: ${stored_names.join(', ')}.`;
  return new VaultError(
    'NOT_FOUND',
    `There is no such credential of ${name}, so nothing was changed.${stored} Correct --name or --stack, or add --create to create it.`,
  );
}

/** The values by field id, from the environment, standard input and the terminal, in this order. */
async function collect(
  context: CliContext,
  service: Service,
  field_ids: readonly string[],
  options: Options,
  beforePrompt: () => Promise<void>,
): Promise<Record<string, string>> {
  const { isTerminal } = await import('../terminal/prompt.ts');
  const { assertNoFields, readEnv, readStdinValue } = await import('../terminal/read_value.ts');
  const fields = field_ids.map((field_id) => fieldOf(service, field_id));
  const from_env = (options.fromEnv ?? []).map((pair) => parsePair(service, pair));
  const set = parseSetOptions(service, options.set);
  const named = [...fields, ...from_env.map(({ field }) => field)].map(({ field_id }) => field_id);
  const ids = [...named, ...Object.keys(set)];
  if (new Set(ids).size < ids.length)
    throw new VaultError('INVALID_INPUT', 'A field is named twice. Name it once.');

  const given: Record<string, string> = { ...set };
  for (const { field, name } of from_env) given[field.field_id] = readEnv(context, name).reveal();
  const reads_stdin =
    options.stdin === true || (context.stdin.isTTY !== true && (fields.length > 0 || ids.length === 0));
  if (reads_stdin) {
    const [only] = fields;
    if (fields.length > 1) {
      throw new VaultError(
        'INVALID_INPUT',
        'Standard input holds the value of one field. For several, leave the fields out and pass a JSON object: field id to value.',
      );
    }
    if (only !== undefined) {
      const value = (await readStdinValue(context)).reveal();
      assertNoFields(service, value, options);
      given[only.field_id] = value;
    } else merge(given, await readObject(context, service));
  } else if (ids.length === 0) {
    const { promptFields } = await import('../terminal/prompt_fields.ts');
    if (!isTerminal(context)) throw noTerminalError();
    await beforePrompt();
    return promptFields(context, service, 'update');
  } else if (fields.length > 0) {
    const { promptField } = await import('../terminal/prompt_fields.ts');
    if (!isTerminal(context)) throw noTerminalError();
    await beforePrompt();
    for (const field of fields) {
      const value = await promptField(context, service, field, { needed: true, hidden: true });
      if (value !== undefined) given[field.field_id] = value;
    }
  }
  return given;
}

function merge(given: Record<string, string>, more: ReadonlyMap<string, string>): void {
  for (const [field_id, value] of more) {
    if (Object.hasOwn(given, field_id))
      throw new VaultError('INVALID_INPUT', 'A field is named twice. Name it once.');
    given[field_id] = value;
  }
}

function parsePair(service: Service, pair: string): { field: FieldDefinition; name: string } {
  const at = pair.indexOf('=');
  if (at === -1) {
    throw new VaultError(
      'INVALID_INPUT',
      '--from-env takes FIELD=NAME: a field id and an environment variable.',
    );
  }
  return { field: fieldOf(service, pair.slice(0, at)), name: pair.slice(at + 1) };
}

function noTerminalError(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'Not an interactive terminal. Use --from-env FIELD=NAME, or --stdin with one FIELD or a JSON object.',
  );
}
