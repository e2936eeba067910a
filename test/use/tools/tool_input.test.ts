/** The input of a service's tool becomes a request, or is rejected with the name of the parameter. */
import { describe, expect, test } from 'vitest';
import type { Operation } from '../../../src/contract/service/operations.ts';
import { inputSchema, toolRequest } from '../../../src/use/tools/tool_input.ts';

const tool = { id: '', name: '', title: '', description: '' };
const parameter = (name: string, part: string, type: string, required = false) => ({
  name,
  in: part,
  type,
  required,
  description: `The ${name}.`,
});
const operation = {
  id: 'create_issue',
  title: 'Create an issue',
  description: 'Creates an issue.',
  method: 'POST',
  path: '/repos/{owner}/issues',
  parameters: [
    parameter('owner', 'path', 'string', true),
    parameter('per_page', 'query', 'integer'),
    parameter('X-Trace', 'header', 'string'),
    { ...parameter('title', 'body', 'string', true), example: 'Broken' },
    parameter('labels', 'body', 'array'),
  ],
} as Operation;
const create_issue = { ...tool, operation };

describe('an operation', () => {
  test.each([
    ['without a required parameter', { owner: 'a' }, 'The parameter title is missing.'],
    ['with a required parameter that is null', { owner: 'a', title: null }, 'title is missing'],
    ['with an unknown parameter', { owner: 'a', title: 't', secret_value: 1 }, 'A parameter is unknown.'],
    ['with a number for a string', { owner: 'a', title: 7 }, 'title must be of type string'],
    ['with a fraction for an integer', { owner: 'a', title: 't', per_page: 1.5 }, 'per_page must be of type'],
    ['with an object for an array', { owner: 'a', title: 't', labels: {} }, 'labels must be of type array'],
    ['with dots for a part of the path', { owner: '..', title: 't' }, 'owner must not be empty or dots'],
    ['with nothing for a part of the path', { owner: '', title: 't' }, 'owner must not be empty or dots'],
  ])('%s is rejected', (_title, input, message) => {
    expect(() => toolRequest(create_issue, input)).toThrow(message);
  });

  test('an unknown parameter is not repeated in the message', () => {
    expect(() => toolRequest(create_issue, { owner: 'a', title: 't', 'sk-live-1': 1 })).toThrow(
      /^A parameter is unknown\. The parameters are owner, per_page, X-Trace, title, labels\.$/,
    );
  });

  test('puts each parameter where it belongs', () => {
    const input = { owner: 'a', title: 'Broken', labels: ['bug'], per_page: 5, 'X-Trace': 'x' };
    expect(toolRequest(create_issue, input)).toStrictEqual({
      method: 'POST',
      path: '/repos/a/issues',
      query: { per_page: 5 },
      headers: { 'X-Trace': 'x' },
      body: { title: 'Broken', labels: ['bug'] },
    });
  });

  test.each(['a/b', 'a?b=c', 'a#b', '%2e%2e', 'a b', 'ä'])('%j stays one segment of the path', (owner) => {
    const { path } = toolRequest(create_issue, { owner, title: 't' });
    const segments = new URL(path, 'https://example.com').pathname.split('/');
    expect(segments).toHaveLength(4);
    expect(decodeURIComponent(segments[2] ?? '')).toBe(owner);
  });

  test('its schema has every parameter and allows no others', () => {
    expect(inputSchema(create_issue)).toMatchObject({
      type: 'object',
      properties: { title: { type: 'string', description: 'The title.', examples: ['Broken'] } },
      required: ['owner', 'title'],
      additionalProperties: false,
    });
  });
});

describe('the tool request', () => {
  test.each([
    ['without a path', {}, 'path is missing'],
    ['with a path that is no text', { path: 1 }, 'path must be of type string'],
    ['with a method that is no text', { path: '/', method: 1 }, 'method must be of type string'],
    ['with a list of query parameters', { path: '/', query: [] }, 'query must be of type object'],
    ['with a header that is no text', { path: '/', headers: { a: 1 } }, 'headers must be of type'],
    ['with another credential', { path: '/', name: 'work' }, 'A parameter is unknown'],
  ])('%s is rejected', (_title, input, message) => {
    expect(() => toolRequest(tool, input)).toThrow(message);
  });

  test('passes method, path, query, headers and body on', () => {
    const input = { method: 'PUT', path: '/a', query: { b: [1, 2] }, headers: { c: 'd' }, body: [1] };
    expect(toolRequest(tool, input)).toStrictEqual(input);
    expect(toolRequest(tool, { path: '/a' })).toStrictEqual({ method: 'GET', path: '/a' });
    expect(inputSchema(tool)).toMatchObject({ required: ['path'], additionalProperties: false });
  });
});
