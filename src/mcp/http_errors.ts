/**
 * What an MCP client is told when the protocol refuses its request: the SDK's status and code, our own words. The SDK's
 * quote headers, methods and names as they were sent, and any of them may be a value in the wrong place.
 */
import * as z from 'zod';

const TEXTS: Readonly<Record<number, string>> = {
  [-32_700]: 'The body must be one JSON-RPC message.',
  [-32_600]: 'The body must be one JSON-RPC request or notification.',
  [-32_601]: 'There is no such method here.',
  [-32_602]:
    'The request lacks what protocol revision 2026-07-28 wants in params._meta, or has it in another form.',
  [-32_603]: 'Something failed inside Keyhold. Its log has the cause.',
  [-32_020]:
    'The headers MCP-Protocol-Version, Mcp-Method and Mcp-Name must be there and say what the body says.',
  [-32_021]: 'The client did not declare a capability that this needs.',
  [-32_022]: 'This protocol revision is not served.',
};
const TEXTS_OF_STATUS: Readonly<Record<number, string>> = {
  405: 'There are no sessions and no streams to open here: send each message with POST.',
  406: 'Accept must name application/json and text/event-stream.',
  413: 'The body is too large.',
  415: 'The body must be application/json.',
};
const OTHER_TEXT = 'The request is not one that this server takes; check the header MCP-Protocol-Version.';

const RpcRefusal = z.object({
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

/** The answer as it is, or, where it is a refusal, with its text exchanged. Answers of tools are never refusals. */
export async function rewriteErrorResponse(response: Response): Promise<Response> {
  if (response.status < 400 || response.body === null) return response;
  const { status } = response;
  const { id, error } = RpcRefusal.parse(await response.json());
  const message = TEXTS_OF_STATUS[status] ?? TEXTS[error.code] ?? OTHER_TEXT;
  const allow = response.headers.get('allow');
  return Response.json(
    { jsonrpc: '2.0', id, error: { code: error.code, message, ...revisions(error.data) } },
    { status, ...(allow === null ? {} : { headers: { allow } }) },
  );
}

/** Clients agree on a revision by what is served; the one that they asked for must stand beside it. */
function revisions(data: z.infer<typeof RpcRefusal>['error']['data']) {
  if (data === undefined) return {};
  const { supported, requested = '' } = data;
  return { data: { supported, requested: REVISION_PATTERN.test(requested) ? requested : 'unknown' } };
}
