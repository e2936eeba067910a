/** Operations of a service that serve as examples and named tools, and how its lists are paged. */
import * as z from 'zod';
import { USE_METHODS } from '../use/rules.ts';
import { headerName, jsonPointer, text } from './texts.ts';

/** How the next page of a list is requested. */
export const Pagination = z.strictObject({
  /**
   * `link_header`: RFC 8288, `rel="next"`. `cursor`: a value of the response becomes the parameter, or is the URL of the next
   * page. `page`: a number that grows by one. `offset`: a number that grows by the items of the page.
   */
  style: z.enum(['link_header', 'cursor', 'page', 'offset', 'none']),
  /** The parameter of `cursor`, `page` and `offset`: of the query, or of the body of a POST. */
  parameter: text(64).optional(),
  /** JSON pointer (RFC 6901) to the next cursor, or to the URL of the next page. */
  pointer: jsonPointer.optional(),
  /** The response header with the next cursor. */
  header: headerName.optional(),
  /** The XML element with the next cursor. */
  element: text(64)
    .regex(/^[A-Za-z]+$/, 'must have letters only')
    .optional(),
  /** JSON pointer, in the last item of the list, to the next cursor. */
  last_item: jsonPointer.optional(),
  /** The number of the first page, if it is not 1. */
  first: z.int().min(0).max(1).optional(),
});
export type Pagination = z.infer<typeof Pagination>;

const OperationParameter = z.strictObject({
  name: text(64).regex(/^[A-Za-z_][A-Za-z0-9_.[\]-]*$/, 'must be an identifier'),
  in: z.enum(['path', 'query', 'header', 'body']),
  type: z.enum(['string', 'integer', 'number', 'boolean', 'object', 'array']),
  required: z.boolean(),
  description: text(300),
  /** JSON. Not `z.json()`: its schema is recursive, and the OpenAPI document could not be made. */
  example: z.unknown().optional(),
});

export const Operation = z
  .strictObject({
    /** Unique in the service; the end of the tool's name. */
    id: text(48)
      .regex(/^[a-z][a-z0-9_]*$/, 'must be lower case letters, digits or "_"')
      .refine((id) => id !== 'request', 'is the name of a tool that every service has'),
    title: text(100),
    description: text(500),
    method: z.enum(USE_METHODS),
    /** With `{name}` for each parameter in the path. */
    path: text(300).regex(/^\/[^\s?#]*$/, 'must start with "/" and have no query'),
    /** Parameters in the body are the keys of one JSON object. */
    parameters: z.array(OperationParameter).max(20),
  })
  .superRefine(({ path, parameters }, context) => {
    const in_path = [...path.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name).sort();
    const named = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    if (in_path.join() !== named.sort().join())
      context.addIssue({ code: 'custom', path: ['path'], message: 'has other parameters than the list' });
    if (parameters.some((parameter) => parameter.in === 'path' && !parameter.required))
      context.addIssue({ code: 'custom', path: ['parameters'], message: 'in the path must be required' });
  });
export type Operation = z.infer<typeof Operation>;
