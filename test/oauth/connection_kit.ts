/** A vault with a client at a provider, and a person who connects the service of the test there. */
import type { Caller } from '../../src/contract/caller.ts';
import type { OAuthEndpoints } from '../../src/contract/service/authentication.ts';
import {
  OIDC_HOST,
  OIDC_ISSUER,
  OIDC_REDIRECT_URI,
  type OidcOptions,
  startOidcProvider,
} from '../kit/servers/oidc_provider.ts';
import { type Handler, startUpstream } from '../kit/upstream/upstream.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';
import { CLIENT_VALUES, oauthDefinition, openOAuthVault } from './oauth_kit.ts';

export const ACME = { service_id: 'acme' };

interface Definition {
  readonly oauth?: Partial<OAuthEndpoints>;
  readonly more?: object;
  readonly values?: Readonly<Record<string, string>>;
}

async function openConnecting({ oauth, more, values = CLIENT_VALUES }: Definition) {
  let advanced_ms = 0;
  const now = () => new Date(Date.now() + advanced_ms);
  const definition = oauthDefinition(oauth, more);
  const opened = await openOAuthVault(definition, undefined, temporaryFolder(), { now });
  const { vault, caller, connections } = opened;
  const person = (user = 'me'): Caller => ({ ...caller(), user, edge: 'web', is_person: true });
  await vault.update(person(), { ...ACME, credentials: values });
  const finish = (callback: URL, by = person()) => connections.finish(by, callback.searchParams);
  const start = (input = {}, handle?: string) =>
    connections.start(person(), { ...ACME, ...input }, OIDC_REDIRECT_URI, handle);
  const actions = async () => (await vault.listAudit(person())).entries.map(({ action }) => action).reverse();
  const advance = (ms: number) => {
    advanced_ms += ms;
  };
  return { ...opened, person, finish, start, actions, advance };
}

/** With oidc-provider. `approve` starts a connection, permits access in the browser and returns the callback. */
export async function setupOidc(options: OidcOptions = {}, definition: Definition = {}) {
  const oidc = await startOidcProvider(options);
  const opened = await openConnecting(definition);
  const approve = async (input = {}, handle?: string) => {
    const { authorization_url } = await opened.start(input, handle);
    return { authorization_url, callback: await oidc.approve(authorization_url) };
  };
  return { ...opened, oidc, approve };
}

/** With endpoints of the test. `callback` starts a connection, and returns the callback that a provider would send. */
export async function setupFake(handler: Handler, definition: Definition = {}) {
  const provider = await startUpstream([OIDC_HOST], handler);
  const opened = await openConnecting(definition);
  const callback = async (parameters: Readonly<Record<string, string>> = {}) => {
    const { authorization_url } = await opened.start();
    const url = new URL(OIDC_REDIRECT_URI);
    const state = new URL(authorization_url).searchParams.get('state') ?? '';
    url.search = new URLSearchParams({ code: 'code-7c1', state, iss: OIDC_ISSUER, ...parameters }).toString();
    return url;
  };
  return { ...opened, provider, callback };
}
