/**
 * `keyhold connect`: a person permits access to a service in a browser, and the tokens are stored. Opens the page of the running
 * server; without one, this command receives the callback. No secret is in an argument.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { Connected, ConnectGrant, ConnectInput } from '../../contract/connection.ts';
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';
import type { Vault } from '../../vault/vault.ts';
import type { BrowserFile } from '../browser/browser_file.ts';
import { assertLocal } from '../connect/server_option.ts';
import type { CliContext } from '../context.ts';
import { nextCommand, type Selectors } from '../terminal/next_command.ts';
import { examples, note, print, printJson } from '../terminal/output.ts';

interface Options extends Selectors {
  readonly device?: boolean;
  /** False with --no-browser. */
  readonly browser?: boolean;
  readonly json?: boolean;
}

/** The parts of one run. */
interface Run {
  readonly context: CliContext;
  readonly service: Service;
  readonly input: ConnectInput;
  readonly options: Options;
}

/** Between two looks at the state of a device code, which this process polls for. */
const DEVICE_POLL_MS = 250;

export function connectCommand(context: CliContext): Command {
  return new Command('connect')
    .description('Connect a service with OAuth: you permit access in a browser, and the tokens are stored.')
    .argument('<service>', 'full id of the service')
    .option('--name <name>', 'name of the credential, if a service has several')
    .option('--stack <stack>', 'the stack to store it in (default: default)')
    .option('--device', 'show a code to enter at the service, for example on your phone')
    .option('--no-browser', 'open no browser: print the URL only')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
The client id and the secret of your own client at the service are stored first: from prompts, or without a
terminal from a JSON object of field ids and values on standard input.
${examples('keyhold connect github', 'keyhold connect slack --name work', 'keyhold connect github --device')}`,
    )
    .action((typed: string, options: Options) => connect(context, typed, options));
}

async function connect(context: CliContext, typed: string, options: Options): Promise<void> {
  assertLocal(context.env, 'connect', 'Connect on the pages of that server: sign in there.');
  const [{ findService, loadCatalogue }, { assertConnectable, connectFields }] = await Promise.all([
    import('./find_service.ts'),
    import('../../services/oauth/connect.ts'),
  ]);
  const service = await findService(await loadCatalogue(context), typed, { allow_prefix: false });
  const grant: ConnectGrant = options.device === true ? 'device_code' : 'authorization_code';
  // Only whether the service offers the grant: missing fields are entered below.
  assertConnectable(
    service,
    grant,
    connectFields(service, grant, []).map(({ field_id }) => field_id),
  );
  const { name, stack } = options;
  const input = {
    service_id: service.slug,
    ...(name === undefined ? {} : { name }),
    ...(stack === undefined ? {} : { stack_id: stack }),
  };
  const run = { context, service, input, options };
  if (grant === 'authorization_code' && (await openServerPage(run))) return;
  const { createForWriting } = await import('../connect/presence.ts');
  const connected = await context.withVault(createForWriting(context), (vault) =>
    grant === 'device_code' ? connectDevice(run, vault) : connectHere(run, vault),
  );
  await printConnected(run, connected);
}

/** Returns false if no server of this home runs. */
async function openServerPage({ context, input, options }: Run): Promise<boolean> {
  const { openSignedIn, runningServer } = await import('../browser/signed_in_page.ts');
  const url = await runningServer(context);
  if (url === undefined) return false;
  const { connectUrl } = await import('../../contract/pages.ts');
  const next = connectUrl('', {
    service_id: input.service_id,
    stack_id: input.stack_id,
    name: input.name ?? null,
  });
  if (options.json !== true) await note(context, ['The running server connects it. Its page:', url + next]);
  await openSignedIn(context, url, next, { print: options.browser === false, json: options.json });
  return true;
}

/** Authorization code grant: receives the callback on the fixed port of this machine. */
async function connectHere(run: Run, vault: Vault): Promise<Connected> {
  const { context, input, service } = run;
  const [{ callbackUrl }, { untilInterrupted }] = await Promise.all([
    import('../../contract/pages.ts'),
    import('../browser/interrupt.ts'),
  ]);
  const connections = context.connections(vault);
  // First, so that a port that is taken is reported before a value is typed.
  const listener = await context.listenForCallback(vault);
  let file: BrowserFile | undefined;
  try {
    const redirect_uri = callbackUrl(listener.base_url);
    await storeMissing(run, vault, 'authorization_code', redirect_uri);
    const { authorization_url, expires_at } = await connections.start(context.caller(), input, redirect_uri);
    const outcome = listener.outcome(new URL(authorization_url).searchParams.get('state') ?? '');
    file = await writeAuthorization(run, authorization_url);
    return await untilInterrupted(async () => {
      await showAuthorization(run, authorization_url, file);
      await note(context, `Waiting for ${service.name} until ${clockTime(expires_at)}. Ctrl-C ends it.`);
      return Promise.race([outcome, expire(service)]);
    });
  } finally {
    file?.remove();
    await listener.close();
  }
}

/** The URL has the state of RFC 6749: a browser gets it from a file, not from an argument. */
async function writeAuthorization({ context, options }: Run, url: string): Promise<BrowserFile | undefined> {
  if (options.browser === false) return undefined;
  const { browserPage, escapeAttribute, writeBrowserFile } = await import('../browser/browser_file.ts');
  const href = escapeAttribute(url);
  const body = `<meta http-equiv="refresh" content="0; url=${href}">\n<p><a href="${href}">Continue</a></p>`;
  return writeBrowserFile(context, 'connect', browserPage('Connect', body));
}

async function showAuthorization(
  { context, service }: Run,
  url: string,
  file: BrowserFile | undefined,
): Promise<void> {
  await note(context, [`Permit access to ${service.name} in a browser:`, url]);
  if (file === undefined) return;
  const { openBrowser } = await import('../browser/browser_file.ts');
  if (!(await openBrowser(context, file)))
    await note(context, 'No browser could be started. Open the URL above in one on this machine.');
}

/** Device code grant: this process polls the provider in the background. */
async function connectDevice(run: Run, vault: Vault): Promise<Connected> {
  const { context, input, service } = run;
  const { untilInterrupted } = await import('../browser/interrupt.ts');
  const connections = context.connections(vault);
  await storeMissing(run, vault, 'device_code');
  const device = await connections.startDevice(context.caller(), input);
  return untilInterrupted(async () => {
    await note(context, [
      'Open this address, for example on your phone:',
      device.verification_uri,
      'Enter this code:',
      device.user_code,
      `Waiting for ${service.name} until ${clockTime(device.expires_at)}. Ctrl-C ends it.`,
    ]);
    for (;;) {
      const state = await connections.deviceState(context.caller(), device.device_id);
      if (state.state === 'connected') return state.connected;
      if (state.state === 'declined') throw declined(service);
      if (state.state === 'expired') throw expired(service);
      if (state.state === 'failed') throw new VaultError('UPSTREAM', state.message);
      await sleep(DEVICE_POLL_MS);
    }
  });
}

/** Stores the fields that a connection needs, such as the client id. Optional ones are prompted for with a required one only. */
async function storeMissing(
  run: Run,
  vault: Vault,
  grant: ConnectGrant,
  redirect_uri?: string,
): Promise<void> {
  const { context, service, input } = run;
  const { assertConnectable, connectFields } = await import('../../services/oauth/connect.ts');
  const status = await vault.status(context.caller(), input);
  const presence = { ...status.required_credentials, ...status.optional_credentials };
  const stored = Object.keys(presence).filter((field_id) => presence[field_id] === 'added');
  const missing = connectFields(service, grant, stored).filter(({ added }) => !added);
  if (!missing.some(({ required }) => required)) return;
  if (redirect_uri !== undefined)
    await note(context, [
      `${service.name} is connected with your own client there. Register this redirect URI for it:`,
      redirect_uri,
    ]);
  const { isTerminal } = await import('../terminal/prompt.ts');
  const credentials = isTerminal(context)
    ? await promptMissing(run, missing)
    : await readMissing(
        run,
        missing.map(({ field_id }) => field_id),
      );
  assertConnectable(service, grant, [...stored, ...Object.keys(credentials)]);
  await vault.update(context.caller(), { ...input, credentials });
}

async function promptMissing(
  { context, service }: Run,
  missing: readonly { readonly field_id: string; readonly required: boolean }[],
): Promise<Record<string, string>> {
  const [{ promptField }, { fieldOf }] = await Promise.all([
    import('../terminal/prompt_fields.ts'),
    import('../terminal/read_fields.ts'),
  ]);
  const given: Record<string, string> = {};
  // As in `store`, the required ones first.
  const in_order = [...missing].sort((a, b) => Number(b.required) - Number(a.required));
  for (const { field_id, required } of in_order) {
    const field = fieldOf(service, field_id);
    const value = await promptField(context, service, field, { needed: required, hidden: field.secret });
    if (value !== undefined) given[field_id] = value;
  }
  return given;
}

async function readMissing(
  { context, service }: Run,
  field_ids: readonly string[],
): Promise<Record<string, string>> {
  const { readObject } = await import('../terminal/read_fields.ts');
  const given = Object.fromEntries(await readObject(context, service));
  const other = Object.keys(given).find((field_id) => !field_ids.includes(field_id));
  if (other === undefined) return given;
  throw new VaultError(
    'INVALID_INPUT',
    `Standard input may have these fields only: ${field_ids.join(', ')}. Others are stored already, or come from ${service.name}.`,
  );
}

async function printConnected({ context, options }: Run, connected: Connected): Promise<void> {
  if (options.json === true) return printJson(context, connected);
  const { service_id, service_name, missing_scopes, is_refreshable, expires_at } = connected;
  const lines = [`Connected ${service_name}.`];
  if (missing_scopes.length > 0) lines.push(`Not granted there: ${missing_scopes.join(', ')}`);
  if (!is_refreshable)
    lines.push(
      expires_at === null
        ? 'It has no refresh token: connect again when the access ends.'
        : `It has no refresh token: connect again when the access ends, at ${expires_at}.`,
    );
  await print(context, [...lines, `Next: ${nextCommand(['test', service_id], options)}`]);
}

async function expire(service: Service): Promise<never> {
  const { CONNECTION_AGE_MS } = await import('../../contract/limits.ts');
  await sleep(CONNECTION_AGE_MS, undefined, { ref: false });
  throw expired(service);
}

/** Hours and minutes in UTC. */
function clockTime(timestamp: string): string {
  return `${timestamp.slice(11, 16)} UTC`;
}

function expired({ name }: Service): VaultError {
  return new VaultError('EXPIRED', `${name} was not connected in time. Nothing was stored. Connect again.`);
}

function declined({ name }: Service): VaultError {
  const message = `Access to ${name} was declined there. Nothing was stored. Connect again if that was a mistake.`;
  return new VaultError('FORBIDDEN', message, { reason: 'connection_declined' });
}
