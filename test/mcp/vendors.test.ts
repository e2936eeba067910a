/** The documented requests of two vendors work unchanged: Danube's call, and ToolRouter's update and status. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { CLIENT_KINDS, type ClientKind, connectClient } from '../kit/mcp/mcp_clients.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { DANUBE_CALL, TOOLROUTER_GMAIL, TOOLROUTER_LINEAR } from './calls.ts';

async function connect(kind: ClientKind) {
  const client = await connectClient(kind, temporaryFolder());
  onTestFinished(() => client.close());
  return client;
}

const GMAIL_REQUIRED = ['gmail_oauth_token', 'gmail_client_id'];
const GMAIL_OPTIONAL = ['gmail_client_secret', 'gmail_signature'];
const all = (ids: readonly string[], presence: string) => Object.fromEntries(ids.map((id) => [id, presence]));

describe.each(CLIENT_KINDS)('%s', (kind) => {
  test("Danube's documented store_credential call has Danube's result", async () => {
    const client = await connect(kind);
    const first = await client.call('store_credential', DANUBE_CALL);
    expect(first.is_error).toBe(false);
    expect(first.structured).toMatchObject({
      success: true,
      service_id: 'svc_openai_001',
      service_name: 'OpenAI',
      credential_type: 'bearer',
      status: 'stored',
    });

    const again = await client.call('store_credential', {
      ...DANUBE_CALL,
      credential_type: 'api_key',
      credential_value: 'sk-proj-def456...',
    });
    expect(again.structured).toStrictEqual({ ...first.structured, credential_type: 'api_key' });

    // The id in Danube's example is an alias of the service.
    const status = await client.call('get_credential_status', { service_id: 'openai' });
    expect(status.structured).toMatchObject({
      status: 'active',
      credential_type: 'api_key',
      credential_id: first.structured?.credential_id,
    });
  });

  test("ToolRouter's documented credentials are missing, then added", async () => {
    const client = await connect(kind);
    const status = () => client.call('get_credential_status', { service_id: 'gmail' });
    expect((await status()).structured).toMatchObject({
      required_credentials: all(GMAIL_REQUIRED, 'missing'),
      optional_credentials: all(GMAIL_OPTIONAL, 'missing'),
      required_credentials_added: false,
      all_credentials_added: false,
      status: 'missing',
      credential_id: null,
    });

    const updated = await client.call('update_credentials', {
      service_id: 'gmail',
      credentials: TOOLROUTER_GMAIL,
    });
    const added = {
      required_credentials: all(GMAIL_REQUIRED, 'added'),
      optional_credentials: all(GMAIL_OPTIONAL, 'added'),
      required_credentials_added: true,
      // The refresh token is not in their example.
      all_credentials_added: false,
      status: 'active',
    };
    expect(updated.structured).toMatchObject({
      message: 'Credentials updated successfully',
      updated_fields: Object.keys(TOOLROUTER_GMAIL),
      ...added,
    });
    expect((await status()).structured).toMatchObject(added);

    const linear = await client.call('update_credentials', {
      service_id: 'linear',
      credentials: TOOLROUTER_LINEAR,
    });
    expect(linear.structured).toMatchObject({
      message: 'Credentials updated successfully',
      required_credentials: { linear_api_key: 'added' },
      required_credentials_added: true,
    });
  });

  test("ToolRouter's documented update of the token keeps the other fields", async () => {
    const client = await connect(kind);
    const { gmail_signature: _left_out, ...three } = TOOLROUTER_GMAIL;
    const first = await client.call('update_credentials', { service_id: 'gmail', credentials: three });
    const second = await client.call('update_credentials', {
      service_id: 'gmail',
      credentials: { gmail_oauth_token: 'ya29.a0AfH6SMC_new_token...' },
    });
    expect(second.structured).toMatchObject({
      updated_fields: ['gmail_oauth_token'],
      credential_id: first.structured?.credential_id,
      required_credentials: all(GMAIL_REQUIRED, 'added'),
      optional_credentials: { gmail_client_secret: 'added', gmail_signature: 'missing' },
    });
  });
});
