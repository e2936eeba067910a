/**
 * Rewrites the error responses of the MCP SDK: keeps status and code, replaces the message. The SDK's messages quote
 * headers, methods and names of the request, and any of them may be a secret value that was put there by mistake.
 */
import * as z from 'zod';
import { requestId } from './json_rpc.ts';

const MESSAGES_BY_CODE: Readonly<Record<number, string>> = {
  [-32_700]: 'The body must be one JSON-RPC message.',
  [-32_600]: 'The body must be one JSON-RPC request or notification.',
  [-32_601]: 'Unknown method.',
  [-32_602]: 'A field of params._meta that protocol revision 2026-07-28 requires is missing or invalid.',
  [-32_603]: 'Something failed inside Keyhold. Its log has the cause.',
  [-32_020]:
    'The headers MCP-Protocol-Version, Mcp-Method and Mcp-Name are required and must match the body.',
  [-32_021]: 'The client did not declare a capability that this request needs.',
  [-32_022]: 'This protocol revision is not supported.',
};
const MESSAGES_BY_STATUS: Readonly<Record<number, string>> = {
  405: 'Sessions and streams are not supported. Send each message with POST.',
  413: 'The body is too large.',
  415: 'The body must be application/json.',
};
const OTHER_MESSAGE = 'The request is not supported. Check the header MCP-Protocol-Version.';

const RpcError = z.object({
  id: z.union([z.string(), z.number(), z.null()]).default(null),
  error: z.object({
    code: z.number(),
    data: z
      .object({ supported: z.array(z.string()), requested: z.string().optional() })
      .optional()
      .catch(undefined),
  }),
});
const REVISION_PATTERN = /^\d{4}-\d{2}-\d{2}$/;

/**
 * Returns a successful response unchanged. Failed tool calls are successful responses. `json`: the message that the
 * response is for; the SDK does not repeat the id of every request that has one.
 */
export async function rewriteErrorResponse(response: Response, json?: unknown): Promise<Response> {
  if (response.status < 400 || response.body === null) return response;
  const { status } = response;
  const { id, error } = RpcError.parse(await response.json());
  const request_id = id ?? requestId(json) ?? null;
  const message = MESSAGES_BY_STATUS[status] ?? MESSAGES_BY_CODE[error.code] ?? OTHER_MESSAGE;
  const allow = response.headers.get('allow');
  return Response.json(
    { jsonrpc: '2.0', id: request_id, error: { code: error.code, message, ...revisions(error.data) } },
    { status, ...(allow === null ? {} : { headers: { allow } }) },
  );
}

/** Clients negotiate the protocol revision by this data, which must include the requested one. */
function revisions(data: z.infer<typeof RpcError>['error']['data']) {
  if (data === undefined) return {};
  const { supported, requested = '' } = data;
  return { data: { supported, requested: REVISION_PATTERN.test(requested) ? requested : 'unknown' } };
}
