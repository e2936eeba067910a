/** Reads a secret of the operator from a setting, or from the file that another setting names. */
import { readFileSync, statSync } from 'node:fs';
import { VaultError } from '../contract/errors.ts';
import { Secret } from '../contract/secret.ts';
import { assertNoReference, invalidSetting } from './environment.ts';
import { resolvePath } from './folders.ts';

const SECRET_MAX_BYTES = 4096;

/**
 * `undefined` if neither is set. A relative path starts at `home`. Throws INVALID_INPUT if both are set, for a file that cannot
 * be read, and for a secret that is empty, too long, or a reference that was not replaced.
 */
export function readSecretSetting(
  env: NodeJS.ProcessEnv,
  { name, file_setting }: { readonly name: string; readonly file_setting: string },
  home: string,
): Secret | undefined {
  const { [name]: text, [file_setting]: file } = env;
  if (text !== undefined && file !== undefined)
    throw invalidSetting(`${name} must not be set too when ${file_setting} is`);
  if (file !== undefined)
    return toSecret(`${file_setting} must name a file that`, readText(file_setting, file, home, env));
  if (text === undefined) return undefined;
  assertNoReference(name, text);
  return toSecret(`${name} must be a text that`, text);
}

function toSecret(rule: string, text: string): Secret {
  const secret = text.trim();
  if (secret !== '' && Buffer.byteLength(secret) <= SECRET_MAX_BYTES) return new Secret(secret);
  throw invalidSetting(`${rule} is not empty and has at most ${SECRET_MAX_BYTES} bytes`);
}

function readText(setting: string, file: string, home: string, env: NodeJS.ProcessEnv): string {
  const path = resolvePath(setting, file, home, env);
  try {
    return statSync(path).size > SECRET_MAX_BYTES ? '' : readFileSync(path, 'utf8');
  } catch (cause) {
    const message = `The file that the setting ${setting} names cannot be read. Check the path and its permissions.`;
    throw new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
  }
}
