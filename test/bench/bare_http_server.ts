/**
 * The baseline for HTTP: bare Hono that parses the same bodies with the same schemas and responds from memory, and an
 * MCP server with one tool that does nothing.
 */
import { serve } from '@hono/node-server';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { Hono } from 'hono';
import * as z from 'zod';
import { UpdateInput } from '../../src/contract/credential.ts';

const app = new Hono();
const Body = z.strictObject({ credentials: UpdateInput.shape.credentials });
const STATUS = {
  required_credentials: { linear_api_key: 'added' },
  optional_credentials: {},
  all_credentials_added: true,
  required_credentials_added: true,
};
const path = '/v1/stacks/:stack_id/servers/:server_id/credentials';
app.get(path, (context) => context.json(STATUS));
app.put(path, async (context) => {
  const body = Body.safeParse(await context.req.json());
  if (!body.success) return context.json({ detail: 'Invalid credential format' }, 400);
  return context.json({ message: 'Credentials updated successfully' });
});
const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: 'bare', version: '1.0.0' });
  server.registerTool(
    'no_op',
    {
      description: 'Does nothing.',
      inputSchema: z.object({ service_id: z.string() }),
      outputSchema: z.object({ ok: z.boolean() }),
    },
    async () => ({ content: [{ type: 'text', text: 'ok' }], structuredContent: { ok: true } }),
  );
  return server;
});
app.all('/mcp', (context) => mcp.fetch(context.req.raw));
serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`bare listening on http://127.0.0.1:${port}\n`);
});
