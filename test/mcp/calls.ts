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

export const CALLS: readonly ToolCall[] = [
  {
    tool: 'list_services',
    does: 'refuses a query of the wrong type',
    input: { query: 7 },
    fails: 'INVALID_INPUT',
  },
  { tool: 'list_services', does: 'lists all services', input: {} },
  { tool: 'list_services', does: 'finds services by words', input: { query: 'mail' } },
  { tool: 'list_services', does: 'finds none', input: { query: 'zzzzzz' } },
  {
    tool: 'store_credential',
    does: 'refuses an unknown service',
    input: { ...DANUBE_CALL, ...NOWHERE },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'store_credential',
    does: 'refuses to store nothing',
    input: { service_id: 'linear', credential_type: 'bearer' },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'store_credential',
    does: 'refuses a key it does not know',
    input: { ...DANUBE_CALL, extra: 1 },
    fails: 'INVALID_INPUT',
  },
  { tool: 'store_credential', does: 'stores', input: DANUBE_CALL },
  {
    tool: 'update_credentials',
    does: 'refuses a field of another service',
    input: { service_id: 'gmail', credentials: TOOLROUTER_LINEAR },
    fails: 'INVALID_INPUT',
  },
  {
    tool: 'update_credentials',
    does: 'refuses an unknown service',
    input: { ...NOWHERE, credentials: TOOLROUTER_LINEAR },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'update_credentials',
    does: 'sets one field of two that are required',
    input: { service_id: 'gmail', credentials: { gmail_oauth_token: TOOLROUTER_GMAIL.gmail_oauth_token } },
  },
  {
    tool: 'get_credential_status',
    does: 'tells what is missing',
    input: { service_id: 'gmail' },
  },
  {
    tool: 'update_credentials',
    does: 'sets all fields',
    input: { service_id: 'gmail', credentials: TOOLROUTER_GMAIL },
  },
  { tool: 'get_credential_status', does: 'tells that all is there', input: { service_id: 'gmail' } },
  { tool: 'get_credential_status', does: 'tells that nothing is there', input: { service_id: 'linear' } },
  { tool: 'get_credential_status', does: 'tells of the whole stack', input: {} },
  { tool: 'get_credential_status', does: 'tells of an empty stack', input: { stack_id: 'other' } },
  {
    tool: 'get_credential_status',
    does: 'refuses an unknown service',
    input: NOWHERE,
    fails: 'NOT_FOUND',
  },
  {
    tool: 'delete_credential',
    does: 'refuses what is not there',
    input: { service_id: 'linear' },
    fails: 'NOT_FOUND',
  },
  {
    tool: 'delete_credential',
    does: 'refuses to delete nothing in particular',
    input: {},
    fails: 'INVALID_INPUT',
  },
  { tool: 'delete_credential', does: 'deletes', input: { service_id: 'svc_openai_001' } },
];
