/** Connects real MCP clients over Streamable HTTP: the older SDK, and the newer one in both protocol versions. */
import {
  type Client as NewerClient,
  StreamableHTTPClientTransport as NewerTransport,
} from '@modelcontextprotocol/client';
import type { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  type ClientKind,
  type ConnectedClient,
  type Elicitation,
  newNewerClient,
  newOlderClient,
  toResult,
} from './mcp_clients.ts';

export type HttpClient = Omit<ConnectedClient, 'stderr' | 'pid'>;

/**
 * Connects a client to the MCP endpoint at `url` and sends `headers` with every request; the caller closes it.
 * Rejects with the client's error if the server refuses.
 */
export async function connectHttpClient(
  kind: ClientKind,
  url: string,
  headers: Readonly<Record<string, string>> = {},
  elicitation?: Elicitation,
): Promise<HttpClient> {
  const request = { requestInit: { headers } };
  if (kind === 'sdk 1.x, 2025-11-25') {
    const transport = new OlderTransport(new URL(url), request);
    const client = newOlderClient(elicitation);
    // The transport's type allows undefined members that its interface does not.
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return connected(client, () => transport.protocolVersion);
  }
  const client = newNewerClient(kind, elicitation);
  await client.connect(new NewerTransport(new URL(url), request));
  return connected(client, () => client.getNegotiatedProtocolVersion());
}

function connected(client: OlderClient | NewerClient, revision: () => string | undefined): HttpClient {
  return {
    revision: revision(),
    server: client.getServerVersion(),
    instructions: client.getInstructions(),
    listTools: async () => (await client.listTools()).tools,
    call: async (name, input = {}) => toResult(await client.callTool({ name, arguments: input })),
    close: () => client.close(),
  };
}
