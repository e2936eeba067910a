/**
 * Describes a custom definition in lines, for a person who decides on it: where secrets are sent, in which parts of a request,
 * and the changes since the approved version. Lines contain texts of the definition: print them without control characters.
 */

import type { InjectionRule, TestRequest } from '../../contract/service/authentication.ts';
import type { Service } from '../../contract/service/service.ts';
import { canonicalJson } from '../canonical_json.ts';
import { fieldRole } from '../destination.ts';
import { tokenUrls } from './connection_rules.ts';

export interface DefinitionPart {
  readonly label: string;
  readonly lines: readonly string[];
}

export interface DefinitionDifference {
  readonly label: string;
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** The parts that are not empty. */
export function describeDefinition(service: Service): readonly DefinitionPart[] {
  return partsOf(service).filter(({ lines }) => lines.length > 0);
}

/** The differences, line by line. Names further properties that differ, such as operations. */
export function compareDefinitions(before: Service, after: Service): readonly DefinitionDifference[] {
  const old_parts = partsOf(before);
  const described = partsOf(after).map(({ label, lines }, at) => {
    const old_lines = old_parts[at]?.lines ?? [];
    return {
      label,
      removed: old_lines.filter((line) => !lines.includes(line)),
      added: lines.filter((line) => !old_lines.includes(line)),
    };
  });
  const changed = changedProperties(before, after);
  const also = changed.length === 0 ? [] : [{ label: 'properties', removed: [], added: changed }];
  return [...described, ...also].filter(({ removed, added }) => removed.length + added.length > 0);
}

function partsOf(service: Service): DefinitionPart[] {
  const {
    name,
    slug,
    description,
    aliases = [],
    hosts,
    token_hosts = [],
    base_url,
    oauth,
    modes = [],
  } = service;
  const part = (label: string, lines: readonly string[]): DefinitionPart => ({ label, lines });
  return [
    part('name', [[`${name} (${slug})`, ...aliases].join(', ')]),
    part('description', [description]),
    part('sends to', hosts.length === 0 ? ['no host: it is not used over HTTP'] : hosts),
    part(
      'base URL',
      [base_url, ...modes.map((mode) => mode.base_url)].filter((url) => url !== undefined),
    ),
    part('tokens', [
      ...token_hosts,
      ...tokenUrls(service).map(([path, url]) => `${path.replace('oauth.', '')} ${url}`),
      ...(oauth?.authorization_url === undefined ? [] : [`authorization_url ${oauth.authorization_url}`]),
    ]),
    part('secrets in', authenticationLines(service)),
    part('fields', fieldLines(service)),
    part('test', [
      ...testLines('', service.test),
      ...modes.flatMap(({ id, test }) => testLines(`mode ${id}: `, test)),
    ]),
    part('scopes', oauth?.scopes ?? []),
  ];
}

function fieldLines(service: Service): string[] {
  return service.fields.map(({ field_id, required }) => {
    const role = fieldRole(service, field_id);
    const shown = role === 'destination' ? 'destination: decides where requests go' : role;
    return `${field_id} (${shown}${required ? '' : ', optional'})`;
  });
}

/** Which header, query parameter, part of the body, or variable of a child process gets a value. */
function authenticationLines(service: Service): string[] {
  const { injection, default_headers, modes = [], host_rules = [], fields, environment = {} } = service;
  return [
    ...injectionLines(injection),
    ...pairLines('header', default_headers),
    ...modes.flatMap((mode) =>
      [...injectionLines(mode.injection), ...pairLines('header', mode.default_headers)].map(
        (line) => `mode ${mode.id}: ${line}`,
      ),
    ),
    ...host_rules.flatMap(({ host, path_prefix = '', injection: rule }) =>
      injectionLines(rule).map((line) => `${host}${path_prefix}: ${line}`),
    ),
    ...fields.flatMap(({ field_id, env = [], env_file = [] }) => [
      ...env.map((name) => `variable ${name}: {${field_id}}`),
      ...env_file.map((name) => `file of variable ${name}: {${field_id}}`),
    ]),
    ...pairLines('variable', environment),
  ];
}

function injectionLines(rule: InjectionRule): string[] {
  switch (rule.in) {
    case 'header':
      return pairLines('header', rule.headers);
    case 'query':
      return [...pairLines('query', rule.query), ...pairLines('header', rule.headers)];
    case 'basic':
      return [`header Authorization: Basic ${rule.username}:${rule.password}`];
    case 'body':
      return [`body ${rule.content_type}: ${rule.body}`];
    case 'body_fields':
      return pairLines('body field', rule.fields);
    case 'path':
      return [`path: ${rule.prefix}`];
    case 'signer':
      return [
        ...pairLines(`signature ${rule.signer}`, rule.parameters),
        ...pairLines('header', rule.headers),
      ];
    case 'none':
      return [];
  }
}

function pairLines(what: string, templates: Readonly<Record<string, string>> = {}): string[] {
  return Object.entries(templates).map(([name, template]) => `${what} ${name}: ${template}`);
}

function testLines(prefix: string, test: TestRequest | undefined): string[] {
  return test === undefined
    ? []
    : [`${prefix}${test.method} ${test.path}`, ...pairLines(`${prefix}header`, test.headers)];
}

/** The names of all properties that differ, also of those that no part describes. */
function changedProperties(before: Service, after: Service): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof Service)[];
  return names.filter((name) => canonicalJson(before[name]) !== canonicalJson(after[name])).sort();
}
