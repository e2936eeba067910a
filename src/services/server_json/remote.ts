/**
 * Converts a remote of a `server.json` into hosts, a base URL and an injection rule.
 *
 * The hosts are as narrow as the file allows: a variable with neither choices nor a default may only be the first label
 * or the whole host, and plain http is allowed to the loopback host only.
 */

import type { InjectionRule } from '../../contract/service/authentication.ts';
import type { FieldDefinition } from '../../contract/service/fields.ts';
import { isLoopbackHost } from '../../io/server_url.ts';
import { definitionError } from '../definition.ts';
import { fieldFor, fieldIdOf, type SourcePath, templateFields } from './fields.ts';
import type { ServerKeyValue, ServerRemote, ServerVariables } from './schema.ts';

const REMOTE_URL = /^(https?):\/\/([^/?#\s]+)([^?#\s]*)(?:\?([^#\s]*))?(?:#\S*)?$/i;
const PORT = /:\d+$/;
const HOSTS_MAX = 30;

export interface ConvertedRemote {
  readonly fields: readonly FieldDefinition[];
  readonly hosts: readonly string[];
  readonly base_url: string;
  readonly injection: InjectionRule;
}

/** Throws INVALID_INPUT (`service_definition_invalid`) for a URL or combination that a definition cannot express. */
export function convertRemote(remote: ServerRemote, source: SourcePath): ConvertedRemote {
  const at_url: SourcePath = { ...source, path: `${source.path}.url` };
  const [, scheme = '', authority = '', path = '', search] = REMOTE_URL.exec(remote.url) ?? [];
  if (authority === '') throw definitionError(source.file, at_url.path, 'must be an https URL');
  if (authority.includes('@'))
    throw definitionError(source.file, at_url.path, 'must not contain a user name or password');
  const host = hostsOf(authority, remote.variables, at_url);
  if (
    scheme.toLowerCase() === 'http' &&
    !host.hosts.every((name) => isLoopbackHost(name.replace(PORT, '')))
  ) {
    throw definitionError(
      source.file,
      at_url.path,
      'must be an https URL: http exposes the credential to the network',
    );
  }
  const path_template = templateFields(withDefaults(path, remote.variables), remote.variables, at_url);
  const headers = convertHeaders(remote.headers ?? [], source);
  const query = convertQuery(search, remote.variables, at_url);
  const secret_path = path_template.fields.some((field) => field.secret);
  const origin = `${scheme.toLowerCase()}://${host.text}`;
  return {
    fields: [...host.fields, ...path_template.fields, ...query.fields, ...headers.fields],
    hosts: host.hosts,
    base_url: secret_path ? origin : `${origin}${path_template.text}`,
    injection: injectionOf(
      headers.templates,
      query.templates,
      secret_path ? path_template.text : undefined,
      source,
    ),
  };
}

function injectionOf(
  headers: Record<string, string>,
  query: Record<string, string>,
  prefix: string | undefined,
  source: SourcePath,
): InjectionRule {
  const with_headers = Object.keys(headers).length > 0;
  const with_query = Object.keys(query).length > 0;
  if (prefix !== undefined) {
    if (with_headers || with_query) {
      throw definitionError(
        source.file,
        source.path,
        'has a secret in the path of its URL and other inputs, which no rule can express',
      );
    }
    return { in: 'path', prefix };
  }
  if (with_query) return { in: 'query', query, ...(with_headers ? { headers } : {}) };
  return with_headers ? { in: 'header', headers } : { in: 'none' };
}

interface ConvertedInputs {
  readonly fields: FieldDefinition[];
  readonly templates: Record<string, string>;
}

function convertHeaders(headers: readonly ServerKeyValue[], source: SourcePath): ConvertedInputs {
  const converted: ConvertedInputs = { fields: [], templates: {} };
  headers.forEach((header, at) => {
    const here: SourcePath = { ...source, path: `${source.path}.headers[${at}]` };
    if (header.value === undefined) {
      const name = header.name.replaceAll('-', '_');
      const field = fieldFor(name, header, here);
      converted.fields.push({ ...field, name: header.name.slice(0, 100) });
      converted.templates[header.name] = `{${field.field_id}}`;
      return;
    }
    const { text, fields } = templateFields(header.value, header.variables, here, {
      description: header.description,
      isRequired: header.isRequired,
      isSecret: header.isSecret ?? (/^(?:proxy-)?authorization$/i.test(header.name) ? true : undefined),
    });
    // A secret with a literal value in the file is ignored: a definition never contains a value.
    if (fields.length === 0 && header.isSecret === true) return;
    converted.fields.push(...fields);
    if (text !== '') converted.templates[header.name] = text;
  });
  return converted;
}

function convertQuery(
  search: string | undefined,
  variables: ServerVariables | undefined,
  source: SourcePath,
): ConvertedInputs {
  const converted: ConvertedInputs = { fields: [], templates: {} };
  for (const [name, value] of new URLSearchParams(search ?? '')) {
    const { text, fields } = templateFields(withDefaults(value, variables), variables, source, {});
    converted.fields.push(...fields);
    if (text !== '') converted.templates[name] = text;
  }
  return converted;
}

interface ConvertedHost {
  readonly text: string;
  readonly hosts: string[];
  readonly fields: FieldDefinition[];
}

/** Expands choices into one host each. A variable with a default and no choices becomes its default. */
function hostsOf(
  authority: string,
  variables: ServerVariables | undefined,
  source: SourcePath,
): ConvertedHost {
  const declared = new Map(Object.entries(variables ?? {}));
  const fields: FieldDefinition[] = [];
  let hosts = [authority];
  let text = authority;
  for (const [whole, name = ''] of authority.matchAll(/\{([^{}]+)\}/g)) {
    const input = declared.get(name) ?? {};
    const fixed = input.value ?? input.default;
    const choices = input.value === undefined ? (input.choices ?? []) : [];
    if (fixed === undefined) {
      const field = { ...fieldFor(name, { isSecret: false, ...input }, source), required: true };
      if (field.secret) throw definitionError(source.file, source.path, 'has a secret in its host name');
      fields.push(field);
    }
    const template = `{${fieldIdOf(name, source)}}`;
    if (fixed === undefined && choices.length === 0 && !authority.startsWith(whole)) {
      throw definitionError(
        source.file,
        source.path,
        'has a variable inside its host name that has neither choices nor a default',
      );
    }
    text = text.replaceAll(whole, fixed ?? template);
    const values = [...new Set([...(fixed === undefined ? [] : [fixed]), ...choices])];
    hosts = hosts.flatMap((host) =>
      (values.length === 0 ? [template] : values).map((value) => host.replaceAll(whole, value)),
    );
    if (hosts.length > HOSTS_MAX)
      throw definitionError(source.file, source.path, `expands to more than ${HOSTS_MAX} hosts`);
  }
  return { text: lowerCaseHost(text), hosts: [...new Set(hosts.map(lowerCaseHost))], fields };
}

/** Lower case, except inside braces: field ids keep their letters. */
function lowerCaseHost(host: string): string {
  return host.replace(/\{[^{}]*\}|[^{}]+/g, (part) => (part.startsWith('{') ? part : part.toLowerCase()));
}

/** Inserts the defaults of variables that are not secret; the user enters the others. */
function withDefaults(template: string, variables: ServerVariables | undefined): string {
  const declared = new Map(Object.entries(variables ?? {}));
  return template.replace(/\{([^{}]+)\}/g, (whole, name: string) => {
    const input = declared.get(name);
    return input?.isSecret === true ? whole : (input?.value ?? input?.default ?? whole);
  });
}
