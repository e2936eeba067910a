/** A real server with MCP at /mcp, and requests to it without an MCP client. */

import type { TokenIssuer } from '../../src/contract/caller.ts';
import { AllowList } from '../../src/egress/allow_list.ts';
import { fetchDocument } from '../../src/egress/documents.ts';
import { Egress } from '../../src/egress/egress.ts';
import { accessTokens } from '../../src/http/auth/access_tokens.ts';
import type { FetchDocument } from '../../src/http/auth/jwks.ts';
import { challengeFor, wellKnownMount } from '../../src/http/auth/protected_resource.ts';
import { MCP_PATH, mcpMount } from '../../src/mcp/http.ts';
import { TOOLS } from '../../tools/catalogue.ts';
import { type HttpServerOptions, startHttpServer, type TestHttpServer } from '../kit/http/http_server.ts';

export interface McpServerOptions extends Pick<HttpServerOptions, 'env' | 'now' | 'public_url' | 'settings'> {
  readonly issuer?: TokenIssuer;
}

export interface McpTestServer extends TestHttpServer {
  readonly mcp_url: string;
}

const egress = new Egress({ allow: AllowList.all() });
/** As in `keyhold serve`: connects to every address. */
export const fetchIssuerDocument: FetchDocument = (...given) => fetchDocument(egress, ...given);

/** Stopped when the test ends. */
export async function startMcpServer(options: McpServerOptions = {}): Promise<McpTestServer> {
  const { issuer, settings, ...others } = options;
  let authenticate: ReturnType<typeof accessTokens> | undefined;
  const server = await startHttpServer({
    ...others,
    settings: {
      ...settings,
      authenticators: [async (...asked) => authenticate?.(...asked)],
    },
    mounts: (parts) => {
      if (issuer !== undefined) authenticate = accessTokens(issuer, parts, fetchIssuerDocument);
      return [
        mcpMount(parts, TOOLS, () => challengeFor(parts.public_url, MCP_PATH, issuer)),
        wellKnownMount(parts.public_url, MCP_PATH, issuer),
      ];
    },
  });
  return { ...server, mcp_url: server.url + MCP_PATH };
}
