/**
 * Rules for definitions that do not come with Keyhold: somebody else may have written them. They decide where credentials
 * are sent, and their texts reach terminals and models.
 */
import fs from 'node:fs';
import { UNPRINTABLE_CHARACTER_PATTERN } from '../contract/patterns.ts';
import type { Service } from '../contract/service.ts';
import { definitionError } from './definition.ts';
import { compilePattern } from './pattern.ts';

const PLACEHOLDER = /\{([A-Za-z][A-Za-z0-9_.-]*)\}/g;
const LOOPBACK_URL = /^http:\/\/(?:localhost|127\.0\.0\.1)(?::\d{1,5})?(?:[/?#]|$)/;

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
  ];
  for (const [path, text = ''] of destinations) {
    if ([...text.matchAll(PLACEHOLDER)].some(([, id = '']) => secrets.has(id)))
      throw definitionError(file_name, path, 'has a secret field: its value would be part of an address');
  }
  if (base_url?.startsWith('http:') && !LOOPBACK_URL.test(base_url))
    throw definitionError(file_name, 'base_url', 'must be an https URL: http exposes the credential');
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
 * Throws `definitionError` unless the file is a regular file that belongs to the user of the process or to root and that
 * no other user may write: a user who can change it decides where credentials are sent. Windows has access lists instead.
 */
export function checkDefinitionFile(file_path: string, file_name: string): void {
  const uid = process.getuid?.();
  if (uid === undefined) return;
  const stat = fs.lstatSync(file_path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isFile()) throw definitionError(file_name, '', 'is not a regular file');
  if (stat.uid !== uid && stat.uid !== 0)
    throw definitionError(file_name, '', 'belongs to another user; make it your own, or remove it');
  if ((stat.mode & 0o022) !== 0)
    throw definitionError(
      file_name,
      '',
      'may be changed by other users; check its hosts, then run chmod go-w on it',
    );
}
