/** Which server a command line means, if any, and whether a key may be sent there. Sends nothing. */
import { VaultError } from '../../contract/errors.ts';
import { parseServerUrl } from '../../io/server_url.ts';

export interface ServerOption {
  readonly url: URL;
  /** Path of the file that holds the API key; else it comes from KEYHOLD_API_KEY or is asked for. */
  readonly key_file: string | undefined;
}

/** `undefined`: the vault of this machine is meant. Throws INVALID_INPUT for an address that no key may go to. */
export function serverOption(
  { KEYHOLD_URL = '' }: NodeJS.ProcessEnv,
  url: string | undefined,
  key_file: string | undefined,
): ServerOption | undefined {
  if (url !== undefined) return { url: parseServerUrl(url, '--url'), key_file };
  if (KEYHOLD_URL !== '') return { url: parseServerUrl(KEYHOLD_URL, 'The setting KEYHOLD_URL'), key_file };
  if (key_file === undefined) return undefined;
  throw new VaultError(
    'INVALID_INPUT',
    '--key-file is the API key for a server. Say which: --url URL, or set KEYHOLD_URL.',
  );
}

/** Throws INVALID_INPUT where KEYHOLD_URL names a server and `command` works on this machine only. */
export function assertLocal({ KEYHOLD_URL = '' }: NodeJS.ProcessEnv, command: string, instead: string): void {
  if (KEYHOLD_URL === '') return;
  throw new VaultError(
    'INVALID_INPUT',
    `The setting KEYHOLD_URL names a server, and \`keyhold ${command}\` works on this machine only. ${instead} To work here, unset KEYHOLD_URL.`,
  );
}
