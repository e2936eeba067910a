/** MCP over HTTP in the built program: API keys and, by its settings, the tokens of an authorization server. */
import { expect, onTestFinished, test } from 'vitest';
import { findCanary, findCanaryInFiles, findText, newCanary } from '../kit/canary.ts';
import { runProgram } from '../kit/child/built_program.ts';
import { startAuthorizationServer } from '../kit/http/authorization_server.ts';
import { startServeProcess } from '../kit/http/http_server.ts';
import { CLIENT_KINDS } from '../kit/mcp/mcp_clients.ts';
import { connectHttpClient } from '../kit/mcp/mcp_http_clients.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const STORED = { service_id: 'linear', credential_type: 'api_key', credential_value: 'lin_api_1' };

test.each(CLIENT_KINDS)(
  '%s stores a credential that the command line lists, and no plaintext is left',
  async (kind) => {
    const served = await startServeProcess({ env: { KEYHOLD_LOG: 'debug' } });
    const headers = { Authorization: `Bearer ${served.admin_key}` };
    const client = await connectHttpClient(kind, `${served.url}/mcp`, headers);
    const canary = newCanary();
    const result = await client.call('store_credential', { ...STORED, credential_value: canary.value });
    expect(result.is_error, result.text).toBe(false);
    await client.close();
    const { stdout } = await runProgram(['status', 'linear'], { env: { KEYHOLD_HOME: served.home } });
    expect(stdout).toContain('Linear: active');
    await served.end();
    const everything = Buffer.from([JSON.stringify(result), served.stdout(), served.stderr()].join('\n'));
    expect(findCanary(everything, canary)).toStrictEqual([]);
    expect(findCanaryInFiles(served.home, canary)).toStrictEqual([]);
    expect(findText(everything, served.admin_key)).toStrictEqual([]);
  },
);

test('keyhold serve accepts tokens of the configured issuer', async () => {
  const audience = 'keyhold';
  const authorization = await startAuthorizationServer({ audience, user: 'ada', scope: 'credentials:read' });
  onTestFinished(() => authorization.close());
  const home = temporaryFolder();
  const env = { KEYHOLD_HOME: home };
  await runProgram(['keys', 'create', '--org', 'acme', '--user', 'zoe'], { env });
  const served = await startServeProcess({
    home,
    env: {
      KEYHOLD_LOG: 'debug',
      KEYHOLD_OAUTH_ISSUER: authorization.issuer,
      KEYHOLD_OAUTH_AUDIENCE: audience,
      KEYHOLD_OAUTH_ORGANIZATION: 'acme',
    },
  });
  const token = await authorization.token();
  const headers = { Authorization: `Bearer ${token}` };
  const client = await connectHttpClient('client 2.x, 2026-07-28', `${served.url}/mcp`, headers);
  expect((await client.call('get_credential_status')).is_error).toBe(false);
  expect((await client.call('store_credential', STORED)).meta['keyhold/error']).toMatchObject({
    code: 'FORBIDDEN',
  });
  await client.close();
  const response = await fetch(`${served.url}/.well-known/oauth-protected-resource/mcp`);
  expect(await response.json()).toMatchObject({
    resource: `${served.url}/mcp`,
    authorization_servers: [authorization.issuer],
  });
  await served.end();
  expect(findText(Buffer.from(served.stderr()), token)).toStrictEqual([]);
});

test('keyhold serve does not start with incomplete OAuth settings', async () => {
  const env = { KEYHOLD_OAUTH_ISSUER: 'https://login.example' };
  await expect(startServeProcess({ env })).rejects.toThrow('KEYHOLD_OAUTH_AUDIENCE must be set too');
});
