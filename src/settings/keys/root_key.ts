/** Parses KEYHOLD_ROOT_KEY: where the root key is, or the key of a key service that encrypts it. */
import { VaultError } from '../../contract/errors.ts';
import { ENV_NAME_PATTERN } from '../../contract/service/texts.ts';
import { invalidSetting } from '../environment.ts';
import { resolvePath } from '../folders.ts';

export type RootKeySetting =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'passphrase' }
  | { readonly kind: 'keychain'; readonly name: string | undefined }
  | { readonly kind: 'transit'; readonly origin: string; readonly mount: string; readonly name: string }
  | { readonly kind: 'aws-kms'; readonly arn: string; readonly region: string };

/** Follows the name of the setting in an error. */
export const ROOT_KEY_RULE =
  'must be file:PATH, env:NAME, passphrase, keychain, keychain:NAME, transit:https://HOST:PORT/MOUNT/NAME or aws-kms:ARN';

const KEYCHAIN = /^keychain(?::([A-Za-z0-9_.-]{1,100}))?$/;
/** Mounts may have slashes. */
const TRANSIT_PATH = /^\/((?:[A-Za-z0-9_.-]{1,100}\/){1,8})([A-Za-z0-9_.-]{1,100})$/;
const KMS_ARN = /^arn:aws[a-z-]*:kms:([a-z0-9-]{1,40}):[0-9]{12}:(?:key|alias)\/[A-Za-z0-9_/-]{1,256}$/;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Undefined for a text that names no source. */
export function parseRootKey(text: string, home: string, env: NodeJS.ProcessEnv): RootKeySetting | undefined {
  const [kind = ''] = text.split(':', 1);
  const rest = text.slice(kind.length + 1);
  switch (kind) {
    case 'file':
      return rest === '' ? undefined : { kind, path: resolvePath('KEYHOLD_ROOT_KEY', rest, home, env) };
    case 'env':
      return ENV_NAME_PATTERN.test(rest) ? { kind, name: rest } : undefined;
    case 'passphrase':
      return text === kind ? { kind } : undefined;
    case 'keychain': {
      const found = KEYCHAIN.exec(text);
      return found === null ? undefined : { kind, name: found[1] };
    }
    case 'transit':
      return parseTransit(rest);
    case 'aws-kms': {
      const [arn, region] = KMS_ARN.exec(rest) ?? [];
      return arn === undefined || region === undefined ? undefined : { kind, arn, region };
    }
    default:
      return undefined;
  }
}

/** The source of a new root key. Throws INVALID_INPUT, without the text, which may be a misplaced key. */
export function parseNewRootKey(text: string, home: string, env: NodeJS.ProcessEnv): RootKeySetting {
  const parsed = parseRootKey(text.trim(), home, env);
  if (parsed !== undefined) return parsed;
  throw new VaultError('INVALID_INPUT', `The source of the new root key ${ROOT_KEY_RULE}.`);
}

/** Without TLS only on this machine: the token and the root key would be readable on the network. */
function parseTransit(text: string): RootKeySetting | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return undefined;
  if (!isProtected(text)) return undefined;
  const [, mount, name] = TRANSIT_PATH.exec(url.pathname) ?? [];
  if (mount === undefined || name === undefined) return undefined;
  return { kind: 'transit', origin: url.origin, mount: mount.slice(0, -1), name };
}

/**
 * The variables with which all clients of AWS are directed to another endpoint. Throws INVALID_INPUT, reason `setting_invalid`, for
 * one without TLS that is not on this machine.
 */
export function assertKmsEndpoint(env: NodeJS.ProcessEnv): void {
  for (const name of ['AWS_ENDPOINT_URL_KMS', 'AWS_ENDPOINT_URL'])
    if (env[name] && !isProtected(env[name])) throw invalidSetting(`${name} must begin with https://`);
}

function isProtected(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && LOOPBACK.test(url.hostname));
}

/** The setting that selects the same source, with an absolute path. */
export function rootKeyText(root_key: RootKeySetting): string {
  switch (root_key.kind) {
    case 'file':
      return `file:${root_key.path}`;
    case 'env':
      return `env:${root_key.name}`;
    case 'passphrase':
      return root_key.kind;
    case 'keychain':
      return root_key.name === undefined ? root_key.kind : `keychain:${root_key.name}`;
    case 'transit':
      return `transit:${root_key.origin}/${root_key.mount}/${root_key.name}`;
    case 'aws-kms':
      return `aws-kms:${root_key.arn}`;
  }
}
