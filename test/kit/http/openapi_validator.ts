/**
 * Validates responses against the server's OpenAPI document: the route must list the status, the body must match its
 * schema, and an error must have the format of its dialect, even for an unmatched route.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

export type Json = Readonly<Record<string, unknown>>;

export interface Operation extends Json {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Json };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Json>> }>>;
}
export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Json;
}

export interface OpenApiDocument extends Json {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
}

/** The parts of a response that are validated. */
export interface ObservedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly area: string;
  readonly route: string;
}

/** Error formats of each route group: a schema of the document, or an inline one. */
const ERRORS: Readonly<Record<string, readonly (string | Json)[]>> = {
  keyhold: ['CodedDetail'],
  danube: ['CodedDetail'],
  toolrouter: ['Detail'],
  superai: ['ErrorResponse', 'HTTPValidationError'],
  toolzz: ['ToolzzMessage'],
  mcp: [
    {
      type: 'object',
      required: ['jsonrpc', 'id', 'error'],
      additionalProperties: false,
      properties: {
        jsonrpc: { const: '2.0' },
        id: { type: ['string', 'number', 'null'] },
        error: {
          type: 'object',
          required: ['code', 'message'],
          properties: { code: { type: 'integer' }, message: { type: 'string' } },
        },
      },
    },
  ],
  server: [plainError()],
  well_known: [plainError()],
};
/** Route groups that are not in the document. */
const UNDESCRIBED: ReadonlySet<string> = new Set(['mcp', 'server', 'well_known']);
const NO_ROUTE = 'none';
const DOCUMENT_ID = 'http://keyhold.test/openapi.json';
/** OpenAPI keywords that do not affect validation. */
const ANNOTATIONS = ['example', 'discriminator', 'externalDocs', 'xml'];

function plainError(): Json {
  return {
    type: 'object',
    required: ['error'],
    additionalProperties: false,
    properties: {
      error: {
        type: 'object',
        required: ['code', 'message'],
        properties: { code: { type: 'string' }, message: { type: 'string' } },
      },
    },
  };
}

export class OpenApiValidator {
  readonly document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(document: OpenApiDocument) {
    this.document = document;
    formats.default(this.#ajv);
    this.#ajv.addSchema(document, DOCUMENT_ID);
  }

  /** Names of all operations, such as `GET /v1/stacks/{stack_id}`. */
  names(): string[] {
    return Object.entries(this.document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
  }

  operation(name: string): Operation {
    const [method = '', path = ''] = name.split(' ');
    const found = this.document.paths[path]?.[method.toLowerCase()];
    if (found === undefined) throw new Error(`no such operation: ${name}`);
    return found;
  }

  /** The schema of an operation's request body, with references inlined. */
  bodySchema(name: string): Json {
    const content = this.operation(name).requestBody?.content['application/json'] as
      | { schema?: Json }
      | undefined;
    return inlineReferences(content?.schema ?? {}, this.document) as Json;
  }

  /** Violations in a response; empty if it matches the document. */
  findViolations(method: string, response: ObservedResponse): string[] {
    const { status, area, route } = response;
    const violations = status >= 400 ? this.#findErrorViolations(response) : [];
    if (UNDESCRIBED.has(area)) return violations;
    if (route === NO_ROUTE) return status >= 400 ? violations : [...violations, 'a response without a route'];
    const path = route.replaceAll(/:([A-Za-z_]+)/g, '{$1}');
    const path_item = this.document.paths[path];
    const operation = path_item?.[method.toLowerCase()] ?? (method === 'HEAD' ? path_item?.get : undefined);
    if (operation === undefined) return [...violations, `no operation ${method} ${path} in the document`];
    const described = operation.responses[String(status)];
    if (described === undefined)
      return [...violations, `${method} ${path} does not document the status ${status}`];
    if (method === 'HEAD') return violations;
    return [
      ...violations,
      ...this.#findBodyViolations(
        response,
        `paths/${encodePointerStep(path)}/${method.toLowerCase()}/responses/${status}`,
        described.content,
      ),
    ];
  }

  /** Violations of the named schema; empty if the value matches. */
  findSchemaViolations(schema: string, value: unknown): string[] {
    return this.#check(`components/schemas/${encodePointerStep(schema)}`, value);
  }

  #findBodyViolations(
    { headers, text }: ObservedResponse,
    pointer: string,
    content: Readonly<Record<string, Json>> | undefined,
  ): string[] {
    if (content === undefined) return text === '' ? [] : ['a body where none is described'];
    const type = (headers.get('content-type') ?? '').split(';')[0] ?? '';
    if (content[type] === undefined) return [`the content type ${type} is not described`];
    const value = parseBody(type, text);
    if (value === undefined) return ['the body is no JSON'];
    return this.#check(`${pointer}/content/${encodePointerStep(type)}/schema`, value.value);
  }

  #findErrorViolations({ area, text, headers }: ObservedResponse): string[] {
    if (
      text === '' &&
      headers.get('content-length') === null &&
      headers.get('content-type') === 'application/json'
    )
      return [];
    const formats_of_area = ERRORS[area];
    if (formats_of_area === undefined) return [`no way to say errors is known of ${area}`];
    const value = parseBody(headers.get('content-type') ?? '', text);
    if (value === undefined) return ['an error that is no JSON'];
    const found = formats_of_area.map((format) =>
      typeof format === 'string'
        ? this.findSchemaViolations(format, value.value)
        : this.#checkInlineSchema(area, format, value.value),
    );
    return found.some((violations) => violations.length === 0) ? [] : found.flat();
  }

  #checkInlineSchema(name: string, schema: Json, value: unknown): string[] {
    const key = `own ${name}`;
    const validate = this.#validators.get(key) ?? this.#ajv.compile(schema);
    this.#validators.set(key, validate);
    return listViolations(validate, value);
  }

  #check(pointer: string, value: unknown): string[] {
    const validate =
      this.#validators.get(pointer) ?? this.#ajv.compile({ $ref: `${DOCUMENT_ID}#/${pointer}` });
    this.#validators.set(pointer, validate);
    return listViolations(validate, value);
  }
}

function listViolations(validate: ValidateFunction, value: unknown): string[] {
  if (validate(value)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message }) => `${instancePath || 'the body'} ${message}`,
  );
}

function parseBody(type: string, text: string): { readonly value: unknown } | undefined {
  if (!type.startsWith('application/json')) return type === '' ? undefined : { value: text };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** Encodes one step of a JSON pointer (RFC 6901) for a URL fragment. */
function encodePointerStep(step: string): string {
  return encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'));
}

/** Errors in the schemas of the document under strict JSON Schema rules; or an empty list. */
export function findInvalidSchemas(document: OpenApiDocument): string[] {
  const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true });
  formats.default(ajv);
  ajv.addVocabulary(ANNOTATIONS);
  return schemasIn(document, document).flatMap(([pointer, schema]) => {
    try {
      ajv.compile(schema);
      return [];
    } catch (error) {
      return [`${pointer}: ${error instanceof Error ? error.message : 'no schema'}`];
    }
  });
}

/** All schemas of the document by path, with references inlined. */
function schemasIn(part: unknown, document: OpenApiDocument, pointer = '#'): [string, Json][] {
  if (typeof part !== 'object' || part === null) return [];
  return Object.entries(part).flatMap(([name, inner]) => {
    const inner_pointer = `${pointer}/${name}`;
    if (name === 'schema' || pointer === '#/components/schemas')
      return [[inner_pointer, inlineReferences(inner, document) as Json]];
    return schemasIn(inner, document, inner_pointer);
  });
}

/** A schema with references inlined. Schemas must not be recursive. */
export function inlineReferences(part: unknown, document: OpenApiDocument): unknown {
  if (Array.isArray(part)) return part.map((inner) => inlineReferences(inner, document));
  if (typeof part !== 'object' || part === null) return part;
  if ('$ref' in part)
    return inlineReferences(document.components.schemas[String(part.$ref).split('/').at(-1) ?? ''], document);
  return Object.fromEntries(
    Object.entries(part).map(([name, inner]) => [name, inlineReferences(inner, document)]),
  );
}
