/** `keyhold seal`: encrypts a value to the vault's public key, for one field of a service. Prints only the sealed text. */
import { Command } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { SEALED_VALUE_AGE_MS, SEALED_VALUE_MAX_AGE_MS, VALUE_MAX_BYTES } from '../../contract/limits.ts';
import type { SealingKey } from '../../contract/sealed_value.ts';
import type { Service } from '../../contract/service/service.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault, type VaultConnection } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';
import type { ValueOptions } from '../terminal/read_value.ts';

interface Options extends ValueOptions, ConnectionOptions {
  readonly key?: string;
  readonly org?: string;
  readonly user?: string;
  readonly expires?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function sealCommand(context: CliContext): Command {
  const command = new Command('seal')
    .description(
      'Seal a value for one field of a service: a model may see "sealed:...", and only the vault can decrypt it, once.',
    )
    .argument('<service>', 'full id of the service that the value is for')
    .argument('[field]', 'id of the field (default: the token or key of the service)')
    .option('--user <user>', 'the user who will store it (default: yourself)')
    .option('--expires <time>', 'until when it can be stored: a span such as 2h or 7d, or a time', '24h')
    .option('--key <base64>', 'public key of another vault (`keyhold status --json` prints it there)')
    .option('--org <organization>', 'with --key: the organization there (default: local)')
    .option('-y, --yes', 'with --key: skip the confirmation (required without a terminal)')
    .option('--stdin', 'read the value from standard input (the default without a terminal)')
    .option('--from-env <name>', 'take the value of this environment variable')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
The sealed text can be stored once, by that user, in that field, until it expires. Everybody else, every other field and
a second use are refused.
${examples('keyhold seal linear', 'keyhold seal gmail gmail_client_secret --expires 2h', 'keyhold seal linear --from-env LINEAR_API_KEY')}`,
    )
    .action((service: string, field: string | undefined, options: Options) =>
      seal(context, service, field, options),
    );
  return addServerOptions(command);
}

async function seal(
  context: CliContext,
  typed: string,
  field_id: string | undefined,
  options: Options,
): Promise<void> {
  const { isSealedValue, sealValue } = await import('../../crypto/sealed_value.ts');
  const { systemRandom } = await import('../../crypto/random.ts');
  const { loadSodium } = await import('../../crypto/sodium.ts');
  const { readValue } = await import('../terminal/read_value.ts');
  const { findService } = await import('./find_service.ts');
  const { UserName } = await import('../../contract/api_key.ts');
  const { parseInput } = await import('../../contract/validation.ts');
  const { findValueProblem, normalizeValue } = await import('../../vault/values/value_text.ts');
  const sodium = await loadSodium();
  const connection = await connectVault(context, options);
  const service = await findService(await connection.services(), typed, { allow_prefix: false });
  const field = fieldOf(service, field_id);
  const key = await sealingKey(connection, options);
  const expires_at = await expiryOf(options.expires);
  const bound = {
    organization: key.organization,
    user: options.user === undefined ? key.user : parseInput(UserName, options.user, '--user'),
    service: service.slug,
    field: field.field_id,
    expires_at,
  };
  // Checks the key before the prompt, so that an invalid key or a missing vault is reported first.
  sealValue(sodium, systemRandom, key.public_key, bound, '');
  if (options.key !== undefined && !(await confirmKey(context, connection, options.key, options)))
    return note(context, 'Nothing was sealed.');
  const value = normalizeValue(
    (await readValue(context, options, `${service.name}: ${field.name}`)).reveal(),
  );
  if (isSealedValue(value)) {
    throw new VaultError('INVALID_INPUT', 'The value is sealed already. Use it as it is.', {
      reason: 'double_seal',
    });
  }
  if (Buffer.byteLength(value) > VALUE_MAX_BYTES) {
    throw new VaultError('INVALID_INPUT', `The value is larger than ${VALUE_MAX_BYTES / 1024} KiB.`);
  }
  const problem = value === '' ? 'is empty' : findValueProblem(value, field);
  if (problem !== undefined) throw new VaultError('INVALID_INPUT', `The value ${problem}.`);
  const sealed = sealValue(sodium, systemRandom, key.public_key, bound, value);
  if (options.json === true) return printJson(context, { sealed, ...bound });
  await print(context, sealed);
}

/** The named field, or the one for the single value of the service. The message does not repeat a mistyped name. */
function fieldOf({ name, fields, value_field }: Service, field_id: string | undefined) {
  const wanted = field_id ?? value_field.bearer ?? value_field.api_key ?? only(fields)?.field_id;
  const field = fields.find((one) => one.field_id === wanted);
  if (field !== undefined) return field;
  const ids = fields.map((one) => one.field_id).join(', ');
  throw new VaultError('INVALID_INPUT', `Name a field of ${name}: ${ids}.`);
}

function only<Item>(items: readonly Item[]): Item | undefined {
  return items.length === 1 ? items[0] : undefined;
}

async function sealingKey(connection: VaultConnection, { key, org }: Options): Promise<SealingKey> {
  if (key !== undefined) {
    const { OrganizationName } = await import('../../contract/caller.ts');
    const { parseInput } = await import('../../contract/validation.ts');
    const organization = parseInput(OrganizationName, org ?? 'local', '--org');
    return { public_key: key, organization, user: 'me' };
  }
  if (org !== undefined)
    throw new VaultError('INVALID_INPUT', '--org goes with --key. Leave it out for your own organization.');
  return connection.withVault('existing', (vault) => vault.getSealingKey());
}

/**
 * Returns whether to seal to a key that the user gave. A key that is not this vault's needs a confirmation: a person who
 * replaced it in a chat or a ticket could open the value. Without a terminal, throws INVALID_INPUT unless `--yes` is set.
 */
async function confirmKey(
  context: CliContext,
  connection: VaultConnection,
  key: string,
  { yes }: Options,
): Promise<boolean> {
  const own = await ownKey(connection);
  if (own === key) return true;
  const { fingerprintOf } = await import('../../crypto/sealed_box.ts');
  const found =
    own === undefined
      ? 'cannot be compared with a key of this vault, because no vault can be opened here.'
      : "is not this vault's key.";
  const warning = `The public key ${fingerprintOf(key)} ${found} Only the vault that it belongs to can open the sealed value.`;
  if (yes === true) {
    await note(context, warning);
    return true;
  }
  const { promptConfirm, isTerminal } = await import('../terminal/prompt.ts');
  if (isTerminal(context)) return promptConfirm(`${warning} Seal to this key?`, context);
  throw new VaultError(
    'INVALID_INPUT',
    `${warning} Compare it with the fingerprint that \`keyhold status --json\` prints there, then use --yes to seal without a confirmation.`,
  );
}

/** The public key of the vault that the command works on; `undefined` if it is missing or cannot be opened. */
async function ownKey(connection: VaultConnection): Promise<string | undefined> {
  if (connection.isVaultAbsent()) return undefined;
  try {
    return (await connection.withVault('existing', (vault) => vault.getSealingKey())).public_key;
  } catch (error) {
    if (error instanceof VaultError) return undefined;
    throw error;
  }
}

async function expiryOf(text: string | undefined): Promise<string> {
  const { parseTime } = await import('../terminal/relative_time.ts');
  const now = new Date();
  const expires_at =
    text === undefined
      ? new Date(now.getTime() + SEALED_VALUE_AGE_MS).toISOString()
      : parseTime(text, now, 'ahead');
  const remaining_ms = Date.parse(expires_at ?? '') - now.getTime();
  if (expires_at !== undefined && remaining_ms > 0 && remaining_ms <= SEALED_VALUE_MAX_AGE_MS)
    return expires_at;
  throw new VaultError(
    'INVALID_INPUT',
    '--expires takes a span such as 2h or 7d, or a time, at most 30 days from now.',
  );
}
