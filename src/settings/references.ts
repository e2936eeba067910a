/** Parses the settings of references to values outside of the vault: which may be resolved, and the server of `vault://`. */
import * as z from 'zod';
import { invalidSetting, parseEnvironment } from './environment.ts';

export interface ReferenceSettings {
  /** The operator's list, as text; `undefined`: none. */
  readonly allowed: string | undefined;
  /** The server that the command line of HashiCorp Vault and OpenBao uses too. */
  readonly vault_server:
    | { readonly origin: string; readonly token: string; readonly namespace: string | undefined }
    | undefined;
}

const ReferenceEnvironment = z.object({ KEYHOLD_REFERENCES: z.string().optional() });
/** A header value. */
const TOKEN_PATTERN = /^[\x21-\x7e]{1,4096}$/;
const NAMESPACE_PATTERN = /^[A-Za-z0-9_./-]{1,500}$/;

/**
 * Throws INVALID_INPUT for an invalid setting. VAULT_ADDR, VAULT_TOKEN and VAULT_NAMESPACE are read only if the list has an
 * entry for them: they are settings of other programs.
 */
export function parseReferenceSettings(env: NodeJS.ProcessEnv): ReferenceSettings {
  const { KEYHOLD_REFERENCES: allowed } = parseEnvironment(ReferenceEnvironment, env);
  const { VAULT_ADDR: address = '', VAULT_TOKEN: token = '', VAULT_NAMESPACE: namespace = '' } = env;
  if (allowed?.includes('vault://') !== true || address === '' || token === '')
    return { allowed, vault_server: undefined };
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.username !== '')
    throw invalidSetting('VAULT_ADDR must be the http or https URL of a server, without a path');
  if (!TOKEN_PATTERN.test(token)) throw invalidSetting('VAULT_TOKEN must be one line of visible characters');
  if (namespace !== '' && !NAMESPACE_PATTERN.test(namespace))
    throw invalidSetting('VAULT_NAMESPACE must be the name of a namespace');
  return {
    allowed,
    vault_server: { origin: url.origin, token, namespace: namespace === '' ? undefined : namespace },
  };
}
