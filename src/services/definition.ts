/**
 * Validates the JSON of a service definition and gives the service its id. An error names the file, the path in it and
 * the reason, and never repeats a value of the file, which may be a secret in the wrong field.
 */
import crypto from 'node:crypto';
import type * as z from 'zod';
import { VaultError } from '../contract/errors.ts';
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../contract/patterns.ts';
import { type Service, ServiceDefinition } from '../contract/service/service.ts';
import { describeExpectation } from '../contract/validation.ts';

/**
 * The namespace of service ids (RFC 9562, section 6.6): version 5 of `services.keyhold` in the DNS namespace. It must
 * never change: clients of the REST dialects keep these ids.
 */
export const SERVICE_NAMESPACE_UUID = 'a9045b58-98f8-5b31-b067-c18e099e1490';
const NAMESPACE_BYTES = Buffer.from(SERVICE_NAMESPACE_UUID.replaceAll('-', ''), 'hex');

const VIOLATIONS_SHOWN_MAX = 3;
const FILE_NAME_SHOWN_MAX_CHARACTERS = 100;
/** Keys that messages may repeat: plain identifiers. A key with digits or adjacent capitals may be a token. */
const PRINTABLE_KEY = /^(?=.{1,40}$)\$?[A-Z]?[a-z]*(?:[A-Z][a-z]+|[_-](?:[A-Z][a-z]*|[a-z]*))*$/;

/** INVALID_INPUT with reason `service_definition_invalid`: `FILE: PATH: REASON`, without the parts that are empty. */
export function definitionError(file_name: string, path: string, reason: string): VaultError {
  const parts = [printableFileName(file_name), path, reason].filter((part) => part !== '');
  return new VaultError('INVALID_INPUT', parts.join(': '), { reason: 'service_definition_invalid' });
}

/** The last part of a path, safe to print: without folders or control characters, and of limited length. */
export function printableFileName(file_name: string): string {
  const base = file_name.split(/[/\\]/).at(-1) ?? '';
  return base
    .replace(UNPRINTABLE_CHARACTERS_PATTERN, '?')
    .replace(/\p{C}/gu, '?')
    .slice(0, FILE_NAME_SHOWN_MAX_CHARACTERS);
}

/**
 * Validates a definition and adds its id. Throws `definitionError` with the first violations. An `id` in the definition
 * must be the one computed from the slug: any other could be the id of another service.
 */
export function parseDefinition(json: unknown, file_name: string): Service {
  const result = ServiceDefinition.safeParse(json);
  if (!result.success) throw definitionErrorOf(result.error.issues, file_name);
  const { id: given_id, ...definition } = result.data;
  const id = serviceId(definition.slug);
  if (given_id !== undefined && given_id.toLowerCase() !== id) {
    throw definitionError(file_name, 'id', 'is not the id of this slug; leave it out');
  }
  checkHosts(definition, file_name);
  return { ...definition, id };
}

/** The error for the violations that a schema found: the first few in one message. */
export function definitionErrorOf(issues: readonly z.core.$ZodIssue[], file_name: string): VaultError {
  const shown = issues.slice(0, VIOLATIONS_SHOWN_MAX).map((issue) => {
    const path = printablePath(issue.path);
    return path === '' ? explain(issue) : `${path}: ${explain(issue)}`;
  });
  const more = issues.length - shown.length;
  return definitionError(file_name, '', shown.join('; ') + (more > 0 ? `; and ${more} more` : ''));
}

/** Throws unless `base_url` and an absolute test URL are on the definition's hosts: they could never be called. */
function checkHosts(definition: Omit<ServiceDefinition, 'id'>, file_name: string): void {
  const urls = { base_url: definition.base_url, 'test.path': definition.test?.path };
  for (const [path, url] of Object.entries(urls)) {
    const host = url === undefined ? undefined : hostOf(url);
    if (host === undefined) continue;
    // A host that contains a field can expand to one of the hosts; that is checked when the service is called.
    const possible = host.includes('{') ? definition.hosts.length > 0 : isAllowed(host, definition.hosts);
    if (!possible) throw definitionError(file_name, path, 'names a host that is not among the hosts');
  }
}

/** Host and port of an absolute URL, in lower case. User info is kept, so that a URL with it matches no host. */
function hostOf(url: string): string | undefined {
  return /^https?:\/\/([^/?#]+)/i.exec(url)?.[1]?.toLowerCase();
}

function isAllowed(host: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => {
    return pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
  });
}

function printablePath(path: readonly PropertyKey[]): string {
  let printed = '';
  for (const step of path) {
    if (typeof step === 'number') printed += `[${step}]`;
    else if (!PRINTABLE_KEY.test(String(step))) printed += '[a key]';
    else printed += printed === '' ? String(step) : `.${String(step)}`;
  }
  return printed;
}

function explain(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys': {
      const shown = issue.keys.filter((key) => PRINTABLE_KEY.test(key)).slice(0, 5);
      return shown.length === 0 ? 'has an unknown key' : `has unknown keys: ${shown.join(', ')}`;
    }
    case 'invalid_union':
      return 'is of an unknown kind';
    case 'invalid_key':
      return `has a key that ${issue.issues[0]?.message ?? 'is not allowed'}`;
    default:
      return issue.message.endsWith('received undefined') ? 'is missing' : describeExpectation(issue);
  }
}

/**
 * The id of a service. It depends on the slug alone, so every installation, of any version, gives a service the same id.
 */
export function serviceId(slug: string): string {
  return uuidOfName(slug);
}

/** UUID version 5 of a name in the namespace of services, in lower case (RFC 9562, section 5.5). */
export function uuidOfName(name: string): string {
  const bytes = crypto.createHash('sha1').update(NAMESPACE_BYTES).update(name).digest();
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex', 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
