/** The options and settings that name a server, and the API key for it. Sends nothing, and no message repeats a key. */
import { closeSync, openSync, readSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import { parseServerUrl } from '../../io/server_url.ts';
import { assertNoReference, cleanSetting } from '../../settings/environment.ts';
import type { CliContext } from '../context.ts';

export interface ConnectionOptions {
  readonly url?: string;
  readonly keyFile?: string;
}

export interface ServerOption {
  readonly url: URL;
  /** Path of the file that holds the API key. Without it, the key is read from KEYHOLD_API_KEY or a prompt. */
  readonly key_file: string | undefined;
}

const HELP_GROUP = 'On a server:';
/** A key has 79 characters; a much longer file is the wrong file. */
const KEY_FILE_MAX_BYTES = 1024;
/** The characters that an HTTP header can carry. The server decides whether the key is valid. */
const KEY_PATTERN = /^[\x21-\x7e]+$/;

/** Adds --url and --key-file to a command. */
export function addServerOptions(command: Command): Command {
  const url = new Option('--url <url>', 'use the vault of this server (default: KEYHOLD_URL)');
  const key_file = new Option(
    '--key-file <file>',
    'read the API key from this file (default: KEYHOLD_API_KEY)',
  );
  return command.addOption(url.helpGroup(HELP_GROUP)).addOption(key_file.helpGroup(HELP_GROUP));
}

/** Returns `undefined` for the local vault. Throws INVALID_INPUT for a URL that must not receive a key. */
export function serverOption(
  env: NodeJS.ProcessEnv,
  url: string | undefined,
  key_file: string | undefined,
): ServerOption | undefined {
  const setting = urlSetting(env);
  if (url !== undefined) return { url: parseServerUrl(url, '--url'), key_file };
  if (setting !== '') return { url: parseServerUrl(setting, 'The setting KEYHOLD_URL'), key_file };
  if (key_file === undefined) return undefined;
  throw new VaultError(
    'INVALID_INPUT',
    '--key-file is the API key for a server. Name the server: --url URL, or set KEYHOLD_URL.',
  );
}

/** Whether the options or the environment name a server. */
export function namesServer(env: NodeJS.ProcessEnv, { url }: { readonly url?: string | undefined }): boolean {
  return url !== undefined || urlSetting(env) !== '';
}

/** Throws INVALID_INPUT if KEYHOLD_URL names a server and `command` works on this machine only. */
export function assertLocal(env: NodeJS.ProcessEnv, command: string, instead: string): void {
  if (urlSetting(env) === '') return;
  throw new VaultError(
    'INVALID_INPUT',
    `The setting KEYHOLD_URL names a server, and \`keyhold ${command}\` works on this machine only. ${instead} To work here, unset KEYHOLD_URL.`,
  );
}

function urlSetting({ KEYHOLD_URL = '' }: NodeJS.ProcessEnv): string {
  return cleanSetting('KEYHOLD_URL', KEYHOLD_URL);
}

/**
 * Reads the API key from --key-file, KEYHOLD_API_KEY or a hidden prompt, in this order; never from an argument. Throws
 * UNAUTHENTICATED without a key and INVALID_INPUT for a malformed one.
 */
export async function readApiKey(context: CliContext, { url, key_file }: ServerOption): Promise<Secret> {
  if (key_file !== undefined) return parseApiKey(readKeyFile(key_file), 'The file that --key-file names');
  const from_env = context.env.KEYHOLD_API_KEY ?? '';
  assertNoReference('KEYHOLD_API_KEY', from_env);
  if (from_env.trim() !== '') return parseApiKey(from_env, 'KEYHOLD_API_KEY');
  const typed = await context.promptSecret(`API key for ${url.host}`);
  if (typed !== undefined) return parseApiKey(typed.reveal(), 'The input');
  throw new VaultError(
    'UNAUTHENTICATED',
    'The server needs an API key. Set KEYHOLD_API_KEY, or name a file that holds the key with --key-file FILE.',
  );
}

function parseApiKey(text: string, source: string): Secret {
  const key = text.trim();
  if (KEY_PATTERN.test(key)) return new Secret(key);
  const problem =
    key === '' ? 'contains no API key' : 'is not an API key: it must be one line without spaces';
  throw new VaultError('INVALID_INPUT', `${source} ${problem}.`);
}

/** Reads until the end instead of checking the size first, so that a pipe works too, such as <(command) in a shell. */
function readKeyFile(path: string): string {
  const buffer = Buffer.alloc(KEY_FILE_MAX_BYTES + 1);
  let size = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (let read = -1; read !== 0 && size < buffer.length; size += read) {
        read = readSync(file, buffer, size, buffer.length - size, null);
      }
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new VaultError(
      'INVALID_INPUT',
      'The file that --key-file names cannot be read. Give the path of a file that holds the API key; the key itself is never an argument.',
      { cause },
    );
  }
  if (size > KEY_FILE_MAX_BYTES)
    throw new VaultError('INVALID_INPUT', 'The file that --key-file names is too long to be an API key.');
  return buffer.toString('utf8', 0, size);
}
