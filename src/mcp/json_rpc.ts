/**
 * JSON-RPC 2.0 messages: parses a text, and makes the error responses to texts that are not messages. Repeats nothing of
 * the text but the ids of its requests.
 */
import {
  type JSONRPCErrorResponse,
  type JSONRPCMessage,
  parseJSONRPCMessage,
} from '@modelcontextprotocol/server';
import { parseStrictJson } from '../io/strict_json.ts';

export const PARSE_ERROR = { code: -32_700, message: 'The message must be JSON in UTF-8.' };
export const TOO_LARGE_ERROR = { code: -32_600, message: 'The message is too large.' };
export const BATCH_ERROR = {
  code: -32_600,
  message: 'Batches are not supported. Send one message at a time.',
};
const INVALID_REQUEST_ERROR = {
  code: -32_600,
  message: 'The message must be one JSON-RPC 2.0 request, notification or response, with jsonrpc: "2.0".',
};
/** Error responses to one batch. */
const BATCH_RESPONSES_MAX = 100;

/** Returns the message, or the error responses to a text that is not one; none if it can be a response to an error. */
export function readMessage(text: string): JSONRPCMessage | readonly JSONRPCErrorResponse[] {
  const parsed = parseStrictJson(text);
  if ('violation' in parsed) return violationErrors(text, parsed.violation);
  const json = parsed.value;
  if (Array.isArray(json)) return batchErrors(json);
  try {
    return parseJSONRPCMessage(json);
  } catch {
    return isResponse(json) ? [] : [errorResponse(INVALID_REQUEST_ERROR, requestId(json))];
  }
}

/** The errors to a text that the strict parser rejects. Most such texts are JSON, and the client waits for its id. */
function violationErrors(text: string, violation: string): readonly JSONRPCErrorResponse[] {
  try {
    const json: unknown = JSON.parse(text);
    if (isResponse(json)) return [];
    const error = { code: INVALID_REQUEST_ERROR.code, message: `The message cannot be read. ${violation}` };
    return [errorResponse(error, requestId(json))];
  } catch {
    return [errorResponse(PARSE_ERROR)];
  }
}

/** An error without an id has no member `id`, as in the schema of MCP, which does not allow null. */
export function errorResponse(
  error: JSONRPCErrorResponse['error'],
  id?: string | number,
): JSONRPCErrorResponse {
  return { jsonrpc: '2.0', ...(id === undefined ? {} : { id }), error };
}

/** The id of a message that may be malformed otherwise. */
export function requestId(json: unknown): string | number | undefined {
  const { id } = Object(json);
  return typeof id === 'string' || Number.isSafeInteger(id) ? id : undefined;
}

/** One error for each request, since the client waits for the response to each of them; at least one. */
function batchErrors(batch: readonly unknown[]): readonly JSONRPCErrorResponse[] {
  if (batch.length > 0 && batch.every(isResponse)) return [];
  const ids = batch
    .filter((one) => !isResponse(one))
    .map(requestId)
    .filter((id) => id !== undefined);
  if (ids.length === 0) return [errorResponse(BATCH_ERROR)];
  return ids.slice(0, BATCH_RESPONSES_MAX).map((id) => errorResponse(BATCH_ERROR, id));
}

/** A response must never get one: two peers would send errors to each other for ever. */
function isResponse(json: unknown): boolean {
  return typeof json === 'object' && json !== null && ('result' in json || 'error' in json);
}
