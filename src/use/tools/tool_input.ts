/** The input of a service's tool: its JSON Schema, and the request that an input becomes. */

import { VaultError } from '../../contract/errors.ts';
import type { Operation } from '../../contract/service/operations.ts';
import { USE_METHODS } from '../../contract/use/rules.ts';
import { isJsonObject } from '../../io/json_object.ts';
import type { ServiceTool } from '../../services/tools/tools.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The part of a call that a tool's input decides. */
export interface ToolRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Of the tool `request`. The same names as in `call_service`. */
const REQUEST_PROPERTIES: JsonObject = {
  method: { type: 'string', enum: [...USE_METHODS], description: 'The HTTP method. Default: GET.' },
  path: { type: 'string', description: 'The path, such as "/user", which may have a query.' },
  query: { type: 'object', description: 'Query parameters; an array repeats its name.' },
  headers: {
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Headers. The credential is added by the vault.',
  },
  body: { description: 'The body: an object or array is sent as JSON, a string as it is.' },
};

/** The JSON Schema of a tool's input. */
export function inputSchema({ operation }: ServiceTool): JsonObject {
  if (operation === undefined)
    return {
      type: 'object',
      properties: REQUEST_PROPERTIES,
      required: ['path'],
      additionalProperties: false,
    };
  const properties = operation.parameters.map(({ name, type, description, example }) => [
    name,
    { type, description, ...(example === undefined ? {} : { examples: [example] }) },
  ]);
  const required = operation.parameters.filter((one) => one.required).map(({ name }) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
}

/**
 * The request of a tool for an input. Throws INVALID_INPUT for a missing or unknown parameter, or one of another type; the
 * message names parameters of the tool only.
 */
export function toolRequest({ operation }: ServiceTool, input: JsonObject): ToolRequest {
  if (operation === undefined) return plainRequest(input);
  assertKnown(
    input,
    operation.parameters.map(({ name }) => name),
  );
  const parts: Record<Operation['parameters'][number]['in'], Record<string, unknown>> = {
    path: {},
    query: {},
    header: {},
    body: {},
  };
  for (const { name, in: part, type, required } of operation.parameters) {
    const value = input[name];
    if (value === undefined || value === null) {
      if (required) throw new VaultError('INVALID_INPUT', `The parameter ${name} is missing.`);
      continue;
    }
    if (!isOfType(value, type)) throw wrongType(name, type);
    parts[part][name] = value;
  }
  const path = operation.path.replace(/\{([^}]*)\}/g, (_whole, name: string) => {
    return pathSegment(name, String(parts.path[name]));
  });
  return {
    method: operation.method,
    path,
    ...(isEmpty(parts.query) ? {} : { query: parts.query }),
    ...(isEmpty(parts.header) ? {} : { headers: mapToText(parts.header) }),
    ...(isEmpty(parts.body) ? {} : { body: parts.body }),
  };
}

function plainRequest(input: JsonObject): ToolRequest {
  assertKnown(input, Object.keys(REQUEST_PROPERTIES));
  const { method = 'GET', path, query, headers, body } = input;
  if (typeof path !== 'string') throw path === undefined ? missingPath() : wrongType('path', 'string');
  if (typeof method !== 'string') throw wrongType('method', 'string');
  if (query !== undefined && !isJsonObject(query)) throw wrongType('query', 'object');
  if (
    headers !== undefined &&
    !(isJsonObject(headers) && Object.values(headers).every((value) => typeof value === 'string'))
  )
    throw wrongType('headers', 'object with strings');
  return {
    method,
    path,
    ...(query === undefined ? {} : { query }),
    ...(headers === undefined ? {} : { headers: headers as Record<string, string> }),
    ...(body === undefined ? {} : { body }),
  };
}

/** Percent-encodes a value, so that it stays one segment of the path. */
function pathSegment(name: string, value: string): string {
  if (value === '' || value === '.' || value === '..')
    throw new VaultError('INVALID_INPUT', `The parameter ${name} must not be empty or dots.`);
  return encodeURIComponent(value);
}

function assertKnown(input: JsonObject, names: readonly string[]): void {
  if (Object.keys(input).every((name) => names.includes(name))) return;
  const known =
    names.length === 0 ? 'The tool has no parameters.' : `The parameters are ${names.join(', ')}.`;
  throw new VaultError('INVALID_INPUT', `A parameter is unknown. ${known}`);
}

function isOfType(value: unknown, type: Operation['parameters'][number]['type']): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isJsonObject(value);
    default:
      return typeof value === type;
  }
}

function isEmpty(record: JsonObject): boolean {
  return Object.keys(record).length === 0;
}

function mapToText(record: JsonObject): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, String(value)]));
}

function missingPath(): VaultError {
  return new VaultError('INVALID_INPUT', 'The parameter path is missing.');
}

function wrongType(name: string, type: string): VaultError {
  return new VaultError('INVALID_INPUT', `The parameter ${name} must be of type ${type}.`);
}
