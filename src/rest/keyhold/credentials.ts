/** Credentials of the caller's stacks, with the input and output of the tools of the same names. */
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import {
  CredentialStatus,
  CredentialSummary,
  DeleteInput,
  DeleteOutput,
  SetUsePolicyInput,
  SetUsePolicyOutput,
  StatusInput,
  StoreInput,
  StoreOutput,
  UpdateInput,
  UpdateOutput,
} from '../../contract/credential.ts';
import { TestInput, TestOutput } from '../../contract/use/test.ts';
import type { HttpDependencies, HttpEnv } from '../../http/dialect.ts';
import { CodedDetail, errorResponses, QUERY_ERRORS, USE_ERRORS, WRITE_ERRORS } from '../openapi/responses.ts';
import { bodyOf, component, FieldValues, jsonOf } from '../openapi/schemas.ts';

const TAGS = ['Keyhold'];

const StatusOfOne = component('CredentialStatus', CredentialStatus);
const StatusOfAll = z
  .object({
    credentials: z.array(component('NamedStatus', CredentialSummary)),
    more: z.boolean().openapi({ description: 'Whether the stack has more than the 100 listed.' }),
  })
  .openapi('CredentialList');

const NO_SERVICE = 'Unknown service or stack.';
const VERIFY_ERRORS = {
  410: 'With `verify`: the right to use the credential has ended. Nothing was stored.',
  502: 'With `verify`: the service could not be reached, or its response is uncertain. Nothing was stored.',
} as const;
const TEST_ERRORS = { ...WRITE_ERRORS, ...USE_ERRORS } as const;

const storeRoute = createRoute({
  method: 'put',
  path: '/v1/credentials',
  tags: TAGS,
  operationId: 'storeCredential',
  summary: 'Store one value',
  description:
    'As store_credential: replaces the value of the same service, stack and name. Keeps the id and the other fields, and removes what belonged to the old value, such as its refresh token. A protected credential stays unchanged: the value waits for a person, and `status` is `pending_approval`. With `verify`, only stores what the service accepts.',
  request: { body: bodyOf(component('StoreInput', StoreInput)) },
  responses: {
    200: jsonOf(component('StoreOutput', StoreOutput), 'The value is stored, or waits for approval.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: NO_SERVICE, ...VERIFY_ERRORS }),
  },
});

const updateRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/update',
  tags: TAGS,
  operationId: 'updateCredentials',
  summary: 'Update fields',
  description:
    'As update_credentials: merges values. Other fields keep their values. Values for a protected credential wait for a person. With `verify`, only stores what the service accepts.',
  request: { body: bodyOf(UpdateInput.extend({ credentials: FieldValues }).openapi('UpdateInput')) },
  responses: {
    200: jsonOf(component('UpdateOutput', UpdateOutput), 'The values are stored, or wait for approval.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: NO_SERVICE, ...VERIFY_ERRORS }),
  },
});

const deleteRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/delete',
  tags: TAGS,
  operationId: 'deleteCredential',
  summary: 'Delete a credential',
  description:
    'As delete_credential: deletes the credential and destroys its values. 403, reason `credential_protected`, for a protected one.',
  request: { body: bodyOf(component('DeleteInput', DeleteInput)) },
  responses: {
    200: jsonOf(component('DeleteOutput', DeleteOutput), 'The credential is deleted.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown credential.' }),
  },
});

const policyRoute = createRoute({
  method: 'put',
  path: '/v1/credentials/policy',
  tags: TAGS,
  operationId: 'setUsePolicy',
  summary: 'Limit the uses of a credential',
  description:
    'Limits that are not named stay, unless `replace` is true. Needs credentials:write, and org:admin to allow more than before.',
  request: { body: bodyOf(component('SetUsePolicyInput', SetUsePolicyInput)) },
  responses: {
    200: jsonOf(component('SetUsePolicyOutput', SetUsePolicyOutput), 'The limits that now apply.'),
    ...errorResponses(CodedDetail, { ...WRITE_ERRORS, 404: 'Unknown service or credential.' }),
  },
});

const statusRoute = createRoute({
  method: 'get',
  path: '/v1/credentials',
  tags: TAGS,
  operationId: 'getCredentialStatus',
  summary: 'Check credentials',
  description:
    'As get_credential_status: which fields are added. Without service_id, every credential of the stack, newest first.',
  request: { query: z.strictObject(StatusInput.shape) },
  responses: {
    200: jsonOf(z.union([StatusOfOne, StatusOfAll]), 'With service_id one status, otherwise the list.'),
    ...errorResponses(CodedDetail, { ...QUERY_ERRORS, 404: NO_SERVICE }),
  },
});

const TESTED = component('TestOutput', TestOutput);
const TEST_TEXT =
  'Sends the test request of the service, or logs in, with the stored credential, only where it is bound to. Every finding is a result: `valid`, `invalid` or `unknown`.';

const testRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/test',
  tags: TAGS,
  operationId: 'testCredential',
  summary: 'Test a credential',
  description: `As test_credential. ${TEST_TEXT} Needs credentials:use.`,
  request: { body: bodyOf(component('TestInput', TestInput)) },
  responses: {
    200: jsonOf(TESTED, 'The result of the test.'),
    ...errorResponses(CodedDetail, { ...TEST_ERRORS, 404: 'Unknown service or credential.' }),
  },
});

const testByIdRoute = createRoute({
  method: 'post',
  path: '/v1/credentials/{credential_id}/test',
  tags: TAGS,
  operationId: 'testCredentialById',
  summary: 'Test a credential by its id',
  description: `${TEST_TEXT} Needs credentials:read and credentials:use.`,
  request: {
    params: z.object({
      credential_id: z.string().openapi({ param: { name: 'credential_id', in: 'path' } }),
    }),
  },
  responses: {
    200: jsonOf(TESTED, 'The result of the test.'),
    ...errorResponses(CodedDetail, { ...TEST_ERRORS, 404: 'Unknown credential.' }),
  },
});

export function registerCredentials(app: OpenAPIHono<HttpEnv>, { vault, tests }: HttpDependencies): void {
  app.openapi(storeRoute, async (c) => c.json(await vault.store(c.get('caller'), c.req.valid('json')), 200));

  app.openapi(updateRoute, async (c) =>
    c.json(await vault.update(c.get('caller'), c.req.valid('json')), 200),
  );

  app.openapi(deleteRoute, async (c) => {
    await vault.delete(c.get('caller'), c.req.valid('json'));
    return c.json({ success: true } as const, 200);
  });

  app.openapi(testRoute, async (c) => c.json(await tests.test(c.get('caller'), c.req.valid('json')), 200));

  app.openapi(testByIdRoute, async (c) =>
    c.json(await tests.testById(c.get('caller'), c.req.valid('param').credential_id), 200),
  );

  app.openapi(policyRoute, async (c) =>
    c.json(await vault.use_policies.set(c.get('caller'), c.req.valid('json')), 200),
  );

  app.openapi(statusRoute, async (c) => {
    const { service_id, ...input } = c.req.valid('query');
    if (service_id !== undefined)
      return c.json(await vault.status(c.get('caller'), { ...input, service_id }), 200);
    const { credentials, more } = await vault.listCredentials(c.get('caller'), input);
    return c.json({ credentials: [...credentials], more }, 200);
  });
}
