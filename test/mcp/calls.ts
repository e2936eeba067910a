/**
 * A sequence of calls that takes every tool through success and failure, on one vault that is empty at first. Every
 * client sends all of them.
 */
import type { ErrorCode } from '../../src/contract/errors.ts';

export interface ToolCall {
  readonly tool: string;
  /** The expected result, as the end of a sentence that starts with the name of the tool. */
  readonly does: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** The expected error code, if the call must fail. */
  readonly fails?: ErrorCode;
}

/** The call in Danube's documentation. */
export const DANUBE_CALL = {
  service_id: 'svc_openai_001',
  credential_type: 'bearer',
  credential_value: 'sk-proj-abc123...',
} as const;

/** The two requests in ToolRouter's documentation. */
export const TOOLROUTER_GMAIL = {
  gmail_oauth_token: 'ya29.a0AfH6SMC...',
  gmail_client_id: '123456789-abcdef.apps.googleusercontent.com',
  gmail_client_secret: 'GOCSPX-abc123def456',
  gmail_signature: 'Best regards,\nKeyhold',
} as const;
export const TOOLROUTER_LINEAR = { linear_api_key: 'lin_api_abc123def456789' } as const;

const NOWHERE = { service_id: 'no-such-service' } as const;
/** Of the service that `DANUBE_CALL` stores. */
const OPENAI_MODELS = { service_id: 'openai', path: '/v1/models' } as const;

export const CALLS: readonly ToolCall[] = [
  {
    tool: 'list_services',
    does: 'rejects a query of the wrong type',
    input: { query: 7 },
    fails: 'INVALID_INPUT',
  },
  { tool: 'list_services', does: 'lists all services', input: {} },
  { tool: 'list_services', does: 'finds services by a term', input: { query: 'mail' } },
  { tool: 'list_services', does: 'returns an empty list for an unknown term', input: { query: 'zzzzzz' } },
  {
    tool: 'store_credential',
    does: 'rejects an unknown service',
    input: { ...DANUBE_CALL, ...NOWHERE },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'store_credential',
    does: 'rejects a missing type',
    input: { service_id: 'linear' },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'store_credential',
    does: 'rejects an unknown key',
    input: { ...DANUBE_CALL, extra: 1 },
    fails: 'INVALID_INPUT',
  },
  { tool: 'store_credential', does: 'stores a value', input: DANUBE_CALL },
  {
    tool: 'update_credentials',
    does: 'rejects a field of another service',
    input: { service_id: 'gmail', credentials: TOOLROUTER_LINEAR },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'update_credentials',
    does: 'rejects an unknown service',
    input: { ...NOWHERE, credentials: TOOLROUTER_LINEAR },
    fails: 'NOT_FOUND',
  },
  // The first that succeeds, for clients that make one call of each tool.
  {
    tool: 'update_credentials',
    does: 'stores a credential that has no test',
    input: { service_id: 'api_credential', credentials: { api_key: 'k-123456', host: 'api.example.com' } },
  },
  {
    tool: 'update_credentials',
    does: 'sets one of two required fields',
    input: { service_id: 'gmail', credentials: { gmail_oauth_token: TOOLROUTER_GMAIL.gmail_oauth_token } },
  },
  {
    tool: 'get_credential_status',
    does: 'lists the missing fields',
    input: { service_id: 'gmail' },
  },
  {
    tool: 'update_credentials',
    does: 'sets all fields',
    input: { service_id: 'gmail', credentials: TOOLROUTER_GMAIL },
  },
  {
    tool: 'get_credential_status',
    does: 'returns active for a complete credential',
    input: { service_id: 'gmail' },
  },
  {
    tool: 'get_credential_status',
    does: 'returns missing for a missing credential',
    input: { service_id: 'linear' },
  },
  { tool: 'get_credential_status', does: 'lists the credentials of the stack', input: {} },
  {
    tool: 'get_credential_status',
    does: 'returns an empty list for an empty stack',
    input: { stack_id: 'other' },
  },
  {
    tool: 'get_credential_status',
    does: 'rejects an unknown service',
    input: NOWHERE,
    fails: 'NOT_FOUND',
  },
  {
    tool: 'test_credential',
    does: 'rejects an unknown service',
    input: NOWHERE,
    fails: 'NOT_FOUND',
  },
  {
    tool: 'test_credential',
    does: 'reports that a credential has no test',
    input: { service_id: 'api_credential' },
  },
  {
    tool: 'call_service',
    does: 'rejects an unknown service',
    input: { ...NOWHERE, path: '/' },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'call_service',
    does: 'rejects a header that the credential uses',
    input: { ...OPENAI_MODELS, headers: { authorization: 'Bearer x' } },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'call_service',
    does: 'describes the request of a dry run',
    input: { ...OPENAI_MODELS, dry_run: true },
  },
  {
    tool: 'delete_credential',
    does: 'rejects a missing credential',
    input: { service_id: 'linear' },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'delete_credential',
    does: 'rejects a missing service',
    input: {},
    fails: 'INVALID_INPUT',
  },
  { tool: 'delete_credential', does: 'deletes a credential', input: { service_id: 'svc_openai_001' } },
  {
    tool: 'request_access',
    does: 'rejects a reason with control characters',
    input: { service_id: 'github', reason: 'a\u0007b' },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'request_access',
    does: 'requests access to a known service',
    input: { service_id: 'github', reason: 'To read the issues.' },
  },
  {
    tool: 'get_credential_status',
    does: 'reports the access request while it waits',
    input: { service_id: 'github' },
  },
];
