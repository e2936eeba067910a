/** `keyhold status`: shows the stored and the missing fields and who changed them. Decrypts no value and creates nothing. */
import { Command } from 'commander';

import type { CredentialStatus, CredentialSummary } from '../../contract/credential.ts';
import type { Service } from '../../contract/service/service.ts';
import type { TestResult } from '../../contract/use/test_result.ts';
import type { VaultClient } from '../../contract/vault_client.ts';
import type { ServiceCatalogue } from '../../services/catalogue.ts';
import { addServerOptions, type ConnectionOptions } from '../connect/server_option.ts';
import { connectVault } from '../connect/vault_connection.ts';
import type { CliContext } from '../context.ts';
import { nextCommand, sameOptions } from '../terminal/next_command.ts';
import { examples, print, printJson } from '../terminal/output.ts';
import {
  line,
  type Paint,
  type Part,
  paintFor,
  type Style,
  type TerminalText,
} from '../terminal/terminal_text.ts';

interface Options extends ConnectionOptions {
  readonly name?: string;
  readonly stack?: string;
  readonly json?: boolean;
}

interface Filter {
  readonly name: string | undefined;
  readonly stack_id: string | undefined;
}

const STYLES: Readonly<Record<CredentialStatus['status'], Style>> = {
  active: 'green',
  incomplete: 'yellow',
  missing: 'red',
  expired: 'red',
  inactive: 'dim',
  needs_review: 'yellow',
  needs_reconnect: 'red',
  rejected: 'red',
};

const TEST_STYLES: Readonly<Record<TestResult, Style>> = {
  valid: 'green',
  invalid: 'red',
  unknown: 'yellow',
};

export function statusCommand(context: CliContext): Command {
  const command = new Command('status')
    .description('Show which credentials are stored, what they lack and who changed them.')
    .argument('[service]', 'id of a service; the start of one is enough when only one starts so')
    .option('--name <name>', 'only the credential with this name')
    .option('--stack <stack>', 'the stack to look in (default: default)')
    .option('--json', "print JSON, with the vault's public key and its fingerprint")
    .addHelpText('after', examples('keyhold status', 'keyhold status linear --json'))
    .action((typed: string | undefined, options: Options) => {
      const filter = { name: options.name, stack_id: options.stack };
      return typed === undefined
        ? showAll(context, filter, options)
        : showOne(context, typed, filter, options);
    });
  return addServerOptions(command);
}

async function showAll(context: CliContext, filter: Filter, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const is_absent = connection.isVaultAbsent();
  const { public_key, elsewhere, credentials, more } = is_absent
    ? { public_key: null, elsewhere: [], credentials: [], more: false }
    : await connection.withVault('existing', async (vault) => ({
        public_key: options.json === true ? await vault.getPublicKey() : null,
        elsewhere: options.json === true ? [] : await otherStacks(vault, options),
        ...(await vault.listCredentials(filter)),
      }));
  if (options.json === true)
    return printJson(context, { ...(await keyAndFingerprint(public_key)), credentials, more });
  if (credentials.length === 0) {
    const { createForWriting } = await import('../connect/presence.ts');
    if (is_absent && createForWriting(context) === 'no')
      return print(context, ['There is no vault yet.', 'Next: keyhold init']);
    const first = is_absent
      ? 'There is no vault yet. The first stored credential creates it.'
      : 'There are no credentials here yet.';
    return print(context, [
      first,
      ...elsewhere,
      `Next: keyhold store SERVICE${sameOptions(options)} (\`keyhold services list\` shows the services)`,
    ]);
  }
  // A definition names the missing fields of which one group is enough.
  const needs_definitions = credentials.some(
    ({ status, required_credentials }) =>
      status === 'incomplete' && !Object.values(required_credentials).includes('missing'),
  );
  const services = needs_definitions ? await connection.services() : undefined;
  const text = await renderList(credentials, services, paintFor(context));
  await print(context, [text, ...(more ? ['There are more; --name finds one of them.'] : []), ...elsewhere]);
}

/** The fingerprint is what `keyhold seal --key` shows, for people to compare. */
async function keyAndFingerprint(public_key: string | null) {
  const { fingerprintOf } = await import('../../crypto/sealed_box.ts');
  return { public_key, fingerprint: public_key === null ? null : fingerprintOf(public_key) };
}

/** A line with the other stacks that hold credentials: a list is of one stack. */
async function otherStacks(vault: VaultClient, options: Options): Promise<string[]> {
  const { DEFAULT_STACK } = await import('../../contract/caller.ts');
  const { stack = DEFAULT_STACK } = options;
  const stacks = await vault.listStacks();
  const others = stacks.filter(({ stack_id, services }) => stack_id !== stack && services.length > 0);
  if (others.length === 0) return [];
  return [`Other stacks: ${others.map(({ stack_id }) => stack_id).join(', ')} (--stack)`];
}

async function renderList(
  credentials: readonly CredentialSummary[],
  services: ServiceCatalogue | undefined,
  paint: Paint,
): Promise<TerminalText> {
  const { table } = await import('../terminal/table.ts');
  const { describeExpiry, relativeTime } = await import('../terminal/relative_time.ts');
  const { missingFields } = await import('../../services/missing_fields.ts');
  const { describePolicy } = await import('../../contract/use/rules.ts');
  const now = new Date();
  const has_policy = credentials.some(({ use_policy }) => describePolicy(use_policy) !== null);
  const testOf = ({ last_test = null }: CredentialSummary) =>
    last_test === null
      ? ''
      : line`${paint(TEST_STYLES[last_test.result], last_test.result)} ${relativeTime(last_test.at, now)}`;
  const has_test = credentials.some((credential) => testOf(credential) !== '');
  const expiryOf = ({ expires_at }: CredentialSummary) => describeExpiry(expires_at, now) ?? '';
  const has_expiry = credentials.some((credential) => expiryOf(credential) !== '');
  const rows = credentials.map((credential) => [
    credential.service_id,
    credential.name ?? '',
    paint(STYLES[credential.status], credential.status),
    missingFields(services?.find(credential.service_id), credential).join(', '),
    credential.updated_at === null ? '' : relativeTime(credential.updated_at, now),
    credential.modified_by ?? '',
    ...(has_test ? [testOf(credential)] : []),
    ...(has_expiry ? [expiryOf(credential)] : []),
    ...(has_policy ? [describePolicy(credential.use_policy) ?? ''] : []),
  ]);
  const columns = ['SERVICE', 'NAME', 'STATUS', 'MISSING', 'CHANGED', 'BY'];
  const more = [...(has_test ? ['TEST'] : []), ...(has_expiry ? ['EXPIRY'] : [])];
  return table([...columns, ...more, ...(has_policy ? ['LIMITED TO'] : [])], rows, paint);
}

async function showOne(context: CliContext, typed: string, filter: Filter, options: Options): Promise<void> {
  const connection = await connectVault(context, options);
  const service = await connection.findService(typed);
  if (connection.isVaultAbsent()) {
    const { credentialStatus } = await import('../../vault/credentials/status.ts');
    return printStatus(context, service, credentialStatus(service, undefined, new Date()), null, [], options);
  }
  await connection.withVault('existing', async (vault) => {
    const status = await vault.getCredentialStatus({ service_id: service.slug, ...filter });
    const names =
      status.status === 'missing' && options.json !== true ? await otherNames(vault, service, filter) : [];
    const public_key = options.json === true ? await vault.getPublicKey() : null;
    await printStatus(context, service, status, public_key, names, options);
  });
}

/** Names of the stored credentials of a service, for a user who left out --name. */
async function otherNames(vault: VaultClient, { slug }: Service, { stack_id }: Filter): Promise<string[]> {
  const { credentials } = await vault.listCredentials({ stack_id });
  return credentials.flatMap(({ service_id, name }) => (service_id === slug && name !== null ? [name] : []));
}

async function printStatus(
  context: CliContext,
  service: Service,
  status: CredentialStatus,
  public_key: string | null,
  other_names: readonly string[],
  options: Options,
): Promise<void> {
  if (options.json === true)
    return printJson(context, { ...(await keyAndFingerprint(public_key)), ...status });
  await print(context, await renderStatus(context, service, status, other_names, options));
}

async function renderStatus(
  context: CliContext,
  service: Service,
  status: CredentialStatus,
  other_names: readonly string[],
  options: Options,
): Promise<Part[]> {
  const paint = paintFor(context);
  const { table } = await import('../terminal/table.ts');
  const { relativeTime } = await import('../terminal/relative_time.ts');
  const { describePolicy } = await import('../../contract/use/rules.ts');
  const { reconnectArguments } = await import('../../services/missing_fields.ts');
  const { updateArguments } = await import('../terminal/write_result.ts');
  const lines: Part[] = [line`${service.name}: ${paint(STYLES[status.status], status.status)}`];
  if (status.updated_at !== null) {
    lines.push(`Changed ${relativeTime(status.updated_at, new Date())} by ${status.modified_by ?? ''}`);
  }
  if (status.credential_id !== null)
    lines.push(`Credential ${status.credential_id} (${status.credential_type})`);
  const policy = describePolicy(status.use_policy);
  if (policy !== null) lines.push(`Limited to ${policy}`);
  if (status.last_used_at !== null) lines.push(`Last used ${relativeTime(status.last_used_at, new Date())}`);
  lines.push(...(await testAndExpiry(status, paint)));
  // Servers of earlier versions send none.
  if ((status.destination ?? []).length > 0) lines.push(`Sent to ${status.destination?.join(', ')} only`);
  if (status.protected) lines.push('Protected: only the person at the machine of the vault changes it');
  if (options.stack !== undefined) lines.push(`Stack ${options.stack}`);
  if (other_names.length > 0) lines.push(`Stored under other names: ${other_names.join(', ')} (--name)`);
  const fields = [
    ...Object.entries(status.required_credentials).map(([id, presence]) => [id, 'required', presence]),
    ...Object.entries(status.optional_credentials).map(([id, presence]) => [id, 'optional', presence]),
  ].map(([id = '', kind = '', presence = '']) => [
    id,
    kind,
    paint(presence === 'added' ? 'green' : 'dim', presence),
  ]);
  lines.push('', await table(['FIELD', 'KIND', 'STATE'], fields, paint));
  if (!status.required_credentials_added) {
    const words =
      status.status === 'missing'
        ? ['store', service.slug]
        : updateArguments(context, service, status, options);
    // The name of a missing credential is not repeated: it may be a misplaced value.
    const next =
      status.status === 'missing'
        ? `keyhold ${words.join(' ')}${sameOptions(options)}`
        : nextCommand(words, options);
    lines.push('', `Next: ${next}`);
  }
  // Servers of earlier versions send none.
  const pending = status.pending_approval ?? undefined;
  if (pending !== undefined)
    lines.push(
      '',
      `New values wait for approval: ${pending.fields.join(', ')}`,
      `Next: keyhold approvals show ${pending.approval_id}`,
    );
  if (status.status === 'needs_review')
    lines.push(
      '',
      'Not used until a person approves where it is sent.',
      `Next: keyhold approvals show ${status.credential_id}`,
    );
  if (status.status === 'needs_reconnect')
    lines.push('', 'Connect it again.', `Next: ${nextCommand(reconnectArguments(service), options)}`);
  if (status.status === 'rejected')
    lines.push(
      '',
      `${service.name} refused the stored values.`,
      `Next: ${nextCommand(['store', service.slug], options)}`,
    );
  return lines;
}

/** Servers of earlier versions send no test. */
async function testAndExpiry(
  { last_test = null, expires_at }: CredentialStatus,
  paint: Paint,
): Promise<Part[]> {
  const { describeExpiry, relativeTime } = await import('../terminal/relative_time.ts');
  const now = new Date();
  const lines: Part[] = [];
  if (last_test !== null) {
    const { at, result, message } = last_test;
    lines.push(line`Tested ${relativeTime(at, now)}: ${paint(TEST_STYLES[result], result)}. ${message}`);
  }
  const expiry = describeExpiry(expires_at, now);
  return expiry === null ? lines : [...lines, `The credential ${expiry}`];
}
