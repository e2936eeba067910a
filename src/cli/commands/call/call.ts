/** `keyhold call`: an HTTP request to a service with a stored credential. Writes the body as it arrives, without secret values. */
import { Command } from 'commander';
import { type ErrorCode, VaultError } from '../../../contract/errors.ts';
import type { CallInput, ServiceStream } from '../../../contract/use/call.ts';
import { USE_METHODS, type UseMethod } from '../../../contract/use/rules.ts';
import type { VaultClient } from '../../../contract/vault_client.ts';
import { addServerOptions, type ConnectionOptions } from '../../connect/server_option.ts';
import { connectVault } from '../../connect/vault_connection.ts';
import type { CliContext } from '../../context.ts';
import { examples, note, printJson } from '../../terminal/output.ts';
import { OutputFile } from './output_file.ts';
import { parseHeaders, parseQuery, readBody } from './request_options.ts';
import { writeBody } from './write_body.ts';

interface Options extends ConnectionOptions {
  readonly query?: readonly string[];
  readonly header?: readonly string[];
  readonly data?: string;
  readonly select?: string;
  readonly name?: string;
  readonly stack?: string;
  readonly dryRun?: boolean;
  readonly raw?: boolean;
  readonly output?: string;
  readonly reason?: string;
  readonly json?: boolean;
}

const append = (value: string, previous: readonly string[] = []) => [...previous, value];

export function callCommand(context: CliContext): Command {
  const command = new Command('call')
    .description('Make an HTTP request to a service with its stored credential.')
    .argument('<service>', 'id of a service; the start of one is enough when only one starts so')
    .argument('<method-or-path>', 'the method, or the path for GET (POST with --data)')
    .argument('[path]', 'path of the API, or a full URL of a host of the service')
    .option('-q, --query <name=value>', 'query parameter, not encoded (repeatable)', append)
    .option('-H, --header <name: value>', 'request header, never authentication (repeatable)', append)
    .option('-d, --data <data>', 'request body: text, @FILE, or - for standard input')
    .option('--select <expression>', 'print what this JMESPath expression picks of a JSON body')
    .option('--name <name>', 'which credential of the service')
    .option('--stack <stack>', 'the stack it is in (default: default)')
    .option('--dry-run', 'send nothing; print what would be sent, and whether it is allowed')
    .option('--raw', 'write control characters to a terminal too')
    .option('-o, --output <file>', 'write the body to this file, with mode 0600')
    .option('--reason <text>', 'why: for the audit log, and the person who approves')
    .option('--json', 'print status, headers and body as JSON')
    .addHelpText(
      'after',
      examples(
        'keyhold call github /user',
        "keyhold call github /repos/o/r/issues --query state=open --select '[].title'",
        `keyhold call linear POST /graphql --data '{"query": "{ viewer { name } }"}'`,
        'keyhold call github /repos/o/r/tarball/main --output main.tar.gz',
      ),
    )
    .action((service: string, first: string, second: string | undefined, options: Options) =>
      call(context, service, first, second, options),
    );
  return addServerOptions(command);
}

async function call(
  context: CliContext,
  typed: string,
  first: string,
  second: string | undefined,
  options: Options,
): Promise<void> {
  if (options.json === true && (options.output !== undefined || options.raw === true))
    throw invalid('--json prints the whole result. It does not go with --output or --raw.');
  const is_whole = options.json === true || options.select !== undefined || options.dryRun === true;
  if (is_whole && options.output !== undefined)
    throw invalid('--output writes the body as it arrives. It does not go with --select or --dry-run.');
  const body = options.data === undefined ? undefined : await readBody(context, options.data);
  const { method, path } = methodAndPath(first, second, body !== undefined);
  const connection = await connectVault(context, options);
  const { slug } = await connection.findService(typed);
  const input: CallInput = {
    service_id: slug,
    method,
    path,
    query: parseQuery(options.query ?? []),
    headers: parseHeaders(options.header ?? []),
    ...body,
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.stack === undefined ? {} : { stack_id: options.stack }),
    ...(options.reason === undefined ? {} : { reason: options.reason }),
  };
  await connection.withVault('existing', (vault) =>
    is_whole ? printWhole(context, vault, input, options) : printStream(context, vault, input, options),
  );
}

/** The method may be left out. */
function methodAndPath(
  first: string,
  second: string | undefined,
  has_body: boolean,
): { readonly method: UseMethod; readonly path: string } {
  if (second === undefined) return { method: has_body ? 'POST' : 'GET', path: first };
  const method = USE_METHODS.find((name) => name === first.toUpperCase());
  if (method !== undefined) return { method, path: second };
  throw invalid(`The method must be one of: ${USE_METHODS.join(', ')}.`);
}

async function printWhole(
  context: CliContext,
  vault: VaultClient,
  input: CallInput,
  { select, dryRun, json }: Options,
): Promise<void> {
  const output = await vault.callService({
    ...input,
    max_chars: 200_000,
    ...(select === undefined ? {} : { select }),
    ...(dryRun === true ? { dry_run: true } : {}),
  });
  const { dry_run, body, status, hint, truncated } = output;
  if (json === true) await printJson(context, output);
  else if (dry_run !== undefined) await printJson(context, dry_run);
  else if (body !== undefined) await printJson(context, body);
  if (json !== true && truncated !== undefined)
    await note(context, 'The result is shortened. Select less of it, or leave out --select to get all.');
  if (dry_run !== undefined && !dry_run.allowed) throw new VaultError('FORBIDDEN', dry_run.policy);
  if (status !== undefined) assertSuccess({ ...output, status });
  else if (hint !== undefined) await note(context, hint);
}

async function printStream(
  context: CliContext,
  vault: VaultClient,
  input: CallInput,
  options: Options,
): Promise<void> {
  const file = options.output === undefined ? undefined : new OutputFile(options.output);
  let response: ServiceStream;
  try {
    response = await vault.streamService(input);
    await writeBody(context, response, { file, is_raw: options.raw === true });
  } finally {
    file?.close();
  }
  const { location } = response.headers;
  if (response.status >= 300 && response.status < 400 && location !== undefined)
    await note(context, `Redirect to ${location}, not followed.`);
  assertSuccess(response);
}

/** Throws the error whose exit code is that of the status, after the body was written. */
function assertSuccess({
  status,
  hint = '',
  retry,
  retry_after,
}: Pick<ServiceStream, 'status' | 'retry' | 'retry_after'> & { readonly hint?: string | undefined }): void {
  if (status < 400) return;
  const message = `The service responded with status ${status}. ${hint}`.trim();
  throw new VaultError(codeOf(status), message, { next: hint, retry, retry_after });
}

function codeOf(status: number): ErrorCode {
  const codes: Readonly<Record<number, ErrorCode>> = {
    401: 'UNAUTHENTICATED',
    403: 'FORBIDDEN',
    404: 'NOT_FOUND',
    409: 'CONFLICT',
    410: 'NOT_FOUND',
    429: 'RATE_LIMITED',
  };
  return codes[status] ?? (status >= 500 ? 'UPSTREAM' : 'INVALID_INPUT');
}

function invalid(message: string): VaultError {
  return new VaultError('INVALID_INPUT', message);
}
