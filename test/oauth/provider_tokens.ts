/** Tokens that a real authorization server issued, stored in a vault, and an API that accepts only those that are valid. */
import type { OidcServer } from '../kit/servers/oidc_provider.ts';
import { OIDC_CLIENT } from '../kit/servers/oidc_provider.ts';
import { CLIENT_VALUES, type OAuthSetup, oauthDefinition, openOAuthVault } from './oauth_kit.ts';

const SCOPE = 'offline_access read';

/** As after a person has connected: a grant with an access token and a refresh token. */
export async function issueTokens({ provider }: OidcServer) {
  const client = await provider.Client.find(OIDC_CLIENT.id);
  if (client === undefined) throw new Error('the client is not registered');
  const accountId = 'person';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope(SCOPE);
  const shared = { accountId, client, grantId: await grant.save(), scope: SCOPE, gty: 'authorization_code' };
  const access_token = await new provider.AccessToken({ ...shared, claims: {} }).save();
  const refresh_token = await new provider.RefreshToken({ ...shared, claims: {} }).save();
  return { access_token, refresh_token };
}

export interface ConnectedVault extends OAuthSetup {
  /** The refresh tokens that the provider issued, in order. */
  readonly refresh_tokens: readonly string[];
  /** Stores tokens of the provider. The access token ends at once. */
  connect(name?: string): Promise<void>;
}

/** A vault with a credential of tokens of the provider. */
export async function openConnectedVault(
  server: OidcServer,
  definition: object = oauthDefinition(),
): Promise<ConnectedVault> {
  const valid = new Set<string>();
  const refresh_tokens: string[] = [];
  server.provider.on('access_token.saved', ({ jti }) => void valid.add(jti));
  server.provider.on('access_token.destroyed', ({ jti }) => void valid.delete(jti));
  server.provider.on('refresh_token.saved', ({ jti }) => {
    if (!refresh_tokens.includes(jti)) refresh_tokens.push(jti);
  });
  const opened = await openOAuthVault(definition, (token) => valid.has(token));
  const connect = async (name?: string) => {
    await opened.vault.update(opened.caller(), {
      service_id: 'acme',
      credentials: { ...CLIENT_VALUES, ...(await issueTokens(server)) },
      expires_at: new Date(Date.now() + 500).toISOString(),
      ...(name === undefined ? {} : { name }),
    });
  };
  await connect();
  return { ...opened, refresh_tokens, connect };
}
