/**
 * MCP over Streamable HTTP, both protocol eras at one path, without sessions: each request gets a server for its caller,
 * whom the pipeline has authenticated. Replaces the SDK's error messages, which quote headers and names of the request.
 */
import { createMcpHandler } from '@modelcontextprotocol/server';
import type { Caller } from '../contract/caller.ts';
import { ERROR_TABLE, type ErrorCode, type PublicError } from '../contract/errors.ts';
import { REQUEST_BODY_MAX_BYTES } from '../contract/limits.ts';
import { describeFailure } from '../contract/logger.ts';
import type { Pages } from '../contract/pages.ts';
import type { Tool } from '../contract/tool.ts';
import type { BearerChallenge } from '../http/auth/bearer_challenge.ts';
import type { ErrorResponse, HttpDependencies } from '../http/dialect.ts';
import type { KeyedMount, MountContext } from '../http/mount.ts';
import { addAcceptTypes, convertToAcceptedType, parseAccept } from './accept.ts';
import { rewriteErrorResponse } from './http_errors.ts';
import { BATCH_ERROR, PARSE_ERROR, requestId } from './json_rpc.ts';
import { createMcpServer } from './server.ts';

export const MCP_PATH = '/mcp';

const JSON_RPC_SERVER_ERROR = -32_000;
const JSON_RPC_INVALID_REQUEST = -32_600;
const JSON_RPC_INTERNAL_ERROR = -32_603;

const JSON_RPC_CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  INVALID_INPUT: JSON_RPC_INVALID_REQUEST,
  INTERNAL: JSON_RPC_INTERNAL_ERROR,
};

/** The tools get the pages of this server. */
type Context = Pick<HttpDependencies, 'vault' | 'calls' | 'tests'> & { readonly pages: Pages };

/** From the pipeline, for the MCP server of one request. */
type Received = Pick<MountContext, 'countError'> & { readonly caller: Caller };

/** Serves `tools` at /mcp. `challenge` returns the parameters of the WWW-Authenticate of a 401. */
export function mcpMount(
  parts: HttpDependencies,
  tools: readonly Tool<Context>[],
  challenge: () => BearerChallenge,
): KeyedMount {
  const { log, version } = parts;
  const received = new WeakMap<Request, Received>();
  const context = {
    ...parts,
    pages: { baseUrl: async () => parts.public_url, dashboardUrl: async () => parts.public_url },
  };
  const handler = createMcpHandler(
    ({ requestInfo, era }) => {
      const found = requestInfo && received.get(requestInfo);
      if (found === undefined) throw new Error('a request without a caller');
      const { caller, countError } = found;
      return createMcpServer({
        version,
        tools,
        era,
        transport: 'tcp',
        caller: () => caller,
        context: async () => context,
        stateKey: () => parts.vault.handles.requestStateKey(caller),
        log: async () => log,
        onError: countError,
      });
    },
    {
      maxRequestBodySize: REQUEST_BODY_MAX_BYTES,
      onerror: (error) => log.debug({ failure: describeFailure(error) }, 'invalid MCP request'),
    },
  );
  return {
    name: 'mcp',
    path: MCP_PATH,
    edge: 'mcp',
    access: 'key',
    error: rpcError,
    unreadable: (error) => rpcError(error, undefined, PARSE_ERROR.code),
    challenge,
    async handler(request, { caller, json, countError }) {
      if (request.method !== 'POST') return rewriteErrorResponse(await handler.fetch(request));
      if (json === undefined) return badRequest(PARSE_ERROR);
      // A batch would count as one request against the rate limit.
      if (Array.isArray(json)) return badRequest(BATCH_ERROR);
      const accepted = parseAccept(request.headers.get('accept'));
      if (!accepted.json && !accepted.event_stream) return notAcceptable(json);
      const corrected = addAcceptTypes(request);
      received.set(corrected, { caller, countError });
      const response = await handler.fetch(corrected, { parsedBody: json });
      return convertToAcceptedType(await rewriteErrorResponse(response, json), accepted);
    },
  };
}

/** Formats an error of the pipeline for a client that expects JSON-RPC. */
function rpcError(
  error: PublicError,
  status?: number,
  code = JSON_RPC_CODES[error.code] ?? JSON_RPC_SERVER_ERROR,
): ErrorResponse {
  return {
    status: status ?? ERROR_TABLE[error.code].http_status,
    body: { jsonrpc: '2.0', id: null, error: { code, message: error.message, data: error } },
  };
}

function badRequest(error: typeof PARSE_ERROR): Response {
  return Response.json({ jsonrpc: '2.0', id: null, error }, { status: 400 });
}

function notAcceptable(json: unknown): Response {
  const error = {
    code: JSON_RPC_SERVER_ERROR,
    message: 'Accept must allow application/json or text/event-stream.',
  };
  return Response.json({ jsonrpc: '2.0', id: requestId(json) ?? null, error }, { status: 406 });
}
