/** Connections with an authorization code, against oidc-provider: a person permits access, and the tokens are stored. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import type { OAuthEndpoints } from '../../src/contract/service/authentication.ts';
import { OIDC_REDIRECT_URI, type OidcOptions, startOidcProvider } from '../kit/servers/oidc_provider.ts';
import { CLIENT_VALUES, oauthDefinition, openOAuthVault } from './oauth_kit.ts';

const ACME = { service_id: 'acme' };

async function setup(options: OidcOptions = {}, oauth: Partial<OAuthEndpoints> = {}) {
  const oidc = await startOidcProvider(options);
  const opened = await openOAuthVault(oauthDefinition(oauth));
  const { vault, caller, connections } = opened;
  const person = (): Caller => ({ ...caller(), edge: 'web', is_person: true });
  await vault.update(person(), { ...ACME, credentials: CLIENT_VALUES });
  /** Starts a connection, and permits access in the browser. Returns the callback. */
  const approve = async (input = {}) => {
    const { authorization_url } = await connections.start(person(), { ...ACME, ...input }, OIDC_REDIRECT_URI);
    return { authorization_url, callback: await oidc.approve(authorization_url) };
  };
  return { ...opened, oidc, person, approve };
}

describe('a connection that a person permits', () => {
  test('stores tokens that are used and refreshed, and ends with one request for each', async () => {
    const { approve, connections, person, oidc, get, received, vault } = await setup({
      access_token_seconds: 4,
    });
    const { callback } = await approve();
    const before = await vault.status(person(), ACME);
    const connected = await connections.finish(person(), callback.searchParams);
    expect(connected).toMatchObject({
      credential_id: before.credential_id,
      service_id: 'acme',
      service_name: 'Acme',
      stack_id: 'default',
      name: null,
      missing_scopes: [],
      is_refreshable: true,
      completes_handle: false,
    });
    expect(await get()).toBe(200);
    expect(oidc.granted).toEqual(new Map([['authorization_code', 1]]));
    // Half of the lifetime.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    expect([await get(), await get()]).toEqual([200, 200]);
    expect(new Set(received).size).toBe(2);
    expect(oidc.granted.get('refresh_token')).toBe(1);
    expect(oidc.refused).toEqual(new Map());
    expect(await vault.status(person(), ACME)).toMatchObject({
      status: 'active',
      credential_type: 'oauth2',
      modified_by: 'me',
      expires_at: null,
    });
    expect(await vault.verifyAudit(person())).toMatchObject({ ok: true, findings: [] });
  });

  test('sends the browser to the provider with a state, a code challenge and the exact redirect URI', async () => {
    const { approve } = await setup();
    const { authorization_url, callback } = await approve({ scopes: ['openid', 'read'] });
    const { origin, pathname, searchParams } = new URL(authorization_url);
    expect(origin + pathname).toBe('https://auth.acme.test/auth');
    expect(Object.fromEntries(searchParams)).toEqual({
      response_type: 'code',
      client_id: CLIENT_VALUES.client_id,
      redirect_uri: OIDC_REDIRECT_URI,
      scope: 'openid read',
      state: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    const { state } = Object.fromEntries(searchParams);
    expect(callback.searchParams.get('state')).toBe(state);
    expect(searchParams.get('code_challenge')).not.toBe(
      createHash('sha256').update(String(state)).digest('base64url'),
    );
  });
});
