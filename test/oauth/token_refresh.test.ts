/** Refreshes of access tokens before a use, against token endpoints of the test. */
import { describe, expect, test } from 'vitest';
import { errorOf as rejection } from '../kit/outcome.ts';
import { OIDC_HOST } from '../kit/servers/oidc_provider.ts';
import { oauthDefinition } from './oauth_kit.ts';
import { json, STORED, setup, tokens, WITHOUT_TOKEN } from './token_endpoint.ts';

describe('a refresh that fails', () => {
  test('does not disturb a use while the stored access token has not ended', async () => {
    const { get, received, provider } = await setup((_request, response) => json(response, 500, {}), {
      ends_in_ms: 20_000,
    });
    expect(await get()).toBe(200);
    expect(await get()).toBe(200);
    expect(received).toEqual(['access-token-0', 'access-token-0']);
    expect(provider.requests).toHaveLength(1);
  });

  test('makes the credential need a new connection only if the provider refuses the refresh token', async () => {
    const { get, status, provider, audit, vault, caller } = await setup((_request, response) =>
      json(response, 400, { error: 'invalid_grant', error_description: 'refresh-token-0 is expired' }),
    );
    const error = await rejection(get());
    expect(error).toMatchObject({ code: 'FORBIDDEN', reason: 'needs_reconnect' });
    expect(error.message).toContain('keyhold connect acme');
    expect((await status()).status).toBe('needs_reconnect');
    expect(await rejection(get())).toMatchObject({ code: 'FORBIDDEN', reason: 'needs_reconnect' });
    expect(provider.requests).toHaveLength(1);
    expect((await audit()).map(({ action }) => action)).toContain('require_reconnect');
    expect(JSON.stringify(await audit())).not.toContain('refresh-token-0');
    expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
    await vault.update(caller(), { service_id: 'acme', credentials: { refresh_token: 'refresh-token-9' } });
    expect((await status()).status).toBe('active');
  });

  test('names the client and changes nothing if the provider refuses the client', async () => {
    const { get, status } = await setup((_request, response) =>
      json(response, 401, { error: 'invalid_client' }),
    );
    const error = await rejection(get());
    expect(error).toMatchObject({ code: 'FORBIDDEN', reason: 'credential_rejected' });
    expect(error.message).toContain('keyhold update acme client_id client_secret');
    expect((await status()).status).toBe('active');
  });

  test('does not delay the next one once the client was corrected', async () => {
    const next = tokens();
    const { get, vault, caller, provider, received } = await setup(
      (request, response) =>
        String(request.body).includes('client-secret-right')
          ? next(request, response)
          : json(response, 401, { error: 'invalid_client' }),
      { ends_in_ms: null, values: WITHOUT_TOKEN },
    );
    expect(await rejection(get())).toMatchObject({ reason: 'credential_rejected' });
    expect(await rejection(get())).toMatchObject({ code: 'UPSTREAM', retry: true });
    const credentials = { client_secret: 'client-secret-right' };
    await vault.update(caller(), { service_id: 'acme', credentials });
    expect(await get()).toBe(200);
    expect(received).toEqual(['access-token-1']);
    expect(provider.requests).toHaveLength(2);
  });

  test('sends no token to a host that the credential is not bound to', async () => {
    const { get, vault, provider } = await setup(tokens());
    const service = vault.services.get('acme');
    // As a definition that gains a token URL after the credential was stored.
    Reflect.set(service, 'oauth', { ...service.oauth, token_url: 'https://evil.test/token' });
    expect(await rejection(get())).toMatchObject({ code: 'FORBIDDEN' });
    expect(provider.requests).toHaveLength(0);
  });
});

describe('a refresh', () => {
  test('is made once for many calls, before the access token ends, and keeps who changed the credential', async () => {
    const { get, received, provider, forms, audit, vault, caller, status } = await setup(tokens());
    const before = await vault.status(caller(), { service_id: 'acme' });
    expect(await Promise.all(Array.from({ length: 20 }, get))).toEqual(Array(20).fill(200));
    expect(provider.requests).toHaveLength(1);
    expect(new Set(received)).toEqual(new Set(['access-token-1']));
    expect(forms()[0]).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-token-0',
      client_id: 'the client',
      client_secret: 'client-secret-7c1',
    });
    expect(await get()).toBe(200);
    expect(provider.requests).toHaveLength(1);
    const after = await vault.status(caller(), { service_id: 'acme' });
    expect(after).toMatchObject({ status: 'active', updated_at: before.updated_at, expires_at: null });
    const entries = [...(await audit())].reverse();
    const request = entries.findIndex(({ use }) => use?.kind === 'refresh');
    expect(entries[request]).toMatchObject({
      action: 'use',
      use: { origin: 'https://auth.acme.test', method: 'POST', path: '/token' },
    });
    expect(entries.findIndex(({ action }) => action === 'refresh')).toBeGreaterThan(request);
    expect(JSON.stringify(entries)).not.toMatch(/(?:access|refresh)-token-\d/);
    expect((await status()).text).not.toContain('-token-1');
    expect(await vault.verifyAudit(caller())).toMatchObject({ ok: true });
  });

  test('keeps the old refresh token if the provider sends none', async () => {
    const { get, forms } = await setup(tokens({ refresh_token: undefined, expires_in: 1 }));
    await get();
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    await get();
    expect(forms().map(({ refresh_token }) => refresh_token)).toEqual(['refresh-token-0', 'refresh-token-0']);
  });

  test('sends the request as the definition has it, and fills captured fields', async () => {
    const definition = oauthDefinition({
      refresh_url: `https://${OIDC_HOST}/refresh`,
      client_auth: 'basic',
      body_format: 'json',
      token_parameters: { audience: 'team {account}' },
      capture: { team: '/team/id' },
    });
    const { get, provider, vault, caller } = await setup(
      tokens({ ok: true, team: { id: 'T 1' }, scope: ['a'] }),
      {
        definition,
        values: { ...STORED, account: 'A1' },
      },
    );
    expect(await get()).toBe(200);
    const [request] = provider.requests;
    expect(request).toMatchObject({ path: '/refresh', headers: { 'content-type': 'application/json' } });
    expect(request?.headers.authorization).toBe(
      `Basic ${Buffer.from('the%20client:client-secret-7c1').toString('base64')}`,
    );
    expect(JSON.parse(String(request?.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'refresh-token-0',
      audience: 'team A1',
    });
    const { optional_credentials } = await vault.status(caller(), { service_id: 'acme' });
    expect(optional_credentials.team).toBe('added');
  });

  test('follows a 401 once, and the call is sent again', async () => {
    const accepts = (token: string) => token === 'access-token-1';
    const { get, received, provider } = await setup(tokens(), { ends_in_ms: null, accepts });
    expect(await get()).toBe(200);
    expect(received).toEqual(['access-token-0', 'access-token-1']);
    expect(provider.requests).toHaveLength(1);
  });

  test('does not repeat if the service refuses the new access token too: the credential is rejected', async () => {
    const { get, received, provider, status } = await setup(tokens(), {
      ends_in_ms: null,
      accepts: () => false,
    });
    expect(await get()).toBe(401);
    expect(received).toEqual(['access-token-0', 'access-token-1']);
    expect((await status()).status).toBe('rejected');
    expect(await rejection(get())).toMatchObject({ reason: 'credential_rejected' });
    expect(provider.requests).toHaveLength(1);
  });

  test('comes before a test too, and a test after a 401 uses the new access token', async () => {
    const accepts = (token: string) => token === 'access-token-1';
    const { tests, caller, received } = await setup(tokens(), { ends_in_ms: null, accepts });
    expect(await tests.test(caller(), { service_id: 'acme' })).toMatchObject({ result: 'valid' });
    expect(received).toEqual(['access-token-0', 'access-token-1']);
  });

  test('does not overwrite tokens that a person stores while the provider responds', async () => {
    let respond: (() => void) | undefined;
    const next = tokens();
    const { get, vault, caller, received } = await setup((request, response) => {
      respond = () => next(request, response);
    });
    const call = get();
    await expect.poll(() => respond, { timeout: 20_000 }).toBeDefined();
    const credentials = {
      access_token: 'access-token-of-a-person',
      refresh_token: 'refresh-token-of-a-person',
    };
    await vault.update(caller(), { service_id: 'acme', credentials });
    respond?.();
    expect(await call).toBe(200);
    expect(received).toEqual(['access-token-of-a-person']);
  });

  test('keeps an approval that was given for the same request before it', async () => {
    const { vault, caller, provider, calls } = await setup(tokens(), { ends_in_ms: null });
    await vault.use_policies.set(
      { ...caller(), edge: 'cli' },
      { service_id: 'acme', use_policy: { approve: 'always' } },
    );
    const call = () => calls.call(caller(), { service_id: 'acme', method: 'GET', path: '/' });
    const refused = await rejection(call());
    expect(refused).toMatchObject({ reason: 'approval_required' });
    expect(provider.requests).toHaveLength(0);
    const found = await vault.uses.find(caller(), { service_id: 'acme' });
    expect(found.stable_revision).toBe(found.revision);
  });
});
