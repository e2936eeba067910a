/** `mcp-remote` connects clients that support stdio only to a server: every tool, with a key from a file. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IDENTITY, toResult } from '../kit/mcp/mcp_clients.ts';
import { removeFolder } from '../kit/remove_folder.ts';
import { CALLS } from '../mcp/calls.ts';
import { type Served, startServe } from './serve.ts';

const BRIDGE = fileURLToPath(new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url));

let served: Served;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyhold-mcp-remote-'));
  served = await startServe();
});
afterAll(async () => {
  await served?.close();
  await removeFolder(folder);
});

/** Starts the bridge with this header, and connects a client to it. */
async function connect(header: string): Promise<Client> {
  const headers = join(folder, 'headers.txt');
  writeFileSync(headers, `${header}\n`);
  const client = new Client(IDENTITY, { versionNegotiation: { mode: 'legacy' } });
  const env = { PATH: process.env.PATH ?? '', HOME: folder, MCP_REMOTE_CONFIG_DIR: folder };
  const args = [BRIDGE, served.url, '--header-file', headers, '--transport', 'http-only'];
  await client.connect(new StdioClientTransport({ command: process.execPath, args, env, stderr: 'ignore' }));
  return client;
}

test.each(['Authorization: Bearer', 'X-API-Key:'])(
  'mcp-remote calls every tool with the header "%s KEY"',
  async (prefix) => {
    const client = await connect(`${prefix} ${served.key}`);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).sort()).toStrictEqual(
      [...new Set(CALLS.map(({ tool }) => tool))].sort(),
    );
    for (const { tool, does, input, fails } of CALLS) {
      const { is_error, text } = toResult(await client.callTool({ name: tool, arguments: { ...input } }));
      expect(is_error, `${tool} ${does}: ${text}`).toBe(fails !== undefined);
      if (fails !== undefined) expect(text).toContain(fails);
    }
    await client.close();
  },
);

test('mcp-remote ends without opening a browser or hanging if the key is wrong', async () => {
  await expect(connect(`Authorization: Bearer kh_${'0'.repeat(32)}_${'A'.repeat(43)}`)).rejects.toThrow();
});
