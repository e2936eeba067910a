/**
 * Converts an MCP server's `server.json` (format in `schema.ts`) into a service definition.
 *
 * Packages and remotes are alternatives for the same server. Required fields are those of the preferred alternative, a
 * remote with a secret, else a package; all other fields become optional.
 */

import { ENV_NAMES_MAX, type FieldDefinition } from '../../contract/service/fields.ts';
import { ServiceDefinition } from '../../contract/service/service.ts';
import { isJsonObject } from '../../io/json_object.ts';
import { definitionError, definitionErrorOf } from '../definition.ts';
import { packageFields } from './fields.ts';
import { type ConvertedRemote, convertRemote } from './remote.ts';
import { SERVER_NAME_PATTERN, ServerJson } from './schema.ts';

/** Last parts of names that do not identify the server: `com.supabase/mcp`. */
const GENERIC_NAME = /^(?:mcp|server|mcp-server|mcp_server|server-mcp|api)$/;

/** Returns whether the JSON looks like a `server.json`, valid or not, also in the envelope of the registry's API. */
export function isServerJson(json: unknown): boolean {
  const server = unwrapEnvelope(json);
  if (!isJsonObject(server) || 'slug' in server || 'fields' in server) return false;
  if (typeof server.$schema === 'string' && server.$schema.includes('server.schema.json')) return true;
  if ('packages' in server || 'remotes' in server) return typeof server.name === 'string';
  return typeof server.name === 'string' && SERVER_NAME_PATTERN.test(server.name);
}

/**
 * The definition for a server. Its slug is the part of the name after the slash. Throws INVALID_INPUT
 * (`service_definition_invalid`) with file, path and reason, also for a server without credentials.
 */
export function fromServerJson(json: unknown, file_name = 'server.json'): ServiceDefinition {
  const result = ServerJson.safeParse(unwrapEnvelope(json));
  if (!result.success) throw definitionErrorOf(result.error.issues, file_name);
  const server = result.data;
  const remotes = (server.remotes ?? []).map((remote, at) =>
    convertRemote(remote, { file: file_name, path: `remotes[${at}]` }),
  );
  const packages = (server.packages ?? []).map((one, at) =>
    packageFields(one, { file: file_name, path: `packages[${at}]` }),
  );
  const remote = remotes.find(hasSecret) ?? remotes[0];
  const remote_fields = [
    ...(remote === undefined ? [] : [remote]),
    ...remotes.filter((other) => other !== remote),
  ].map((one) => one.fields);
  const fields = mergeFields(
    remote !== undefined && hasSecret(remote)
      ? [...remote_fields, ...packages]
      : [...packages, ...remote_fields],
  );
  if (fields.length === 0)
    throw definitionError(file_name, '', 'needs no credentials, so there is nothing to store');

  const name = server.title?.trim() || server.name.slice(server.name.indexOf('/') + 1);
  const definition = ServiceDefinition.safeParse({
    slug: slugOf(server.name, file_name),
    name: name.slice(0, 100),
    description: server.description?.trim().slice(0, 500) || `The MCP server ${name}.`.slice(0, 500),
    category: 'other',
    ...(server.websiteUrl?.startsWith('https://') ? { homepage: server.websiteUrl } : {}),
    fields,
    ...valueField(fields, remote),
    hosts: [...new Set(remotes.flatMap((one) => one.hosts))],
    ...(remote === undefined ? {} : { base_url: remote.base_url }),
    injection: remote?.injection ?? { in: 'none' },
  });
  if (!definition.success) throw definitionErrorOf(definition.error.issues, file_name);
  return definition.data;
}

function hasSecret(remote: ConvertedRemote): boolean {
  return remote.fields.some((field) => field.secret);
}

/** Merges the fields of all alternatives by id, the first one's first. A field is secret if any alternative marks it so. */
function mergeFields(alternatives: readonly (readonly FieldDefinition[])[]): FieldDefinition[] {
  const preferred = alternatives.find((fields) => fields.length > 0);
  const merged = new Map<string, FieldDefinition>();
  for (const fields of alternatives) {
    for (const field of fields) {
      const known = merged.get(field.field_id);
      if (known === undefined) {
        merged.set(field.field_id, { ...field, required: field.required && fields === preferred });
      } else {
        const secret = known.secret || field.secret;
        const env = [...new Set([...(known.env ?? []), ...(field.env ?? [])])].slice(0, ENV_NAMES_MAX);
        const max_length = Math.max(known.max_length, field.max_length);
        merged.set(field.field_id, { ...known, secret, max_length, ...(env.length === 0 ? {} : { env }) });
      }
    }
  }
  return [...merged.values()];
}

/** The only secret becomes the value field. It accepts no bearer token if the service expects the whole header. */
function valueField(
  fields: readonly FieldDefinition[],
  remote: ConvertedRemote | undefined,
): Pick<ServiceDefinition, 'value_field' | 'credential_types'> {
  const secrets = fields.filter((field) => field.secret);
  const required = secrets.filter((field) => field.required);
  const [only] = required.length === 1 ? required : secrets.length === 1 ? secrets : [];
  if (only === undefined) return { value_field: {}, credential_types: ['custom'] };
  const id = only.field_id;
  const rule = remote?.injection;
  const headers = rule?.in === 'header' || rule?.in === 'query' ? Object.entries(rule.headers ?? {}) : [];
  const is_whole = headers.some(
    ([name, template]) => /^authorization$/i.test(name) && template === `{${id}}`,
  );
  return is_whole
    ? { value_field: { api_key: id }, credential_types: ['api_key', 'custom'] }
    : { value_field: { api_key: id, bearer: id }, credential_types: ['api_key', 'bearer', 'custom'] };
}

function slugOf(name: string, file_name: string): string {
  const [namespace = '', last = ''] = name.toLowerCase().split('/');
  const wanted = GENERIC_NAME.test(last) ? `${namespace.split('.').at(-1)}-${last}` : last;
  const slug = wanted
    .replace(/[^a-z0-9._-]/g, '-')
    .replace(/\.(?![a-z0-9])/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[._-]+$/, '');
  if (slug === '') throw definitionError(file_name, 'name', 'has no letter or digit after the slash');
  return slug;
}

function unwrapEnvelope(json: unknown): unknown {
  return isJsonObject(json) && isJsonObject(json.server) && !('name' in json) ? json.server : json;
}
