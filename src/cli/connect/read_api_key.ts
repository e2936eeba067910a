/**
 * Gets the API key for a server: from the file that --key-file names, from KEYHOLD_API_KEY, or from a hidden prompt.
 * Never from an argument, and no message repeats any of it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { VaultError } from '../../contract/errors.ts';
import { Secret } from '../../contract/secret.ts';
import type { CliContext } from '../context.ts';
import type { ServerOption } from './server_option.ts';

/** A key has 79 characters; what is much longer is another file. */
const KEY_FILE_MAX_BYTES = 1024;
/** What can stand in a header. The server tells whether it is a key. */
const KEY_PATTERN = /^[\x21-\x7e]+$/;

/** Throws UNAUTHENTICATED where there is no key, and INVALID_INPUT for what cannot be one. */
export async function readApiKey(context: CliContext, { url, key_file }: ServerOption): Promise<Secret> {
  if (key_file !== undefined) return checked(readKeyFile(key_file), 'The file that --key-file names');
  if (context.env.KEYHOLD_API_KEY) return checked(context.env.KEYHOLD_API_KEY, 'KEYHOLD_API_KEY');
  const asked = await context.askSecret(`API key for ${url.host}`);
  if (asked !== undefined) return checked(asked.reveal(), 'What was typed');
  throw new VaultError(
    'UNAUTHENTICATED',
    'The server needs an API key. Set KEYHOLD_API_KEY, or name a file that holds the key with --key-file FILE.',
  );
}

function checked(text: string, where: string): Secret {
  const key = text.trim();
  if (KEY_PATTERN.test(key)) return new Secret(key);
  const wrong = key === '' ? 'holds no API key' : 'is no API key: it must be one line without blanks';
  throw new VaultError('INVALID_INPUT', `${where} ${wrong}.`);
}

/** Read and not looked at before, so that a pipe, such as a shell's <(command), will do as well. */
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
