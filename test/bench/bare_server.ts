/** The baseline for stdio: one tool that does nothing, on the bare SDK. */
import { McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';

serveStdio(() => {
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
