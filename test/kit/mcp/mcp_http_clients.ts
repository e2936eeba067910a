/** Connects real MCP clients over Streamable HTTP: the older SDK, and the newer one in both protocol versions. */
import {
  Client as NewerClient,
  StreamableHTTPClientTransport as NewerTransport,
} from '@modelcontextprotocol/client';
import { Client as OlderClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OlderTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { type ClientKind, type ConnectedClient, IDENTITY, toResult } from './mcp_clients.ts';

export type HttpClient = Omit<ConnectedClient, 'stderr' | 'pid'>;

/**
 * Connects a client to the MCP endpoint at `url` and sends `headers` with every request; the caller closes it.
 * Rejects with the client's error if the server refuses.
 */
export async function connectHttpClient(
  kind: ClientKind,
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpClient> {
  const request = { requestInit: { headers } };
  if (kind === 'sdk 1.x, 2025-11-25') {
    const transport = new OlderTransport(new URL(url), request);
    const client = new OlderClient(IDENTITY);
    // The transport's type allows undefined members that its interface does not.
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    return connected(client, () => transport.protocolVersion);
  }
  const mode = kind === 'client 2.x, 2026-07-28' ? { pin: '2026-07-28' } : ('legacy' as const);
  const client = new NewerClient(IDENTITY, { versionNegotiation: { mode } });
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
