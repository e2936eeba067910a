/**
 * Rules for definitions that do not come with Keyhold: somebody else may have written them. They decide where credentials
 * are sent, and their texts reach terminals and models.
 */
import type fs from 'node:fs';
import { VaultError } from '../contract/errors.ts';
import { UNPRINTABLE_CHARACTER_PATTERN } from '../contract/patterns.ts';
import type { Service } from '../contract/service/service.ts';
import { fieldsIn } from '../contract/service/texts.ts';
import { pathWritableByOthers } from '../io/file_access.ts';
import { isLoopbackHost } from '../io/server_url.ts';
import { definitionError } from './definition.ts';
import { compilePattern } from './pattern.ts';
import { changesPrograms } from './variable_names.ts';

/** The host of a URL with http. Not parsed as a URL, which takes `\` for a slash: other programs may not. */
const HTTP_HOST = /^http:\/\/([^/?#]*?)(?::\d{1,5})?(?:[/?#]|$)/;

/** Throws `definitionError` for a definition that could leak a secret or deceive its readers. */
export function checkCustomDefinition(service: Service, file_name: string): void {
  checkTexts(service, '', file_name);
  const secrets = new Set(service.fields.filter(({ secret }) => secret).map(({ field_id }) => field_id));
  const { base_url, hosts, oauth } = service;
  const destinations: readonly (readonly [path: string, text: string | undefined])[] = [
    ...hosts.map((host, at) => [`hosts[${at}]`, host] as const),
    ['base_url', base_url],
    ['oauth.authorization_url', oauth?.authorization_url],
    ['oauth.token_url', oauth?.token_url],
    ['oauth.revocation_url', oauth?.revocation_url],
    ['oauth.introspection_url', oauth?.introspection_url],
    ['oauth.userinfo_url', oauth?.userinfo_url],
  ];
  for (const [path, text = ''] of destinations) {
    if (fieldsIn(text).some((id) => secrets.has(id)))
      throw definitionError(file_name, path, 'has a secret field: its value would be part of an address');
  }
  if (base_url?.startsWith('http:') && !isLoopbackHost(HTTP_HOST.exec(base_url)?.[1] ?? ''))
    throw definitionError(file_name, 'base_url', 'must be an https URL: http exposes the credential');
  checkVariables(service, file_name);
  service.fields.forEach(({ pattern }, at) => {
    if (pattern === undefined) return;
    try {
      compilePattern(pattern);
    } catch {
      const reason =
        'is not a pattern that RE2 can run: no look-around, no back references, at most 1000 repetitions';
      throw definitionError(file_name, `fields[${at}].pattern`, reason);
    }
  });
}

/** Throws `definitionError` for a variable with which `keyhold run` would let a value decide what programs do. */
function checkVariables({ fields, environment = {} }: Service, file_name: string): void {
  const named = fields.flatMap(({ env = [], env_file = [] }, at) => [
    ...env.map((name) => [`fields[${at}].env`, name] as const),
    ...env_file.map((name) => [`fields[${at}].env_file`, name] as const),
  ]);
  const templated = Object.keys(environment).map((name) => ['environment', name] as const);
  for (const [path, name] of [...named, ...templated]) {
    if (changesPrograms(name))
      throw definitionError(
        file_name,
        path,
        'has a variable that decides which programs or code run, or how Keyhold works; name another variable',
      );
  }
}

/** Walks all texts. A line break or tab is allowed in a body only; elsewhere the schema or a header refuses it. */
function checkTexts(value: unknown, path: string, file_name: string): void {
  if (typeof value === 'string') {
    const is_body = path === 'injection.body' || path === 'test.body';
    if (UNPRINTABLE_CHARACTER_PATTERN.test(is_body ? value.replace(/[\n\t]/g, ' ') : value))
      throw definitionError(file_name, path, 'has a control or invisible character');
    return;
  }
  if (Array.isArray(value)) {
    for (const [at, one] of value.entries()) checkTexts(one, `${path}[${at}]`, file_name);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      const is_printable = /^[a-z_]{1,40}$/.test(key);
      checkTexts(key, is_printable ? path : `${path}[a key]`, file_name);
      checkTexts(inner, `${path === '' ? '' : `${path}.`}${is_printable ? key : '[a key]'}`, file_name);
    }
  }
}

/**
 * Throws `definitionError` unless the file belongs to the user of the process or to root and no other user may write it:
 * a user who can change it decides where credentials are sent. Windows has access lists instead.
 */
export function checkDefinitionFile({ uid: owner, mode }: fs.Stats, file_name: string): void {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  if (owner !== uid && owner !== 0)
    throw definitionError(file_name, '', 'belongs to another user; make it your own, or remove it');
  if ((mode & 0o022) !== 0)
    throw definitionError(
      file_name,
      '',
      'may be changed by other users; check its hosts, then run chmod go-w on it',
    );
}

/** Throws INVALID_INPUT if every user may change the folder or a folder on the path to it, and so replace its files. */
export function checkDefinitionFolder(folder: string): void {
  if (writableByOthers(folder) === undefined) return;
  throw new VaultError(
    'INVALID_INPUT',
    'Every user of this machine can replace the service definitions, because their folder or one on the path to it is writable for all. Check the hosts in the definitions, then run `chmod o-w` on that folder.',
    { reason: 'service_definition_invalid' },
  );
}

function writableByOthers(folder: string): string | undefined {
  try {
    return pathWritableByOthers(folder);
  } catch (cause) {
    const message = 'The folder of service definitions cannot be checked. Check the permissions of its path.';
    throw new VaultError('UNAVAILABLE', message, { reason: 'unreadable', cause });
  }
}
