/** Access tokens that are obtained without a person, against a token endpoint of the test. */
import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, jwtVerify } from 'jose';
import { expect, test } from 'vitest';
import type { OAuthEndpoints } from '../../src/contract/service/authentication.ts';
import { errorOf } from '../kit/outcome.ts';
import { OIDC_HOST } from '../kit/servers/oidc_provider.ts';
import { startUpstream } from '../kit/upstream/upstream.ts';
import { oauthDefinition, openOAuthVault } from './oauth_kit.ts';

async function setup(oauth: Partial<OAuthEndpoints>, credentials: Record<string, string>) {
  let number = 0;
  const provider = await startUpstream([OIDC_HOST], (_request, response) => {
    number += 1;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ access_token: `obtained-${number}`, expires_in: 3600 }));
  });
  const opened = await openOAuthVault(oauthDefinition(oauth));
  await opened.vault.update(opened.caller(), { service_id: 'acme', credentials });
  const forms = () =>
    provider.requests.map(({ body }) => Object.fromEntries(new URLSearchParams(String(body))));
  return { ...opened, forms };
}

test('client credentials do not replace an access token that a person stored', async () => {
  const { get, forms, received } = await setup(
    { grants: ['client_credentials'] },
    { client_id: 'c', client_secret: 'client-secret-1', access_token: 'stored-by-a-person' },
  );
  expect(await get()).toBe(200);
  expect(received).toEqual(['stored-by-a-person']);
  expect(forms()).toEqual([]);
});

test('a key that cannot sign is refused before anything is sent', async () => {
  const { get, forms } = await setup(
    { grants: ['jwt_bearer'], grant_settings: { jwt_bearer: { key_field: 'key' } } },
    { key: 'not-a-private-key' },
  );
  expect((await errorOf(get())).code).toBe('INVALID_INPUT');
  expect(forms()).toEqual([]);
});

test('client credentials obtain an access token at the first use and after the client secret was changed', async () => {
  const { get, forms, received, vault, caller } = await setup(
    { grants: ['client_credentials'], scopes: ['a', 'b'], scope_separator: ',' },
    { client_id: 'c', client_secret: 'client-secret-1' },
  );
  expect([await get(), await get()]).toEqual([200, 200]);
  await vault.update(caller(), { service_id: 'acme', credentials: { client_secret: 'client-secret-2' } });
  expect(await get()).toBe(200);
  expect(received).toEqual(['obtained-1', 'obtained-1', 'obtained-2']);
  const form = { grant_type: 'client_credentials', scope: 'a,b', client_id: 'c' };
  expect(forms()).toEqual([
    { ...form, client_secret: 'client-secret-1' },
    { ...form, client_secret: 'client-secret-2' },
  ]);
});

test('account credentials send the parameters of the grant', async () => {
  const { get, forms } = await setup(
    {
      grants: ['account_credentials'],
      scopes: [],
      grant_settings: { account_credentials: { token_parameters: { account_id: '{account}' } } },
    },
    { client_id: 'c', client_secret: 'client-secret-1', account: 'A1' },
  );
  expect(await get()).toBe(200);
  expect(forms()).toMatchObject([{ grant_type: 'account_credentials', account_id: 'A1' }]);
});

test('the file of a Google service account signs an assertion for the token endpoint', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const private_key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const key = JSON.stringify({ client_email: 'robot@acme.test', private_key, private_key_id: 'k1' });
  const { get, forms } = await setup(
    { grants: ['jwt_bearer'], scopes: ['a'], grant_settings: { jwt_bearer: { key_field: 'key' } } },
    { key },
  );
  expect(await get()).toBe(200);
  const [{ assertion = '', grant_type } = {}] = forms();
  expect(grant_type).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer');
  await jwtVerify(assertion, publicKey, {
    audience: `https://${OIDC_HOST}/token`,
    issuer: 'robot@acme.test',
  });
  expect(decodeJwt(assertion)).toMatchObject({ scope: 'a' });
});
