/** The `requestState` of 2026-07-28, which the client sends back after it opened a page: forged ones are refused. */
import { expect, test } from 'vitest';
import { startMcpServer } from './http_server.ts';

const ENVELOPE = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } },
};
const LINEAR = { service_id: 'linear', credential_type: 'bearer' };

interface Message {
  readonly error?: { readonly code: number; readonly message: string };
  readonly result?: { readonly requestState?: string; readonly structuredContent?: object };
}

async function start() {
  const server = await startMcpServer();
  const own_key = await server.key({ user: 'ana' });
  const call = async (more: object = {}, name = 'store_credential', key = own_key): Promise<Message> => {
    const params = { name, arguments: LINEAR, ...more, _meta: ENVELOPE };
    const response = await server.request('/mcp', {
      method: 'POST',
      key,
      headers: {
        accept: 'application/json, text/event-stream',
        'MCP-Protocol-Version': '2026-07-28',
        'Mcp-Method': 'tools/call',
        'Mcp-Name': name,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    });
    const text = await response.text();
    return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
  };
  const state = (await call()).result?.requestState ?? '';
  return { server, call, state };
}

const ACCEPTED = { inputResponses: { page: { action: 'accept' } } };

test('a requestState that is forged, changed, of another caller or of another tool is refused', async () => {
  const { server, call, state } = await start();
  const at = Math.floor(state.length / 2);
  const changed = `${state.slice(0, at)}${state[at] === 'A' ? 'B' : 'A'}${state.slice(at + 1)}`;
  const forged = ['', 'x', 'A'.repeat(state.length), changed, state.slice(0, -4), `${state}AAAA`];
  for (const requestState of forged) {
    const { error, result } = await call({ ...ACCEPTED, requestState });
    expect([requestState, result]).toEqual([requestState, undefined]);
    expect(error?.code).toBe(-32_602);
  }
  const sent = { ...ACCEPTED, requestState: state };
  const other_user = await server.key({ user: 'bob' });
  const other_key = await server.key({ user: 'ana' });
  for (const key of [other_user, other_key])
    expect(await call(sent, 'store_credential', key)).toMatchObject({ error: { code: -32_602 } });
  expect(await call(sent, 'update_credentials')).toMatchObject({ error: { code: -32_602 } });
  expect((await call(sent)).result?.structuredContent).toMatchObject({ status: 'pending_user_input' });
});
