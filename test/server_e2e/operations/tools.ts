/** A valid call of each tool. */
import type { Scope } from '../../../src/contract/caller.ts';
import type { Fixtures } from '../fixtures.ts';

export interface ToolRow {
  readonly scopes: readonly Scope[];
  readonly input: (fixtures: Fixtures) => object;
}

export const TOOL_ROWS: Readonly<Record<string, ToolRow>> = {
  store_credential: {
    scopes: ['credentials:write'],
    input: ({ stack_id, name, value }) => ({
      service_id: 'linear',
      credential_type: 'bearer',
      credential_value: value,
      stack_id,
      name,
    }),
  },
  update_credentials: {
    scopes: ['credentials:write'],
    input: ({ stack_id, value }) => ({
      service_id: 'linear',
      credentials: { linear_api_key: value },
      stack_id,
    }),
  },
  get_credential_status: {
    scopes: ['credentials:read'],
    input: ({ stack_id }) => ({ service_id: 'linear', stack_id }),
  },
  list_services: {
    scopes: ['credentials:read'],
    input: ({ stack_id }) => ({ query: 'linear', stack_id }),
  },
  test_credential: {
    scopes: ['credentials:use'],
    input: ({ stack_id }) => ({ service_id: 'linear', stack_id }),
  },
  call_service: {
    scopes: ['credentials:use'],
    input: ({ stack_id }) => ({ service_id: 'linear', path: '/graphql', dry_run: true, stack_id }),
  },
  request_access: {
    scopes: ['credentials:use'],
    input: ({ stack_id }) => ({ service_id: 'github', reason: 'To read issues.', stack_id }),
  },
  delete_credential: {
    scopes: ['credentials:write'],
    input: ({ stack_id }) => ({ service_id: 'linear', stack_id }),
  },
};
