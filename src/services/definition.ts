/**
 * Turns JSON into a service, or says what is wrong with it: in which file, at which place, and why.
 *
 * What it says must never repeat a value of the file. Somebody may have put a secret where it does not belong.
 */
import type * as z from 'zod';
import { VaultError } from '../contract/errors.ts';
import { type Service, ServiceDefinition } from '../contract/service.ts';
import { serviceId } from './service_id.ts';

const PROBLEMS_SHOWN_MAX = 3;
const FILE_NAME_SHOWN_MAX_CHARACTERS = 100;
/** Keys that are shown as they are: words. What has digits or capitals in a row may be a token in the wrong place. */
const PRINTABLE_KEY = /^(?=.{1,40}$)\$?[A-Z]?[a-z]*(?:[A-Z][a-z]+|[_-](?:[A-Z][a-z]*|[a-z]*))*$/;

/** INVALID_INPUT with reason `service_definition_invalid`: `FILE: PLACE: REASON`, without the parts that are empty. */
export function definitionError(file_name: string, place: string, reason: string): VaultError {
  const parts = [shownFileName(file_name), place, reason].filter((part) => part !== '');
  return new VaultError('INVALID_INPUT', parts.join(': '), { reason: 'service_definition_invalid' });
}

/** The last part of a path, fit to be shown: no folders, no control characters, not endless. */
export function shownFileName(file_name: string): string {
  const base = file_name.split(/[/\\]/).at(-1) ?? '';
  return base.replace(/\p{C}/gu, '?').slice(0, FILE_NAME_SHOWN_MAX_CHARACTERS);
}

/**
 * Checks a definition and gives it its id. Throws `definitionError` naming the first problems.
 * An `id` that is there must be the one that follows from the slug: an id of one's own could be another service's.
 */
export function parseDefinition(json: unknown, file_name: string): Service {
  const result = ServiceDefinition.safeParse(json);
  if (!result.success) throw problems(result.error.issues, file_name);
  const { id: given_id, ...definition } = result.data;
  const id = serviceId(definition.slug);
  if (given_id !== undefined && given_id.toLowerCase() !== id) {
    throw definitionError(file_name, 'id', 'is not the one that follows from the slug; leave it out');
  }
  checkHosts(definition, file_name);
  return { ...definition, id };
}

/** Says what the schema found, the first few problems in one message. */
export function problems(issues: readonly z.core.$ZodIssue[], file_name: string): VaultError {
  const shown = issues.slice(0, PROBLEMS_SHOWN_MAX).map((issue) => {
    const place = shownPlace(issue.path);
    return place === '' ? explain(issue) : `${place}: ${explain(issue)}`;
  });
  const more = issues.length - shown.length;
  return definitionError(file_name, '', shown.join('; ') + (more > 0 ? `; and ${more} more` : ''));
}

/** `base_url` and an absolute test URL lie on hosts that a credential may go to; else they could never be called. */
function checkHosts(definition: Omit<ServiceDefinition, 'id'>, file_name: string): void {
  const urls = { base_url: definition.base_url, 'test.path': definition.test?.path };
  for (const [place, url] of Object.entries(urls)) {
    const host = url === undefined ? undefined : hostOf(url);
    if (host === undefined) continue;
    // A host with a value of the user in it may come out as one of the hosts: that shows when it is called.
    const possible = host.includes('{') ? definition.hosts.length > 0 : isAllowed(host, definition.hosts);
    if (!possible) throw definitionError(file_name, place, 'names a host that is not among the hosts');
  }
}

/** Host and port of an absolute URL, in lower case; with a user name before it, which then is no host that is allowed. */
function hostOf(url: string): string | undefined {
  return /^https?:\/\/([^/?#]+)/i.exec(url)?.[1]?.toLowerCase();
}

function isAllowed(host: string, allowed: readonly string[]): boolean {
  return allowed.some((pattern) => {
    return pattern === host || (pattern.startsWith('*.') && host.endsWith(pattern.slice(1)));
  });
}

function shownPlace(path: readonly PropertyKey[]): string {
  let place = '';
  for (const step of path) {
    if (typeof step === 'number') place += `[${step}]`;
    else if (!PRINTABLE_KEY.test(String(step))) place += '[a key]';
    else place += place === '' ? String(step) : `.${String(step)}`;
  }
  return place;
}

function explain(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys': {
      const shown = issue.keys.filter((key) => PRINTABLE_KEY.test(key)).slice(0, 5);
      return shown.length === 0 ? 'has an unknown key' : `has unknown keys: ${shown.join(', ')}`;
    }
    case 'invalid_type':
      return issue.message.endsWith('received undefined')
        ? 'is missing'
        : `must be of type ${issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`;
    case 'too_big':
      return `must have at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`;
    case 'too_small':
      return `must have at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`;
    case 'invalid_union':
      return 'is of no known kind';
    case 'invalid_key':
      return `has a key that ${issue.issues[0]?.message ?? 'is not allowed'}`;
    case 'invalid_format':
      return issue.message.startsWith('Invalid') ? 'does not have the right form' : issue.message;
    default:
      return issue.message;
  }
}

const UNITS: Readonly<Record<string, string>> = { string: ' characters', array: ' entries' };
