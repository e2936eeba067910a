/**
 * One request to a provider for a connection: through the egress, in the audit log before it is sent, with the values of the
 * credential. Its failures become errors without text of the provider.
 */
import type { Caller } from '../contract/caller.ts';
import type { Connected } from '../contract/connection.ts';
import { VaultError } from '../contract/errors.ts';
import type { Service } from '../contract/service/service.ts';
import type { Egress } from '../egress/egress.ts';
import { withDefaults } from '../use/call/request/templates.ts';
import type { ValueProducer } from '../use/values/value_producer.ts';
import type { ConnectionTarget } from '../vault/oauth/connection_records.ts';
import type { PendingConnection } from '../vault/oauth/connection_requests.ts';
import type { Vault } from '../vault/vault.ts';
import type { GrantedTokens, TokenRequest } from './token_request.ts';
import { TokenRequestError } from './token_request_error.ts';

export interface ConnectionParts {
  readonly vault: Pick<Vault, 'services' | 'status' | 'connections'>;
  readonly egress: Egress;
  readonly values: Pick<ValueProducer, 'produceAll'>;
  readonly now: () => Date;
}

/** `send` gets the opened values. Rejects with FORBIDDEN or UPSTREAM if the provider returns nothing of use. */
export async function requestOfConnection<Result>(
  { vault, egress, values, now }: ConnectionParts,
  caller: Caller,
  connection: ConnectionTarget | PendingConnection,
  url: URL,
  send: (request: TokenRequest) => Promise<Result>,
): Promise<Result> {
  const { service } = connection;
  const target = await egress.resolve(url.origin, `${caller.organization}/${caller.user}`);
  const { origin, pathname: path } = url;
  const summary = `connection of ${service.slug}`;
  const use = { kind: 'connect', method: 'POST', origin, path, hash: '', summary } as const;
  const opened = await vault.connections.begin(caller, connection, use, target.addresses.join(' '));
  try {
    const produced = await values.produceAll(service, opened.values);
    const all = withDefaults(service, produced.values);
    const result = await send({ egress, service, url, target, values: all, now: now() });
    opened.finish({ status: 200 });
    return result;
  } catch (error) {
    if (!(error instanceof TokenRequestError)) {
      opened.finish({ reason: 'the request was not made' });
      throw error;
    }
    opened.finish({ status: error.status, reason: error.message });
    throw error.failure === 'polling' ? error : connectionFailed(service, error);
  }
}

/** Stores the tokens. */
export async function saveConnection(
  { vault }: ConnectionParts,
  caller: Caller,
  connection: ConnectionTarget,
  requested_scopes: readonly string[],
  tokens: GrantedTokens,
): Promise<Connected> {
  const { service, handle } = connection;
  const meta = await vault.connections.save(caller, connection, tokens);
  // Providers separate them with blanks or commas, and some leave out those of OpenID Connect.
  const granted = tokens.scope?.split(/[\s,]+/).filter((scope) => scope !== '');
  const omitted = ['openid', 'offline_access', ...(granted ?? requested_scopes)];
  return {
    credential_id: meta.id,
    service_id: service.slug,
    service_name: service.name,
    stack_id: meta.stack,
    name: meta.name,
    missing_scopes: requested_scopes.filter((scope) => !omitted.includes(scope)),
    is_refreshable: tokens.values.has(service.oauth?.refresh_token_field ?? ''),
    expires_at: tokens.expires_at,
    completes_handle: handle !== undefined,
  };
}

function connectionFailed(service: Service, error: TokenRequestError): VaultError {
  const { name, slug, oauth } = service;
  const { failure, message } = error;
  if (failure === 'failed')
    return new VaultError(
      'UPSTREAM',
      `${name} returned no tokens: ${message}. Nothing was stored. Connect again later.`,
      { next: `Have the user connect again: \`keyhold connect ${slug}\`.` },
    );
  if (failure === 'grant_refused')
    return new VaultError(
      'FORBIDDEN',
      `${name} does not accept the code: ${message}. It may have been used or have expired. Nothing was stored. Connect again.`,
      { next: `Have the user connect again: \`keyhold connect ${slug}\`.` },
    );
  const fields = [oauth?.client_id_field, oauth?.client_secret_field].filter((id) => id !== undefined);
  const command = `keyhold update ${slug} ${fields.join(' ')}`;
  return new VaultError(
    'FORBIDDEN',
    `${name} returned no tokens: ${message}. Nothing was stored. Check the client id, its secret and the redirect URI that is registered there, for example with \`${command}\`, then connect again.`,
    { reason: 'credential_rejected', next: `Ask the user to check the client: \`${command}\`.` },
  );
}
