/**
 * Turns a remote of a `server.json` into hosts, a base URL and the rule that puts its credentials in.
 *
 * Hosts come out as narrow as the file allows: a variable inside a host name with neither choices nor a default is
 * taken only where it is the first label or the whole host, and plain http only to this machine.
 */
import type { FieldDefinition, InjectionRule } from '../../contract/service.ts';
import { definitionError } from '../definition.ts';
import { fieldFor, fieldIdOf, type Place, templateFields } from './fields.ts';
import type { ServerKeyValue, ServerRemote, ServerVariables } from './schema.ts';

const REMOTE_URL = /^(https?):\/\/([^/?#\s]+)([^?#\s]*)(?:\?([^#\s]*))?(?:#\S*)?$/i;
const THIS_MACHINE = /^(?:localhost|127\.0\.0\.1)(?::\d+)?$/;
const HOSTS_MAX = 30;

export interface RemotePlan {
  readonly fields: readonly FieldDefinition[];
  readonly hosts: readonly string[];
  readonly base_url: string;
  readonly injection: InjectionRule;
}

/** Throws INVALID_INPUT (`service_definition_invalid`) for a URL or a mixture that a definition cannot express. */
export function planRemote(remote: ServerRemote, place: Place): RemotePlan {
  const at_url: Place = { ...place, at: `${place.at}.url` };
  const [, scheme = '', authority = '', path = '', search] = REMOTE_URL.exec(remote.url) ?? [];
  if (authority === '') throw definitionError(place.file, at_url.at, 'must be an https URL');
  if (authority.includes('@'))
    throw definitionError(place.file, at_url.at, 'must not hold a user name or password');
  const host = planHost(authority, remote.variables, at_url);
  if (scheme.toLowerCase() === 'http' && !host.hosts.every((name) => THIS_MACHINE.test(name))) {
    throw definitionError(
      place.file,
      at_url.at,
      'must be an https URL: over http a credential can be read on the way',
    );
  }
  const way = templateFields(withDefaults(path, remote.variables), remote.variables, at_url);
  const headers = planHeaders(remote.headers ?? [], place);
  const query = planQuery(search, remote.variables, at_url);
  const secret_path = way.fields.some((field) => field.secret);
  const origin = `${scheme.toLowerCase()}://${host.text}`;
  return {
    fields: [...host.fields, ...way.fields, ...query.fields, ...headers.fields],
    hosts: host.hosts,
    base_url: secret_path ? origin : `${origin}${way.text}`,
    injection: injectionOf(headers.templates, query.templates, secret_path ? way.text : undefined, place),
  };
}

function injectionOf(
  headers: Record<string, string>,
  query: Record<string, string>,
  prefix: string | undefined,
  place: Place,
): InjectionRule {
  const with_headers = Object.keys(headers).length > 0;
  const with_query = Object.keys(query).length > 0;
  if (prefix !== undefined) {
    if (with_headers || with_query) {
      throw definitionError(
        place.file,
        place.at,
        'has a secret in the path of its URL and inputs elsewhere, which no rule expresses',
      );
    }
    return { in: 'path', prefix };
  }
  if (with_query) return { in: 'query', query, ...(with_headers ? { headers } : {}) };
  return with_headers ? { in: 'header', headers } : { in: 'none' };
}

interface Planned {
  readonly fields: FieldDefinition[];
  readonly templates: Record<string, string>;
}

function planHeaders(headers: readonly ServerKeyValue[], place: Place): Planned {
  const planned: Planned = { fields: [], templates: {} };
  headers.forEach((header, at) => {
    const here: Place = { ...place, at: `${place.at}.headers[${at}]` };
    if (header.value === undefined) {
      const name = header.name.replaceAll('-', '_');
      const field = fieldFor(name, header, here);
      planned.fields.push({ ...field, name: header.name.slice(0, 100) });
      planned.templates[header.name] = `{${field.field_id}}`;
      return;
    }
    const { text, fields } = templateFields(header.value, header.variables, here, {
      description: header.description,
      isRequired: header.isRequired,
      isSecret: header.isSecret ?? (/^(?:proxy-)?authorization$/i.test(header.name) ? true : undefined),
    });
    // A secret that is written into the file is no secret, and a definition holds no value.
    if (fields.length === 0 && header.isSecret === true) return;
    planned.fields.push(...fields);
    if (text !== '') planned.templates[header.name] = text;
  });
  return planned;
}

function planQuery(
  search: string | undefined,
  variables: ServerVariables | undefined,
  place: Place,
): Planned {
  const planned: Planned = { fields: [], templates: {} };
  for (const [name, value] of new URLSearchParams(search ?? '')) {
    const { text, fields } = templateFields(withDefaults(value, variables), variables, place, {});
    planned.fields.push(...fields);
    if (text !== '') planned.templates[name] = text;
  }
  return planned;
}

interface HostPlan {
  readonly text: string;
  readonly hosts: string[];
  readonly fields: FieldDefinition[];
}

/** Writes out choices into one host each. What has a default goes there unless it has choices besides. */
function planHost(authority: string, variables: ServerVariables | undefined, place: Place): HostPlan {
  const declared = new Map(Object.entries(variables ?? {}));
  const fields: FieldDefinition[] = [];
  let hosts = [authority];
  let text = authority;
  for (const [whole, name = ''] of authority.matchAll(/\{([^{}]+)\}/g)) {
    const input = declared.get(name) ?? {};
    const fixed = input.value ?? input.default;
    const choices = input.value === undefined ? (input.choices ?? []) : [];
    if (fixed === undefined) {
      const field = { ...fieldFor(name, { isSecret: false, ...input }, place), required: true };
      if (field.secret) throw definitionError(place.file, place.at, 'has a secret in its host name');
      fields.push(field);
    }
    const template = `{${fieldIdOf(name, place)}}`;
    if (fixed === undefined && choices.length === 0 && !authority.startsWith(whole)) {
      throw definitionError(
        place.file,
        place.at,
        'has a variable inside its host name that has neither choices nor a default',
      );
    }
    text = text.replaceAll(whole, fixed ?? template);
    const stands_for = [...new Set([...(fixed === undefined ? [] : [fixed]), ...choices])];
    hosts = hosts.flatMap((host) =>
      (stands_for.length === 0 ? [template] : stands_for).map((value) => host.replaceAll(whole, value)),
    );
    if (hosts.length > HOSTS_MAX)
      throw definitionError(place.file, place.at, `stands for more than ${HOSTS_MAX} hosts`);
  }
  return { text: lowerCaseHost(text), hosts: [...new Set(hosts.map(lowerCaseHost))], fields };
}

/** Lower case, except inside braces: field ids keep their letters. */
function lowerCaseHost(host: string): string {
  return host.replace(/\{[^{}]*\}|[^{}]+/g, (part) => (part.startsWith('{') ? part : part.toLowerCase()));
}

/** Puts in the defaults of variables that are not secret; what is left is for the user to give. */
function withDefaults(source: string, variables: ServerVariables | undefined): string {
  const declared = new Map(Object.entries(variables ?? {}));
  return source.replace(/\{([^{}]+)\}/g, (whole, name: string) => {
    const input = declared.get(name);
    return input?.isSecret === true ? whole : (input?.value ?? input?.default ?? whole);
  });
}
