/** The client that an audit entry names: what it claims, bounded and printable, in each revision. */
import { describe, expect, test } from 'vitest';
import { formatClientInfo } from '../../src/mcp/claimed_client.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { startMcpServer } from './http_server.ts';
import { RawServer, REVISIONS } from './raw_server.ts';

const INPUT = { service_id: 'linear', credential_type: 'api_key', credential_value: 'lin_api_1' };

describe('formatClientInfo', () => {
  test.each<[unknown, string | undefined]>([
    [{ name: 'claude-code', version: '2.1.261' }, 'claude-code 2.1.261'],
    [{ name: 'Cursor' }, 'Cursor'],
    [{ name: ' a\tb\r\nc ', version: '1' }, 'a b c 1'],
    [{ name: 'a\u001b[2Jb\u0000\u202ec\u200bd', version: '\u0007' }, 'a[2Jbcd'],
    [{ name: 'x'.repeat(10_000), version: '9'.repeat(10_000) }, `${'x'.repeat(64)} ${'9'.repeat(32)}`],
    [{ name: '\ud83d\ud83dok' }, 'ok'],
    [{ name: '\u{1f511}'.repeat(100) }, '\u{1f511}'.repeat(64)],
    [{ name: '', version: '1' }, undefined],
    [{ version: '1' }, undefined],
    [{ name: 7, version: {} }, undefined],
    [undefined, undefined],
    [null, undefined],
    ['text', undefined],
  ])('formatClientInfo converts %j', (info, text) => {
    expect(formatClientInfo(info)).toBe(text);
  });
});

test.each(REVISIONS)('an entry of a call over stdio names the client in revision %s', async (revision) => {
  const home = temporaryFolder();
  const server = new RawServer(home, revision);
  await server.open();
  expect((await server.call('store_credential', INPUT)).result).toMatchObject({
    structuredContent: { success: true },
  });
  await server.end();
  const { stdout } = await runProgram(['audit', 'list', '--json'], { env: { KEYHOLD_HOME: home } });
  expect(JSON.parse(stdout).entries[0]).toMatchObject({ action: 'store', claimed_client: 'raw 1.0.0' });
  const table = await runProgram(['audit', 'list'], { env: { KEYHOLD_HOME: home } });
  expect(table.stdout).toContain('me (mcp, client claims raw 1.0.0)');
});

test('an entry of a call over HTTP names the client of the metadata, and none without metadata', async () => {
  const server = await startMcpServer();
  const call = (params: object, headers: Record<string, string>) =>
    server.request('/mcp', {
      method: 'POST',
      headers,
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    });
  const params = { name: 'store_credential', arguments: INPUT };
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'claude-code', version: '3.0.1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  const modern = {
    'MCP-Protocol-Version': '2026-07-28',
    'Mcp-Method': 'tools/call',
    'Mcp-Name': params.name,
  };
  expect((await call({ ...params, _meta }, modern)).status).toBe(200);
  expect((await call(params, {})).status).toBe(200);
  const { entries } = await server.vault.listAudit(server.caller(), { action: 'store' });
  expect(entries.map(({ claimed_client }) => claimed_client)).toEqual([null, 'claude-code 3.0.1']);
});
