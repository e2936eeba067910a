/** Connections in a stack that is shared: a user with the role edit connects the credential of the owner, and others do not. */
import { expect, test } from 'vitest';
import type { Caller } from '../../src/contract/caller.ts';
import { findCanary, newCanary } from '../kit/canary.ts';
import { outcomeOf } from '../kit/outcome.ts';
import { OIDC_ISSUER, OIDC_REDIRECT_URI } from '../kit/servers/oidc_provider.ts';
import { ACME, setupFake } from './connection_kit.ts';
import { CLIENT_VALUES } from './oauth_kit.ts';

const NO_STACK = 'NOT_FOUND stack_missing';
const NO_ROLE = 'FORBIDDEN';

/** A stack of ann with a client at a provider; bob is another user of the organization. */
async function openShared() {
  const canary = newCanary();
  const opened = await setupFake((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const granted = { access_token: canary.value, refresh_token: `${canary.value}-r`, expires_in: 3600 };
    response.end(JSON.stringify(granted));
  });
  const { vault, caller, connections } = opened;
  const userOf = async (user: string): Promise<Caller> => {
    const { key } = await vault.api_keys.create({ ...caller(), edge: 'cli' }, { organization: 'acme', user });
    return { ...(await vault.api_keys.authenticate(key, 'web', 'test')), is_person: true };
  };
  const [ann, bob] = [await userOf('ann'), await userOf('bob')];
  const { stack_id } = await vault.stacks.create(ann, { stack_name: 'Production' });
  const shared = { ...ACME, stack_id };
  const { credential_id } = await vault.update(ann, { ...shared, credentials: CLIENT_VALUES });
  const share = (role: 'use' | 'edit') => vault.stack_shares.share(ann, stack_id, { user: 'bob', role });
  const start = (by: Caller) => connections.start(by, shared, OIDC_REDIRECT_URI);
  const callbackOf = (authorization_url: string) => {
    const state = new URL(authorization_url).searchParams.get('state') ?? '';
    return new URLSearchParams({ code: 'code-7c1', state, iss: OIDC_ISSUER });
  };
  return { ...opened, canary, ann, bob, shared, credential_id, share, start, callbackOf };
}

test('a user without a role, or with the role use, does not connect a shared credential, and nothing is sent', async () => {
  const { ann, bob, share, start, connections, shared, provider, vault } = await openShared();
  const outcomes = async () => [
    await outcomeOf(start(bob)),
    await outcomeOf(connections.startDevice(bob, shared)),
  ];
  expect(await outcomes()).toEqual([NO_STACK, NO_STACK]);
  await share('use');
  expect(await outcomes()).toEqual([NO_ROLE, NO_ROLE]);
  expect(provider.requests).toEqual([]);
  const { optional_credentials } = await vault.status(ann, shared);
  expect(optional_credentials).toMatchObject({ access_token: 'missing', refresh_token: 'missing' });
});

test('a user whose role ends while the connection waits cannot finish it, and the provider gets no code', async () => {
  const { ann, bob, share, start, connections, callbackOf, provider, shared, vault } = await openShared();
  await share('edit');
  const first = callbackOf((await start(bob)).authorization_url);
  await share('use');
  expect(await outcomeOf(connections.finish(bob, first))).toBe(NO_ROLE);
  await vault.stack_shares.unshare(ann, shared.stack_id, { user: 'bob' });
  expect(await outcomeOf(connections.finish(bob, first))).toBe(NO_STACK);
  expect(await outcomeOf(connections.finish(ann, first))).toBe('NOT_FOUND');
  expect(provider.requests).toEqual([]);
});

test('a user with the role edit connects the credential of the owner: tokens are in it, and the log names both', async () => {
  const { ann, bob, share, start, connections, callbackOf, shared, credential_id, vault, calls, ...opened } =
    await openShared();
  await share('edit');
  const connected = await connections.finish(bob, callbackOf((await start(bob)).authorization_url));
  expect(connected).toMatchObject({ credential_id, stack_id: shared.stack_id });
  for (const caller of [ann, bob])
    expect(await vault.status(caller, shared)).toMatchObject({
      credential_id,
      status: 'active',
      modified_by: 'bob',
      credential_type: 'oauth2',
    });
  expect(await vault.status(bob, ACME)).toMatchObject({ status: 'missing' });
  const { output } = await calls.call(ann, { ...shared, method: 'GET', path: '/' });
  expect(output.status).toBe(200);
  expect(opened.received).toEqual([opened.canary.value]);
  const administrator = { ...ann, scopes: new Set([...ann.scopes, 'audit:read' as const]) };
  const { entries } = await vault.listAudit(administrator, { action: 'connect' });
  expect(entries).toMatchObject([{ user: 'bob', owner: 'ann', outcome: 'allowed', credential_id }]);
  expect(findCanary(JSON.stringify([connected, entries, output]), opened.canary)).toEqual([]);
});
