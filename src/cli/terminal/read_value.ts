/**
 * Reads values from a hidden prompt, standard input or an environment variable. Never from an argument, which other users of
 * the machine can see and the shell history keeps.
 */
import { VaultError } from '../../contract/errors.ts';
import { SEALED_VALUE_MAX_CHARACTERS, VALUE_MAX_BYTES } from '../../contract/limits.ts';
import { Secret } from '../../contract/secret.ts';
import type { Service } from '../../contract/service/service.ts';
import { ENV_NAME_PATTERN } from '../../contract/service/texts.ts';
import { normalizeValue } from '../../vault/values/value_text.ts';
import type { CliContext } from '../context.ts';
import { type Selectors, sameOptions } from './next_command.ts';

export interface ValueOptions {
  readonly stdin?: boolean;
  /** Name of an environment variable. */
  readonly fromEnv?: string;
}

/** The end of the messages about a missing or misplaced value. */
export const VALUE_INPUT_HELP =
  'Leave it out for a prompt, pipe it in with --stdin, or name an environment variable with --from-env NAME.';

/** Whether the value comes from a prompt. */
export function willPrompt(context: CliContext, { stdin, fromEnv }: ValueOptions): boolean {
  return stdin !== true && fromEnv === undefined && context.stdin.isTTY === true;
}

/** Reads one value, plain or `sealed:`. Throws INVALID_INPUT without one. */
export async function readValue(
  context: CliContext,
  options: ValueOptions,
  question: string,
): Promise<Secret> {
  if (options.stdin === true && options.fromEnv !== undefined) {
    throw new VaultError('INVALID_INPUT', '--stdin and --from-env exclude each other. Leave one out.');
  }
  if (options.fromEnv !== undefined) return readEnv(context, options.fromEnv);
  if (!willPrompt(context, options)) return readStdinValue(context);
  const value = await context.promptSecret(question);
  if (value === undefined) throw new VaultError('INVALID_INPUT', `No value was given. ${VALUE_INPUT_HELP}`);
  return value;
}

/** Rejects a JSON object of fields in place of one value: stored as a token, it would look complete and never work. */
export function assertNoFields({ name, slug, fields }: Service, value: string, options: Selectors): void {
  if (!value.trimStart().startsWith('{')) return;
  let json: object;
  try {
    json = JSON.parse(value);
  } catch {
    return;
  }
  if (!fields.some(({ field_id }) => Object.hasOwn(json, field_id))) return;
  throw new VaultError(
    'INVALID_INPUT',
    `The value is a JSON object with fields of ${name}. Store them with \`keyhold update ${slug} --create --stdin\`${sameOptions(options)}.`,
  );
}

/** The value of an environment variable. Messages do not repeat the name: it may be a misplaced value. */
export function readEnv(context: CliContext, name: string): Secret {
  if (!ENV_NAME_PATTERN.test(name)) {
    throw new VaultError(
      'INVALID_INPUT',
      '--from-env takes the name of an environment variable: letters, digits and "_".',
    );
  }
  const value = context.env[name];
  if (value === undefined || value === '') {
    throw new VaultError(
      'INVALID_INPUT',
      'The environment variable that --from-env names is not set, or is empty.',
    );
  }
  return new Secret(value);
}

/** Rejects --stdin in a terminal, which echoes what is typed. */
export function assertNotTerminal(context: CliContext): void {
  if (context.stdin.isTTY === true) {
    throw new VaultError(
      'INVALID_INPUT',
      '--stdin takes a pipe or a file. Standard input is a terminal, which would show the value. Leave --stdin out for a prompt.',
    );
  }
}

/** All of standard input as one value. The vault removes white space around it. */
export async function readStdinValue(context: CliContext): Promise<Secret> {
  assertNotTerminal(context);
  const too_large = `The value on standard input is larger than ${VALUE_MAX_BYTES / 1024} KiB.`;
  const text = await readStdin(context, SEALED_VALUE_MAX_CHARACTERS + '\r\n'.length, too_large);
  const value = normalizeValue(text);
  if (value === '') throw new VaultError('INVALID_INPUT', `Standard input is empty. ${VALUE_INPUT_HELP}`);
  return new Secret(value);
}

/**
 * All of standard input as text, without a byte order mark. Throws INVALID_INPUT with `too_large` above the limit, and
 * for bytes that are not text.
 */
export async function readStdin(context: CliContext, max_bytes: number, too_large: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of context.stdin) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > max_bytes) throw new VaultError('INVALID_INPUT', too_large);
    chunks.push(bytes);
  }
  const bytes = Buffer.concat(chunks);
  try {
    // Also removes a byte order mark, which PowerShell writes.
    return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
  } catch {
    throw new VaultError(
      'INVALID_INPUT',
      'Standard input is not UTF-8 text. Encode the value, for example in base64.',
    );
  }
}

/** UTF-16 with a byte order mark is what Windows PowerShell writes into a file. */
function encodingOf(bytes: Buffer): 'utf-8' | 'utf-16le' | 'utf-16be' {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
}
