/** A dialect for tests: one route of each kind, and an error format that no other has. */
import { createRoute } from '@hono/zod-openapi';
import * as z from 'zod';
import { ERROR_TABLE, VaultError } from '../../src/contract/errors.ts';
import type { Dialect } from '../../src/http/dialect.ts';

const Item = z.strictObject({ name: z.string(), note: z.string().optional() });
const Shown = z.object({ id: z.string(), name: z.string(), user: z.string() });
const json = <Schema extends z.ZodType>(schema: Schema) => ({ 'application/json': { schema } });

const getItem = createRoute({
  method: 'get',
  path: '/toy/items/{item_id}',
  request: {
    params: z.object({ item_id: z.string() }),
    query: z.object({ page: z.coerce.number().optional() }),
  },
  responses: { 200: { description: 'It.', content: json(Shown) } },
});
const putItem = createRoute({
  method: 'put',
  path: '/toy/items/{item_id}',
  request: { params: z.object({ item_id: z.string() }), body: { content: json(Item), required: true } },
  responses: { 200: { description: 'It.', content: json(Shown) } },
});
const failing = createRoute({
  method: 'get',
  path: '/toy/fail/{code}',
  request: { params: z.object({ code: z.string() }) },
  responses: { 200: { description: 'Never.' } },
});

const deleteItem = createRoute({
  method: 'delete',
  path: '/toy/deletable/{item_id}',
  request: { params: z.object({ item_id: z.string() }) },
  responses: { 204: { description: 'Gone.' } },
});

/** Errors are `{"toy":CODE}` with the message; invalid input is 422. */
export const testDialect: Dialect = {
  name: 'toy',
  prefixes: ['/toy'],
  error: (error, status) => ({
    status: status ?? ERROR_TABLE[error.code].http_status,
    body: { toy: error.code, message: error.message },
  }),
  invalid: ({ target, issues }) => ({
    status: 422,
    body: { toy: 'invalid', target, paths: issues.map(({ path }) => path.join('.')) },
  }),
  register(app) {
    app.openapi(getItem, (c) => {
      const { item_id } = c.req.valid('param');
      return c.json({ id: item_id, name: 'it', user: c.var.caller.user }, 200);
    });
    app.openapi(putItem, (c) => {
      const { name } = c.req.valid('json');
      return c.json({ id: c.req.valid('param').item_id, name, user: c.var.caller.user }, 200);
    });
    app.openapi(deleteItem, (c) => c.body(null, 204));
    app.openapi(failing, (c) => {
      const { code } = c.req.valid('param');
      const known = Object.keys(ERROR_TABLE).find((one): one is keyof typeof ERROR_TABLE => one === code);
      if (known === undefined) throw new TypeError(`a library quotes its input: ${code}`);
      throw new VaultError(known, `This is ${known}.`);
    });
  },
};
